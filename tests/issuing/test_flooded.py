"""One partner's flood of warnings takes nothing from another's, nor from the watch's own."""

from __future__ import annotations

import pytest
from flight_records import NS, T0_NS, assessment, label
from msgspec.structs import replace

from trilat.issuing import watchful
from trilat.issuing.editions import label_of
from trilat.issuing.watchful import Escalation
from trilat.records.warning import Retraction, Warning
from trilat.warn import lifecycle, machine
from trilat.warn.lifecycle import WarningDesk


def warning(name: str) -> Warning:
    """Return an open warning of a launch."""
    one = assessment(50)
    standing = machine.begin(T0_NS + 50 * NS, one, name, label_of("national", one))
    assert standing is not None
    return standing.warning


def test_a_partner_s_flood_does_not_keep_an_own_warning_from_being_called_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of KOR's warnings wait for somebody, an own one that nobody acknowledges is said as loudly as ever."""
    monkeypatch.setattr(watchful, "WAITING_MAX", 20)
    escalation = Escalation()
    for k in range(100):
        escalation.shown(T0_NS, "KOR", warning(f"K{k}"))
    escalation.shown(T0_NS, "JPN", warning("JPN-L1"))
    said = escalation.step(T0_NS + 40 * NS)
    assert 20 == sum(": KOR " in line for line in said)
    assert 1 == sum("JPN JPN-L1" in line for line in said)
    for k in range(20):
        escalation.acknowledged("KOR", f"K{k}")
    escalation.shown(T0_NS + 50 * NS, "KOR", warning("K-new"))  # there is room again
    assert any("KOR K-new" in line for line in escalation.step(T0_NS + 90 * NS))


def test_a_partner_s_flood_drives_out_its_own_warnings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """After KOR's flood USA's warning is still held and can be taken back; of KOR's those stay that were heard of last."""
    monkeypatch.setattr(lifecycle, "WARNINGS_MAX", 20)
    desk = WarningDesk("JPN")
    assert desk.receive("USA", warning("U1"))
    assert desk.receive("KOR", warning("K-first"))
    for k in range(100):
        desk.receive("KOR", replace(warning(f"K{k}"), expires_ns=T0_NS + 10**15 - k))
        desk.receive("KOR", replace(warning("K-first"), version=k + 2))
    back = Retraction(warning_id="U1", warning_version=1, reason="issued-in-error", by="o", t_ns=T0_NS, label=label("USA"))
    assert desk.receive_retraction("USA", back)
    assert desk.received("KOR", "K-first") is not None
    assert 20 == sum(desk.received("KOR", f"K{k}") is not None for k in range(100)) + 1
    assert desk.received("KOR", "K99") is not None

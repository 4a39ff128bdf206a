"""A partner that means harm to the judges of partners: new names, floods of names and batches, and others' good names."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from trilat.cli.bench_fusion_world import T0_NS, Node, Real, make_real_world
from trilat.joint.beside import OwnTracks
from trilat.joint.core import LIST_MAX, NATION_MAX
from trilat.records.report import Measurement
from trilat.records.track import Tracklet
from trilat.track import TrackerSettings

S = 10**9
AIR = TrackerSettings(domains=("air",))


def renamed(record: Any, name: str) -> Any:
    """Give a record as of another sensor."""
    pedigree = msgspec.structs.replace(record.pedigree, sensors=(name,))
    if isinstance(record, Tracklet):
        return msgspec.structs.replace(record, stream=name, pedigree=pedigree)
    return msgspec.structs.replace(record, sensor=name, pedigree=pedigree)


class Pair:
    """One nation and a partner with a radar each; what the partner sends is spoilt on the way."""

    def __init__(self, tier: str, seconds: int, targets: int = 9) -> None:
        self.world = make_real_world(2, targets, seconds, 5, Real())
        self.me, self.other = Node(0, self.world.radars, "plot", AIR), Node(1, self.world.radars, tier, AIR)

    def step(self, t: int, spoil: Any) -> Any:
        """Go on by a second; spoil(t, records) gives what comes. Returns the core's tracks."""
        now_ns = T0_NS + t * S
        self.other.look(now_ns, [columns for k, columns in self.world.plots[t] if k == 1])
        own = self.me.look(now_ns, [columns for k, columns in self.world.plots[t] if k == 0])
        sent = spoil(t, [one for _, one in self.other.message(now_ns)])
        national = self.me.national.step(now_ns, own)
        return self.me.core.step(now_ns, national, own, sent if isinstance(sent, dict) else {self.other.nation: sent})


@pytest.mark.parametrize("tier", ["plot", "tracklet"])
def test_a_new_name_is_no_clean_sheet(tier: str) -> None:
    """A partner whose clock stands goes on under a new name every half minute: none of these is used before it has fitted."""
    pair, states, came, left_out = Pair(tier, 150), [], Counter[int](), Counter[int]()

    def spoil(t: int, records: list[Any]) -> list[Any]:
        stood = [msgspec.structs.replace(one, t_ns=min(one.t_ns, T0_NS + 20 * S)) for one in records]
        came[max(t - 30, 0) // 30] += bool(records)
        return [renamed(one, f"N{max(t - 30, 0) // 30}") for one in stood]

    for t in range(1, 151):
        last = came.copy()
        pair.step(t, spoil)
        states.append(pair.me.core.health.quarantined)
        for k in (came - last).elements():
            left_out[k] += f"BBB:N{k}" in states[-1]
    assert "BBB:N0" in states[-1]
    assert {"BBB:N1", "BBB:N2", "BBB:N3"} <= states[-1]
    assert came[0] > left_out[0]
    assert [came[k] for k in (1, 2, 3)] == [left_out[k] for k in (1, 2, 3)]
    assert min(came[k] for k in (1, 2, 3)) > 3


def test_an_honest_new_radar_beside_a_bad_one_is_used_after_a_minute() -> None:
    """A nation with a radar in quarantine may switch on another."""
    pair = Pair("plot", 160)

    def spoil(t: int, records: list[Any]) -> list[Any]:
        stood = [msgspec.structs.replace(renamed(one, "stuck"), t_ns=T0_NS + 5 * S) for one in records]
        return stood + (records if t > 60 else [])

    states = [pair.step(t, spoil) and pair.me.core.health.quarantined for t in range(1, 161)]
    assert "BBB:stuck" in states[60]
    assert "BBB:R1" in states[64]
    assert "BBB:R1" not in states[-1]
    assert "BBB:stuck" in states[-1]


def test_ten_thousand_names_of_one_partner_leave_room_for_another() -> None:
    """A partner's names are bounded, so are the monitors of them, and another partner's radar is still taken in."""
    pair = Pair("plot", 12)

    def spoil(t: int, records: list[Any]) -> Any:
        one = next((one for one in records if isinstance(one, Measurement)), None)
        if one is None:
            return []
        foreign = msgspec.structs.replace(
            renamed(one, "R2"),
            pedigree=msgspec.structs.replace(one.pedigree, nation="CCC", sensors=("R2",)),
        )
        return {"BBB": [renamed(one, f"N{t}-{k}") for k in range(2_000)], "CCC": [foreign] if t > 5 else []}

    for t in range(1, 13):
        pair.step(t, spoil)
    core = pair.me.core
    assert "CCC" in {nation for bits in (1 << k for k in range(LIST_MAX)) for nation in core.nations_of(bits)}
    assert "CCC:R2" in core.verdicts
    assert NATION_MAX == sum(name.startswith("BBB:") for name in core.verdicts)
    assert core.refused["sensors-full"] > 1_000


def test_a_partner_that_starts_again_and_again_finds_room() -> None:
    """Each start of a partner is a stream of its own; what has been silent for more than an hour gives up its place and its past."""
    pair, names = Pair("plot", 3), [f"N{k}" for k in range(NATION_MAX + 1)]
    first: list[Any] = []
    for t in (1, 2, 3):
        pair.step(t, lambda _t, records: first.extend(records) or [])
    core, now_ns = pair.me.core, T0_NS + 10 * S

    def say(name: str, at_ns: int) -> None:
        record = msgspec.structs.replace(renamed(first[0], name), t_ns=at_ns)
        core.step(at_ns, pair.me.national.step(at_ns, []), [], {"BBB": [record]})

    for name in names:
        say(name, now_ns)
    assert 1 == core.refused["sensors-full"]
    say(names[1], now_ns + 1_000 * S)
    say(names[-1], now_ns + 3_000 * S)
    assert 2 == core.refused["sensors-full"]
    for k in (0, 1):
        say(names[-1], now_ns + (3_700 + k) * S)
    assert 2 == core.refused["sensors-full"]
    assert "BBB:N0" not in core.verdicts
    assert {"BBB:N1", f"BBB:{names[-1]}"} <= set(core.verdicts)
    assert {"BBB"} == core.nations_of(1 << 1)


@pytest.mark.parametrize("tier", ["plot", "tracklet"])
def test_many_batches_are_compared_once(tier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pedigrees a partner names in one second, what it said is compared twice: as it came, and as it is used."""
    pair, calls, taken = Pair(tier, 60, 60), 0, OwnTracks.pairs

    def counted(*values: Any) -> Any:
        nonlocal calls
        calls += 1
        return taken(*values)

    monkeypatch.setattr(OwnTracks, "pairs", counted)

    def spoil(_t: int, records: list[Any]) -> list[Any]:
        named = [msgspec.structs.replace(one.pedigree, sensors=("R1", f"X{k}")) for k, one in enumerate(records)]
        return [msgspec.structs.replace(one, pedigree=pedigree) for one, pedigree in zip(records, named, strict=True)]

    most = 0
    for t in range(1, 61):
        calls = 0
        pair.step(t, spoil)
        most = max(most, calls)
    assert 2 == most

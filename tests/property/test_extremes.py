"""Behind the decoders: whatever valid input says, at its most extreme, a node steps on, and ordinary traffic is unharmed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from extreme_node import STEPS, Node, undisturbed
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from valid_feeds import FORMATS, Said, said
from valid_records import KINDS, Sent, Way, sent

from trilat.node.pipeline import Output
from trilat.records.released import Released
from trilat.records.track import Area, Track
from trilat.records.warning import Acknowledgement, Retraction, Warning

SHORT = settings(
    max_examples=5,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example is seconds of a node: nobody waits for it to shrink
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
LONG = settings(SHORT, max_examples=400)
NEAR_M, SIGMAS = 100.0, 5.0

STEADY = Way((24.0, 123.5), 9_000.0, 1.0, 240.0, 0.0)
_SQUITTERS = {"address": 0xABCDEF, "types": [], "bits": 0, "moves": (200, 200, 5), "nac_p": 8, "ticks": 0}
PLAIN: dict[str, list[dict[str, Any]]] = {
    "asterix": [{"category": one, "bits": "zeros", "share": 0.0, "seed": 7} for one in (48, 21, 62)],
    **{form: [_SQUITTERS] for form in ("beast", "avr", "modes-jsonl")},
    "ais": [{"type": 1, "mmsi": 431_000_009}],
    **{form: [{}] for form in ("fixes-csv", "fixes-json", "fixes-json-missile", "plots-json")},
    "sights-jsonl": [{"toward": [0.0, 0.0, 0.0], "from_m": 4.2164e7, "sigma_rad": 2e-5}],
}

records = st.lists(sent(), min_size=1, max_size=12)
messages = said(12)


def unharmed(node: Node) -> None:
    """Check that every aircraft and ship that says who it is stands where it would without what was drawn."""
    for picture in ("national", "combined"):
        usual, now = (one.named(picture) for one in (undisturbed(), node))
        assert len(usual) > 10
        assert set(usual) <= set(now), (picture, set(usual) - set(now))
        for name, row in usual.items():
            apart_m = float(np.linalg.norm(row["position_m"] - now[name]["position_m"]))
            assert apart_m <= NEAR_M + SIGMAS * float(np.sqrt(np.trace(row["covariance"][:3, :3]))), (picture, name, apart_m)


def from_a_partner(drawn: list[Sent]) -> None:
    """Give a node drawn records of a partner, and check what must hold."""
    node = Node().run(sent=drawn)
    unharmed(node)
    for usual, out in zip(undisturbed().outputs, node.outputs, strict=True):
        # A partner's records reach neither the national tracks nor what any audience gets of them: not a bit of it.
        assert usual.national.columns.tobytes() == out.national.columns.tobytes()
        assert left(usual) == left(out)


def left(out: Output) -> list[Released]:
    """Return what a step let out of the bulk lanes."""
    return [one for one in out.released if one.lane != "flash"]


def on_feeds(drawn: list[Said]) -> None:
    """Give a node drawn messages on its feeds, and check what must hold."""
    node = Node(sorted({one.format for one in drawn})).run(said=drawn)
    unharmed(node)


@settings(SHORT)
@given(drawn=records)
def test_any_valid_record_of_a_partner(drawn: list[Sent]) -> None:
    """Records of every kind with any valid value: nothing fails, all that comes out is finite, own tracks are the same to the bit."""
    from_a_partner(drawn)


@settings(SHORT)
@given(drawn=messages)
def test_any_valid_message_of_a_feed(drawn: list[Said]) -> None:
    """Messages of every format with any value it can hold: nothing fails, all that comes out is finite, other tracks are unharmed."""
    on_feeds(drawn)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@settings(LONG)
@given(drawn=records)
def test_any_valid_record_of_a_partner_for_long(drawn: list[Sent]) -> None:
    """The same, a hundred times as often."""
    from_a_partner(drawn)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@settings(LONG)
@given(drawn=messages)
def test_any_valid_message_of_a_feed_for_long(drawn: list[Said]) -> None:
    """The same, a hundred times as often."""
    on_feeds(drawn)


def test_every_kind_and_format_reaches_the_node() -> None:
    """Each kind is taken and each format makes reports: what is drawn of them is not turned away at the door."""
    given = [Said(form, one, STEADY, 0) for form, ones in PLAIN.items() for one in ones]
    node = Node(FORMATS).run([Sent(kind, {}, STEADY, 0, 1) for kind in KINDS], given)

    assert {f"x-{form}" for form in FORMATS} == {
        name for name, count in node.reports.items() if name.startswith("x-") and count >= STEPS
    }
    assert node.reports["x-asterix"] >= len(PLAIN["asterix"]) * STEPS
    assert {"place-unknown": STEPS} == dict(node.pipeline.core.refused)  # plots without their radar's place
    seen = {type(one.record) for out in node.outputs for one in (*out.partners, *out.warnings)}
    assert {Track, Area, Warning, Acknowledgement, Retraction} <= seen
    assert any("recall" in one.text for out in node.outputs for one in out.notices)
    assert not +node.pipeline.rejected

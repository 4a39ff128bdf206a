"""What rests on a partner's source is under every label its reports came under of late, not under the last one's."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from trilat.flights.flight import Wanted, generic_flight
from trilat.fuse.earth_fixed import measurements
from trilat.joint.core import CoreTracker, PartnerReport
from trilat.joint.labels import KEPT_NS, LABELS_MAX, SourceLabels
from trilat.joint.launches import NationLaunches
from trilat.node.audience import sensor_of as source_of
from trilat.track import Tracker, TrackerSettings

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import warning_told as world
from warning_told import JPN, KOR, label

LOOSE = label("KOR")
STRICT = msgspec.structs.replace(LOOSE, level=3, rel_to=("JPN",))


def test_a_label_counts_for_an_hour_after_its_last_report() -> None:
    """A stricter label stays beside the looser ones that follow it, and goes an hour after its last report."""
    held = SourceLabels("JPN", {0: JPN.label})
    held.take(0, 1, [STRICT])
    held.take(10**9, 1, [LOOSE])
    assert (STRICT, LOOSE) == held.of(1)
    assert (JPN.label, STRICT, LOOSE) == held.every()
    held.take(KEPT_NS + 1, 1, [LOOSE])
    assert (LOOSE,) == held.of(1)


def test_more_labels_than_are_kept_are_one_that_is_no_looser() -> None:
    """A source that says ever new labels is under their join: the highest level, and only whom all of them name."""
    held = SourceLabels("JPN", {})
    levels = [msgspec.structs.replace(LOOSE, level=2, purposes=(f"p{k}",)) for k in range(3 * LABELS_MAX)]
    held.take(0, 1, [STRICT])
    for k, one in enumerate(levels):
        held.take(k, 1, [one])
        assert len(held.of(1)) <= LABELS_MAX
    assert max(one.level for one in held.of(1)) >= 3
    assert all("USA" not in one.rel_to for one in held.of(1) if one.level >= 3)


def test_a_flight_and_a_track_are_under_every_label_of_their_plots() -> None:
    """Ten seconds of plots under a strict label, then a looser one: what is said of the flight, and its track, stay strict."""
    flight = generic_flight(Wanted(39.2, 125.7, 80.0, 1_300e3, 400e3))
    launches = NationLaunches("JPN", lambda what: f"JPN/{what}", (JPN,), None, TrackerSettings())
    core = CoreTracker("JPN", (JPN,), TrackerSettings(), Tracker(TrackerSettings(), (JPN,), "JPN/national"))
    told = []
    for now_ns, batches in world.seen(KOR, flight, 90.0, 5).steps():
        plots = [one for batch in batches for one in measurements(batch, KOR)]
        marked = STRICT if not told else LOOSE
        partners: dict[str, list[PartnerReport]] = {"KOR": [msgspec.structs.replace(one, label=marked) for one in plots]}
        told += launches.step(now_ns, [], partners, source_of)[1]
        tracks = core.step(now_ns, core._national.step(now_ns, []), [], partners)
    assert told[-1].t_ns - told[0].t_ns > 20 * 10**9
    assert (3, ("JPN",)) == (told[-1].label.level, (told[-1].label.originator,))
    assert "USA" not in told[-1].label.rel_to
    assert {3, 1} == {one.level for one in core.labels_of(int(tracks.columns["sensors"][0]))}

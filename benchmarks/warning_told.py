"""Missile warning, what a partner's word is worth: a radar's first plot of a flight to `detected`, alone and with that word.

Part of benchmarks/warning.py. Korea's radar sees a launch before Japan's. Japan gets none of its plots: a warning only, or tracks
only, or tracklets only. The world is also what the tests of joint/pointers.py run in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trilat.flights.flight import Flight
from trilat.flights.observe import EPOCH_NS, SITES, Observation, sensor_of
from trilat.joint.core import PartnerReport, batch_of
from trilat.joint.launches import LaunchWatch, NationLaunches
from trilat.joint.tier import TierTracker
from trilat.node.audience import sensor_of as source_of
from trilat.picture.inputs import PartnerRecord, WarningRecord
from trilat.records.assessment import Assessment
from trilat.records.label import Label, Mode
from trilat.records.sensor import Sensor
from trilat.track import TrackerSettings
from trilat.warn import machine
from warning_false import DAY_S, SENSORS, TINY_S, Watch, day, drawn, say

NS = 1_000_000_000
MODE = Mode(kind="exercise", id="flights")
SEEN_S = 20.0  # so long after the own radar's first plot


def label(nation: str, sources: tuple[str, ...] = ()) -> Label:
    """Return a label of a nation's data that all may have."""
    rel_to = tuple(one for one in ("JPN", "KOR", "USA") if one != nation)
    sources = sources or (nation,)
    return Label(policy="exercise", originator=nation, mode=MODE, level=1, rel_to=rel_to, topics=("air",), sources=sources)


def radar(k: int) -> Sensor:
    """Return a site's radar under its nation's label."""
    return msgspec.structs.replace(sensor_of(SITES[k]), label=label(SITES[k].nation))


JPN, KOR = radar(0), radar(2)


class Heard(NamedTuple):
    """What Korea's node lets Japan have, by step: warnings, tracks, tracklets."""

    warnings: dict[int, list[WarningRecord]]
    tracks: dict[int, list[PartnerRecord]]
    tracklets: dict[int, list[PartnerReport]]


NOTHING = Heard({}, {}, {})
ONLY: dict[str, Callable[[Heard], Heard]] = {
    "nothing": lambda _: NOTHING,
    "warning": lambda one: one._replace(tracks={}, tracklets={}),
    "track": lambda one: one._replace(warnings={}, tracklets={}),
    "tracklet": lambda one: one._replace(warnings={}, tracks={}),
}


def seen(sensor: Sensor, flight: Flight, end_s: float, seed: int) -> Observation:
    """Return what one radar reports of a flight."""
    return Observation((sensor,), flight.at, end_s, np.random.default_rng(seed))


def korea(flight: Flight, end_s: float, seed: int) -> Heard:
    """Run Korea's watch and trackers for Japan over its own radar's plots."""
    watch = LaunchWatch("KOR", "KOR/launches-JPN", (KOR,), None, TrackerSettings())
    tiers = {name: TierTracker("KOR", name, (KOR,), TrackerSettings()) for name in ("track", "tracklet")}
    standing: machine.Standing | None = None
    heard = Heard({}, {}, {})
    for now_ns, batches in seen(KOR, flight, end_s, seed).steps():
        watch.take(batches, source_of)
        for one in watch.step(now_ns):
            new = machine.take(now_ns, standing, one) if standing else machine.begin(now_ns, one, "launch-1", label("KOR"))
            if new is not None and (standing is None or new.warning.version > standing.warning.version):
                heard.warnings.setdefault(now_ns, []).append(WarningRecord(origin="KOR", record=new.warning))
            standing = new or standing
        for tier in tiers.values():
            tier.waiting += [batch_of(one, 0) for one in batches]
        tracks: Any = tiers["track"].step(now_ns)
        tracklets: Any = tiers["tracklet"].step(now_ns)
        heard.tracks[now_ns] = [PartnerRecord(origin="KOR", lane="state", record=one) for one in tracks]
        heard.tracklets[now_ns] = list(tracklets)
    return heard


def japan(heard: Heard, own: Observation, sensors: Sequence[Sensor] = (JPN,)) -> tuple[list[Assessment], list[Assessment]]:
    """Run Japan's two watches over its own radar and what it hears; return what each said: by own sensors, by all."""
    launches = NationLaunches("JPN", lambda what: f"JPN/{what}", sensors, None, TrackerSettings())
    alone: list[Assessment] = []
    together: list[Assessment] = []
    for now_ns, batches in own.steps():
        launches.hear(now_ns, heard.warnings.get(now_ns, []), heard.tracks.get(now_ns, []))
        mine, every = launches.step(now_ns, batches, {"KOR": heard.tracklets.get(now_ns, [])}, source_of)
        alone += mine
        together += every
    return alone, together


def detected_ns(told: Sequence[Assessment]) -> int | None:
    """Return when a flight was first called detected."""
    return next((one.t_ns for one in told if one.state in ("detected", "assessed")), None)


def told(*, tiny: bool) -> None:
    """First own plot to `detected`, by one radar alone and with what a partner says of the launch."""
    waits: dict[str, list[float]] = {kind: [] for kind in ONLY}
    for k, flight in enumerate(drawn(np.random.default_rng(1_515), 2 if tiny else 30, (900e3, 2_500e3))):
        seed = 4_200 + k
        columns = seen(JPN, flight, flight.burnout_s + 120.0, seed).columns
        if not len(columns):
            continue
        first_ns = int(columns["t_ns"][0])
        end_s = (first_ns - EPOCH_NS) / NS + SEEN_S
        heard = korea(flight, end_s, seed + 500)
        for kind, only in ONLY.items():
            at_ns = detected_ns(japan(only(heard), seen(JPN, flight, end_s, seed))[1])
            waits[kind].append(float("nan") if at_ns is None else (at_ns - first_ns) / NS)
    for kind, values in waits.items():
        w = np.array(values)
        say(
            f"told: one radar and a partner's {kind}: own first plot to `detected` {np.nanmedian(w):.1f} s median, "
            f"{np.nanmax(w):.1f} s most, {np.isnan(w).sum()} never, of {len(w)}"
        )


class Everywhere:
    """A partner that warns of a launch everywhere, at all times, by sensors of its own."""

    KEY = frozenset({"KOR:warning:wolf"})

    def __len__(self) -> int:
        return 1

    def at(self, t_ns: int, place_m: Any, doubt_m: float) -> frozenset[str]:
        """Return that it points there, too."""
        del t_ns, place_m, doubt_m
        return self.KEY

    def held(self, keys: frozenset[str]) -> frozenset[str]:
        """Return them all: it takes nothing back."""
        return keys

    def backs(self, keys: frozenset[str], sensors: set[int]) -> bool:
        """Tell that it is a witness of anything."""
        del sensors
        return bool(keys)


def wolf(*, tiny: bool) -> None:
    """Traffic without a missile, while a partner says everywhere that there is one, beside the same traffic without that."""
    end_s, watches = TINY_S if tiny else DAY_S, (Watch(SENSORS), Watch(SENSORS, Everywhere()))
    for now_ns, batches in day(end_s, 62):
        for watch in watches:
            watch.step(now_ns, batches)
    without, spoken = (
        len({one.flight for one in watch.told if one.state in ("detected", "assessed", "track-lost")}) for watch in watches
    )
    listed = {one.flight for one in watches[1].told if one.areas or one.landing}
    say(
        f"wolf: {end_s / 3_600:.1f} h of traffic, {watches[0].plots:,} plots, a partner that warns everywhere all the time: "
        f"{spoken} false `detected` ({without} without it), {len(listed)} false area lists"
    )


PARTS = {"told": told, "wolf": wolf}

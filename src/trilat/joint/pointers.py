"""What partners say of where launches are - in warnings, tracks and tracklets - as pointers for one picture's watch.

A pointer is no plot: no filter takes it. It lets two plots where it points speak of a launch, as an infrared line of sight does,
and what rests on it carries its label. Whether it also counts as a second witness is for `backs`: only what rests on sensors of
nations none of whose plots speak for the flight does, or one plot, told twice, would confirm itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trilat.joint.core import PartnerReport
from trilat.kernels import geodesy
from trilat.picture.inputs import PartnerRecord, WarningRecord
from trilat.records.label import Label
from trilat.records.track import Track, Tracklet
from trilat.records.warning import FlightFacts, Retraction, Warning
from trilat.warn.conclude import REACH_M_S2
from trilat.warn.launch import CUE_M, ON_PATH_M, on_path, way_of

Array = NDArray[np.float64]
NS = 1_000_000_000
KEPT_MAX = 64  # of one nation and kind: the oldest go, so that no flood of one drives out another's
FLIES_S = 15.0  # a track or tracklet points so long after its time
WARNS_S = 120.0  # a warning so long after its version's: its node makes a new one every 20 s while there is something to say
CLIMBS_S = 180.0  # so long after a launch that was told, without a path, what climbs within its reach may be it
EARLY_S, AHEAD_S = 5.0, 2.0  # a place may be so much younger than what points at it; what points, so far ahead of now
SECTOR_DEG = 20.0  # beside a fan that was told
NO_SECTOR_M = 30_000.0  # so near to where it was launched no bearing says anything
# However little is known of a place or a time, it points so wide and no wider: one record would else point everywhere.
WIDE_M, WIDE_S = 100_000.0, 30.0
VERSIONS_MAX = 1_000  # of one nation's warnings, whose newest version is remembered
FAST_M_S = 700.0  # a partner's track this fast is no aircraft's
OPEN = ("detected", "assessed", "issued", "updated")
LOOSE_M, LOOSE_M_S = 50_000.0, 5_000.0  # how little is known of what a tracklet leaves open
_UPPER = np.triu_indices(6)


class Pointer(NamedTuple):
    """One: whose and of what, where it points (a state, or a warning's facts), from when and until when, resting on whom."""

    t_ns: int
    until_ns: int
    label: Label
    place_m: Array
    velocity_m_s: Array
    sigma_m: float
    told: FlightFacts | None = None
    path: tuple[Array, Array] | None = None  # times (ns) and places (ECEF) of the way that was told

    def at(self, t_ns: int, place_m: Array, doubt_m: float) -> bool:
        """Tell whether it points at a place (ECEF) at a time."""
        seconds = (t_ns - self.t_ns) / NS
        if self.told is None:
            ahead = self.place_m + self.velocity_m_s * seconds
            reach = CUE_M + 3.0 * min(self.sigma_m, WIDE_M) + 0.5 * REACH_M_S2 * seconds**2
            return seconds > -EARLY_S and t_ns <= self.until_ns and float(np.linalg.norm(place_m - ahead)) < reach + doubt_m
        if self.path is not None:
            wide_m = 0.0 if self.told.landing is None else min(self.told.landing.ellipse95.semi_major_m, WIDE_M)
            return on_path(self.path, wide_m, t_ns, place_m, doubt_m)
        return self._climbs(self.told, place_m, (t_ns - self.t_ns) / NS, doubt_m)

    def _climbs(self, told: FlightFacts, place_m: Array, seconds: float, doubt_m: float) -> bool:
        """Tell whether a place is within reach of a launch, and in the direction that its fan says."""
        if told.launch is None:
            return False
        sigma_s, wide = min(max(told.launch.sigma_s, 0.0), WIDE_S), min(told.launch.ellipse95.semi_major_m, WIDE_M)
        if not -EARLY_S - 3.0 * sigma_s < seconds < CLIMBS_S:
            return False
        way = place_m - self.place_m
        reach = ON_PATH_M + wide + 0.5 * REACH_M_S2 * (abs(seconds) + sigma_s) ** 2
        if float(np.linalg.norm(way)) > reach + doubt_m:
            return False
        east, north, _ = (geodesy.enu_basis(told.launch.lat_deg, told.launch.lon_deg) @ way).tolist()
        if told.fan is None or float(np.hypot(east, north)) < NO_SECTOR_M + wide:
            return True
        bearing = float(np.degrees(np.arctan2(east, north)))
        open_deg = (told.fan.bearing_to_deg - told.fan.bearing_from_deg) % 360.0 + 2.0 * SECTOR_DEG
        return (bearing - told.fan.bearing_from_deg + SECTOR_DEG) % 360.0 <= open_deg


class Pointers:
    """What partners say of launches, newest of each. nation_of: whose sensor a number of the watch is.

    `left_out` counts those that made room for newer ones, by nation.
    """

    def __init__(self, nation_of: Callable[[int], str]) -> None:
        self._nation_of = nation_of
        self._held: dict[str, Pointer] = {}
        self._kinds: dict[tuple[str, str], dict[str, None]] = {}  # keys of each nation and kind, oldest first
        self._versions: dict[str, dict[str, int]] = {}  # newest version of each nation's warnings, by key
        self.left_out: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def label(self, key: str) -> Label | None:
        """Return the label of one that is held."""
        held = self._held.get(key)
        return None if held is None else held.label

    def hear(self, now_ns: int, warnings: Iterable[WarningRecord], tracks: Iterable[PartnerRecord]) -> None:
        """Take partners' warnings and tracks, in the order in which they came."""
        for one in warnings:
            match one.record:
                case Warning():
                    self._hear_warning(now_ns, one.origin, one.record)
                case Retraction(reason="issued-in-error" | "threat-over" | "superseded"):
                    name = _key(one.origin, "warning", one.record.warning_id)
                    self._is_newer(one.origin, name, one.record.warning_version)  # what it takes back does not come again
                    self._drop(one.origin, "warning", name)
                case _:
                    pass  # an acknowledgement; one that was reinstated comes again with its next version
        for given in tracks:
            track = given.record
            if not isinstance(track, Track):
                continue
            name = f"{track.stream}/{track.number}"
            if track.status == "deleted":
                self._drop(given.origin, "track", _key(given.origin, "track", name))
            elif track.domain == "missile" or _fast(track):
                self._put(given.origin, "track", name, now_ns, _of_track(track))

    def step(self, now_ns: int, partners: Mapping[str, Sequence[PartnerReport]]) -> None:
        """Take partners' tracklets, and forget what points nowhere any more."""
        for nation, records in sorted(partners.items()):
            for one in records:
                if isinstance(one, Tracklet) and one.domain == "missile":
                    self._put(nation, "tracklet", f"{one.stream}/{one.number}", now_ns, _of_tracklet(one))
        for key in [key for key, one in self._held.items() if one.until_ns < now_ns - round(EARLY_S * NS)]:
            del self._held[key]
        for kept in self._kinds.values():
            for key in [key for key in kept if key not in self._held]:
                del kept[key]

    def at(self, t_ns: int, place_m: Array, doubt_m: float) -> frozenset[str]:
        """Return the keys of those that point at a place (ECEF, m) at a time; doubt_m: how far off the place may be."""
        return frozenset(key for key, one in self._held.items() if one.at(t_ns, place_m, doubt_m))

    def held(self, keys: frozenset[str]) -> frozenset[str]:
        """Return those of these keys that still point somewhere."""
        return keys & self._held.keys()

    def backs(self, keys: frozenset[str], sensors: set[int]) -> bool:
        """Tell whether one of these rests on sensors of none of the nations whose sensors these are."""
        nations = {self._nation_of(k) for k in sensors}
        return any(nations.isdisjoint(_rests_on(self._held[key].label)) for key in self.held(keys))

    def _is_newer(self, nation: str, key: str, version: int) -> bool:
        """Tell whether a version of a warning was not heard yet, nor a later one, and remember it."""
        known = self._versions.setdefault(nation, {})
        if known.get(key, -1) >= version:
            return False
        known.pop(key, None)
        known[key] = version
        if len(known) > VERSIONS_MAX:
            del known[next(iter(known))]
        return True

    def _hear_warning(self, now_ns: int, nation: str, warning: Warning) -> None:
        """Take a warning of a launch while it is open and of now; a version that says it is over ends what it pointed at."""
        name, told = _key(nation, "warning", warning.id), warning.flight
        if not self._is_newer(nation, name, warning.version):
            return
        path = None if told is None else way_of(told.path)
        if told is None or warning.state not in OPEN or (told.launch is None and path is None):
            self._drop(nation, "warning", name)
            return
        start, t_ns = np.zeros(3), warning.t_ns
        if told.launch is not None:
            start, t_ns = geodesy.geodetic_to_ecef(told.launch.lat_deg, told.launch.lon_deg, 0.0), told.launch.t_ns
        until_ns = min(warning.expires_ns, warning.t_ns + round(WARNS_S * NS))
        made = Pointer(t_ns, until_ns, warning.label, start, np.zeros(3), 0.0, told, path)
        if warning.t_ns <= now_ns + AHEAD_S * NS:
            self._put(nation, "warning", warning.id, now_ns, made)

    def _put(self, nation: str, kind: str, name: str, now_ns: int, made: Pointer | None) -> None:
        """Hold one in the place of its last, if it is of now."""
        if made is None or made.until_ns < now_ns or (made.told is None and made.t_ns > now_ns + AHEAD_S * NS):
            return
        key, kept = _key(nation, kind, name), self._kinds.setdefault((nation, kind), {})
        kept.pop(key, None)
        kept[key] = None
        self._held[key] = made
        if len(kept) > KEPT_MAX:
            self.left_out[nation] += 1
            self._drop(nation, kind, next(iter(kept)))

    def _drop(self, nation: str, kind: str, key: str) -> None:
        self._held.pop(key, None)
        self._kinds.get((nation, kind), {}).pop(key, None)


def _key(nation: str, kind: str, name: str) -> str:
    """Return the key of one; no sensor's name holds a colon."""
    return f"{nation}:{kind}:{name}"


def _rests_on(label: Label) -> set[str]:
    """Return whose sensors are behind what carries a label: its originator's own are not among its sources, once it joined."""
    return {label.originator, *label.sources}


def _fast(track: Track) -> bool:
    """Tell whether a track that is not held for a missile's yet is faster than any aircraft."""
    speed2 = track.velocity_east_m_s**2 + track.velocity_north_m_s**2 + track.velocity_up_m_s**2
    return track.domain in ("unknown", "air") and speed2 > FAST_M_S**2


def _of_track(track: Track) -> Pointer:
    place = geodesy.geodetic_to_ecef(track.lat_deg, track.lon_deg, track.alt_m)
    local = np.array([track.velocity_east_m_s, track.velocity_north_m_s, track.velocity_up_m_s])
    velocity = geodesy.enu_basis(track.lat_deg, track.lon_deg).T @ local
    sigma = float(np.sqrt(max(track.covariance[0] + track.covariance[6] + track.covariance[11], 0.0)))
    return Pointer(track.t_ns, track.t_ns + round(FLIES_S * NS), track.label, place, velocity, sigma)


def _of_tracklet(one: Tracklet) -> Pointer | None:
    """Return where a tracklet points: its own mean, what it leaves open held to be near its origin; None where it has none."""
    information = np.zeros((6, 6))
    information[_UPPER] = one.information
    information = information + np.triu(information, 1).T + np.diag([LOOSE_M**-2] * 3 + [LOOSE_M_S**-2] * 3)
    try:
        mean = np.linalg.solve(information, np.array(one.information_state))
        sigma2 = float(np.trace(np.linalg.inv(information)[:3, :3]))
    except np.linalg.LinAlgError:
        return None
    if not (np.isfinite(mean).all() and 0.0 <= sigma2 < np.inf):
        return None
    place = np.array(one.origin_ecef_m) + mean[:3]
    return Pointer(one.t_ns, one.t_ns + round(FLIES_S * NS), one.label, place, mean[3:], float(np.sqrt(sigma2)))

"""Records as a partner may send them: each valid, some of their fields plausible, the others anything that their types allow."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from hypothesis import strategies as st
from valid_values import fields, needed

from trilat.kernels import geodesy
from trilat.node.inputs import ReceivedInput
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.report import Fix, Measurement, Plot
from trilat.records.track import Area, Track, Tracklet
from trilat.records.warning import Acknowledgement, Recall, Retraction, Warning

NS = 1_000_000_000
KINDS: tuple[type, ...] = (
    *(Plot, Fix, Measurement, Tracklet, Track, Area),
    *(Warning, Acknowledgement, Retraction, Recall),
)
LANES = dict.fromkeys((Warning, Acknowledgement, Retraction, Recall), "flash")
# How far from now a record's own time is: in time, at the ends of what is taken, and anywhere.
OFFSETS_NS = (0, -100_000_000, -NS, -10 * NS, -59 * NS, -61 * NS, NS, 119 * NS, 121 * NS)
TIMES_NS = (0, 1, 7_258_118_400_000_000_000)
# Where nobody flies in the world of these tests; and the ends of the Earth.
PLACES = ((24.0, 123.5), (24.6, 124.4), (90.0, 0.0), (-90.0, 180.0), (0.0, -180.0), (0.0, 180.0), (66.5, 179.9999))
SPEEDS_M_S = (0.0, 240.0, 900.0, 3_000.0, 7_800.0, 20_000.0)
CLIMBS_M_S = (0.0, 0.0, -300.0, 1_500.0, 5_000.0)
HEIGHTS_M = (0.0, 9_000.0, 40_000.0, 150_000.0, -11_000.0, 9e7)


class Way(NamedTuple):
    """A straight way over the ground, and up or down."""

    place: tuple[float, float]
    height_m: float
    course_rad: float
    speed_m_s: float
    climb_m_s: float

    def at(self, seconds: float) -> tuple[float, float, float]:
        """Return latitude, longitude and height after so long."""
        basis, start = geodesy.enu_basis(*self.place), geodesy.geodetic_to_ecef(*self.place, self.height_m)
        ahead = np.array([np.sin(self.course_rad) * self.speed_m_s, np.cos(self.course_rad) * self.speed_m_s, self.climb_m_s])
        lat, lon, alt = geodesy.ecef_to_geodetic(start + basis.T @ ahead * seconds).tolist()
        return lat, lon, min(max(alt, -12_000.0), 1e8)


ways = st.builds(
    Way,
    st.sampled_from(PLACES),
    st.sampled_from(HEIGHTS_M),
    st.sampled_from((0.0, 1.0, 3.1, 6.28)),
    st.sampled_from(SPEEDS_M_S),
    st.sampled_from(CLIMBS_M_S),
)


class Sent(NamedTuple):
    """One record that a partner sends again and again: what is drawn of it stays, the rest goes on with time and way."""

    kind: type
    drawn: dict[str, Any]
    way: Way
    offset_ns: int | None
    serial: int

    def at(self, now_ns: int, step: int, sequence: int, exporter: str, mode: Mode) -> ReceivedInput:
        """Return it as the exchange would hand it over in a step."""
        t_ns = self.drawn.get("t_ns", now_ns) if self.offset_ns is None else max(now_ns + self.offset_ns, 0)
        plain = {**plausible(self.kind, self.way, t_ns, step, self.serial), **self.drawn, "t_ns": t_ns}
        plain = {name: one for name, one in plain.items() if name in fields(self.kind)}
        plain["label"] = label_of(exporter, mode, plain.get("label", {}))
        if "pedigree" in plain:
            plain["pedigree"] = {**plain["pedigree"], "nation": exporter}
        record = codec.encode(msgspec.convert(plain, self.kind))
        lane = LANES.get(self.kind, "state")
        codec.decode(record)  # valid, as it is to be
        return ReceivedInput(exporter=exporter, lane=lane, epoch=1, sequence=sequence, record=record)  # type: ignore[arg-type]


def label_of(exporter: str, mode: Mode, drawn: dict[str, Any]) -> dict[str, Any]:
    """Return a label as the exchange lets it in: the exporter's own, of our mode."""
    plain = msgspec.to_builtins(Label(policy="TRILAT", originator=exporter, mode=mode, level=1, rel_to=("JPN", "USA")))
    return {**plain, **drawn, "originator": exporter, "mode": plain["mode"]}


@st.composite
def sent(draw: st.DrawFn, kinds: tuple[type, ...] = KINDS) -> Sent:
    """Draw one record: its kind, its way, and which of its fields are anything at all (often few, sometimes every one)."""
    kind = draw(st.sampled_from(kinds))
    drawable = sorted(fields(kind))
    changed = draw(st.lists(st.sampled_from(drawable), unique=True, max_size=5) | st.just(drawable))
    drawn = {name: draw(fields(kind)[name]) for name in changed}
    offset_ns = draw(st.sampled_from(OFFSETS_NS) | st.none())
    if offset_ns is None and "t_ns" not in drawn:
        drawn["t_ns"] = draw(st.sampled_from(TIMES_NS))
    serial = draw(st.integers(1, 5))
    return Sent(kind, drawn, draw(ways), offset_ns, serial)


def plausible(kind: type, way: Way, t_ns: int, step: int, serial: int) -> dict[str, Any]:
    """Return every field that a kind of record needs, as an honest partner would fill it, and more."""
    lat, lon, alt = way.at(step * 0.2)
    level = way.speed_m_s * np.array([np.sin(way.course_rad), np.cos(way.course_rad)])
    velocity = np.clip([*level, way.climb_m_s], -20_000.0, 20_000.0)
    covariance = np.diag([1e4, 1e4, 1e4, 100.0, 100.0, 100.0])[np.triu_indices(6)].tolist()
    place = {"lat_deg": lat, "lon_deg": lon, "alt_m": alt}
    plain: dict[str, Any] = {
        "pedigree": {"nation": "KOR", "sensors": (f"KOR/x{serial}",)},
        "sensor": f"KOR/x{serial}",
        "stream": "KOR/track/1",
        "number": serial,
        "sequence": step,
        "status": "confirmed",
        "domain": "unknown",
        "updated_t_ns": t_ns,
        **place,
        **dict(zip(("velocity_east_m_s", "velocity_north_m_s", "velocity_up_m_s"), velocity.tolist(), strict=True)),
        "sigma_horizontal_m": 50.0,
        "sigma_along_m": 60.0,
        "sigma_across_m": 300.0,
        "sigma_up_m": 300.0,
        "radius_m": 5e4,
        "covariance": covariance,
        "existence": 0.9,
        "t_from_ns": max(t_ns - NS, 0),
        "model": "cv-4",
        "origin_ecef_m": geodesy.geodetic_to_ecef(lat, lon, alt).tolist(),
        "information_state": [0.0] * 6,
        "information": np.diag([1e-4, 1e-4, 1e-4, 1e-2, 1e-2, 1e-2])[np.triu_indices(6)].tolist(),
        "plots": 3,
        "id": f"w-{serial}",
        "version": step + 1,
        "state": "issued",
        "kind": "launch",
        "headline": "EXERCISE Launch",
        "expires_ns": t_ns + 600 * NS,
        "raised_by": "officer",
        "by": "officer",
        "nation": "KOR",
        "station": "watch",
        "warning_originator": "KOR",
        "warning_id": f"w-{serial}",
        "warning_version": step + 1,
        "lane": "state",
        "epoch": 1,
    }
    plain["expires_ns"] = min(plain["expires_ns"], TIMES_NS[-1])
    if kind is Acknowledgement:
        plain["kind"] = "acknowledged"
    plain |= {"reason": "threat-over", "sequences": (step + 1,)} if kind in (Retraction, Recall) else {}
    plain |= {"range_m": 1e5, "azimuth_rad": 1.0} if kind is Plot else {}
    assert needed(kind) <= set(plain) | {"label", "t_ns"}, needed(kind) - set(plain)
    return plain

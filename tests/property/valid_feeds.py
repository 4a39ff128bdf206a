"""Input of every feed format as a sensor may say it: each message valid, its values anything that the format can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import asterix_oracle
import msgspec
import numpy as np
from hypothesis import strategies as st
from pyais.encode import encode_dict
from valid_records import NS, Way, ways
from valid_values import fields

from trilat.feeds import modes_encode
from trilat.feeds.asterix_layout import latest_editions
from trilat.feeds.plots import PlotLine
from trilat.feeds.source import FixColumns, Source
from trilat.kernels import geodesy
from trilat.records.label import Label, Mode
from trilat.records.report import Fix
from trilat.records.sensor import Sensor

SAC = 77
# What FixColumns can name of a fix, in the order of the CSV table's columns.
FIX_NAMES = (
    *("lat_deg", "lon_deg", "alt_m", "speed_m_s", "course_rad", "vertical_rate_m_s", "sigma_horizontal_m", "sigma_vertical_m"),
    *("sigma_speed_m_s", "address", "mmsi", "callsign", "mode_3a", "simulated"),
)
TABLE = FixColumns(columns={"t": "t", **{name: name for name in FIX_NAMES}}, header=("t", *FIX_NAMES), time="epoch-ms")
# Beyond what is tracked, at it, and in it: one sensor may look high, another not.
FORMATS = (
    *("asterix", "beast", "avr", "modes-jsonl", "ais", "fixes-csv", "fixes-json", "plots-json", "sights-jsonl"),
    "fixes-json-missile",
)
OFFSETS_NS = (0, 0, -100_000_000, -NS, -30 * NS, 30 * NS)


class Said(NamedTuple):
    """One message of a feed that is said again in every step: what is drawn of it stays, time and way go on."""

    format: str
    drawn: dict[str, Any]
    way: Way
    offset_ns: int

    def at(self, now_ns: int, step: int) -> bytes:
        """Return its bytes in a step."""
        return WRITERS[self.format](self, now_ns + self.offset_ns, step)


def sources(formats: Sequence[str], nation: str, mode: Mode, label: Label) -> tuple[tuple[Sensor, ...], tuple[Source, ...]]:
    """Return sensors and sources of a nation for some formats, to stand beside its own."""
    # They look everywhere and are not expected to see anything: that they miss an aircraft is no word against it.
    far: dict[str, Any] = {"range_max_m": 5e7, "alt_max_m": 5e7, "detection_probability": 0.05, "period_s": 1.0}
    far |= {"lat_deg": 26.0, "lon_deg": 124.0}
    kinds = dict.fromkeys(FORMATS, "fixes") | {"plots-json": "radar3d", "sights-jsonl": "bearing"}

    def sensor(name: str, kind: str, **other: Any) -> Sensor:
        return Sensor(id=f"{nation}/x-{name}", kind=kind, nation=nation, label=label, **{**far, **other})  # type: ignore[arg-type]

    made, given = [], []
    for name in formats:
        mine: tuple[Sensor, ...] = (sensor(name, kinds[name]),)
        other: dict[str, Any] = {}
        if name == "asterix":
            stations = (("48", "radar2d", 48), ("21", "fixes", 21), ("62", "tracks", 62))
            mine = tuple(sensor(f"{name}{short}", kind, sac=SAC, sic=sic) for short, kind, sic in stations)
            other["editions"] = latest_editions()
        if name.startswith("fixes"):
            domain = "missile" if name.endswith("missile") else "unknown"
            other["fix_columns"] = msgspec.structs.replace(TABLE, domain=domain)  # type: ignore[arg-type]
        made += mine
        form: Any = name.removesuffix("-missile")
        given.append(Source(name=f"x-{name}", format=form, nation=nation, mode=mode, sensors=mine, **other))
    return tuple(made), tuple(given)


def _some(draw: st.DrawFn, kind: type, names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Draw a few of a type's fields, or all of them."""
    drawable = sorted(names or fields(kind))
    changed = draw(st.lists(st.sampled_from(drawable), unique=True, max_size=4) | st.just(drawable))
    return {name: draw(fields(kind)[name]) for name in changed}


# --- JSON and CSV -----------------------------------------------------------------------------------------------------

_SIGMAS = {"sigma_range_m": 1e-3, "sigma_azimuth_deg": 1e-6, "sigma_elevation_deg": 1e-6, "sigma_doppler_m_s": 1e-4}


def _plot(draw: st.DrawFn) -> dict[str, Any]:
    drawn = _some(draw, PlotLine, tuple(name for name in fields(PlotLine) if name not in {"t_ns", "sensor"}))
    # Smaller ones are refused: nothing measures better.
    return {name: max(one, _SIGMAS[name]) if name in _SIGMAS and one is not None else one for name, one in drawn.items()}


def _write_plot(said: Said, t_ns: int, step: int) -> bytes:
    away = 300_000.0 + min(said.way.speed_m_s, 8_000.0) * 0.2 * step
    plain = {"t_ns": t_ns, "azimuth_deg": 200.0, "elevation_deg": 20.0, "range_m": away, "simulated": True}
    return msgspec.json.encode({**plain, **said.drawn, "t_ns": t_ns}) + b"\n"


def _sight(draw: st.DrawFn) -> dict[str, Any]:
    unit = st.sampled_from((-1.0, -0.3, 0.0, 1e-9, 0.4, 1.0))
    return {
        "toward": [draw(unit) for _ in range(3)],
        "from_m": draw(st.sampled_from((6.21e6, 6.4e6, 6.9e6, 4.2164e7, 9.9e7))),
        "sigma_rad": draw(st.sampled_from((1e-8, 2e-5, 1e-3, 0.1)) | st.floats(1e-8, 0.1)),
    }


def _write_sight(said: Said, t_ns: int, step: int) -> bytes:
    lat, lon, alt = said.way.at(step * 0.2)
    target = geodesy.geodetic_to_ecef(lat, lon, alt)
    observer = geodesy.geodetic_to_ecef(5.0, 110.0, 0.0)
    observer *= said.drawn["from_m"] / np.linalg.norm(observer)
    direction = target - observer + np.array(said.drawn["toward"]) * 1e4
    plain = {"timestamp": t_ns / 1e9, "observer_ecef_m": observer.tolist(), "direction_ecef": direction.tolist()}
    return msgspec.json.encode({**plain, "sigma_rad": said.drawn["sigma_rad"], "simulated": True}) + b"\n"


def _fix(draw: st.DrawFn) -> dict[str, Any]:
    return {name: one for name, one in _some(draw, Fix, FIX_NAMES).items() if one is not None}


def _fix_row(said: Said, t_ns: int, step: int) -> dict[str, Any]:
    lat, lon, alt = said.way.at(step * 0.2)
    motion = {"speed_m_s": said.way.speed_m_s, "course_rad": said.way.course_rad, "vertical_rate_m_s": said.way.climb_m_s}
    plain = {"lat_deg": lat, "lon_deg": lon, "alt_m": alt, **motion, "sigma_horizontal_m": 50.0, "simulated": True}
    return {"t": t_ns // 1_000_000, **plain, **said.drawn}


def _write_fix_json(said: Said, t_ns: int, step: int) -> bytes:
    return msgspec.json.encode(_fix_row(said, t_ns, step)) + b"\n"


def _write_fix_csv(said: Said, t_ns: int, step: int) -> bytes:
    row = _fix_row(said, t_ns, step)
    cells = (
        "" if (one := row.get(name)) is None else str(one).lower() if isinstance(one, bool) else one for name in TABLE.header
    )
    quoted = (
        one if not isinstance(one, str) else '"' + one.replace('"', '""').replace("\n", " ").replace("\r", " ") + '"'
        for one in cells
    )
    return ",".join(str(one) for one in quoted).encode() + b"\n"


# --- ASTERIX ----------------------------------------------------------------------------------------------------------

_EDGES = {"zeros": lambda _: 0, "ones": lambda size: (1 << size) - 1, "least": lambda size: 1 << (size - 1)}
_HIDE = {48: ("250", "260", "RE", "SP"), 21: ("250", "260", "RE", "SP"), 62: ("RE", "SP")}


def _asterix(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "category": draw(st.sampled_from((48, 21, 62))),
        "bits": draw(st.sampled_from(("random", *_EDGES))),
        "share": draw(st.sampled_from((0.0, 0.2, 0.6, 1.0))),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


@cache
def _items(category: int) -> dict[str, Any]:
    """Return how each item of a category varies, by name."""
    record = asterix_oracle.specification(category, latest_editions()[category]).cv_uap.cv_record
    found = [item.cv_non_spare for item in record.cv_items_list if hasattr(item, "cv_non_spare")]
    return {item.cv_name: item.cv_rule.cv_variation for item in found}


def _item(kind: Any, bits: str, rng: np.random.Generator) -> Any:
    size = getattr(kind, "cv_bit_size", None)
    return _EDGES[bits](size) if bits in _EDGES and size is not None else asterix_oracle._random(kind, rng)


def _signed(degrees: float, bits: int, full_deg: float) -> int:
    """Return an angle as a two's complement number whose upper end stands for `full_deg`."""
    return min(round(degrees / full_deg * (1 << (bits - 1))), (1 << (bits - 1)) - 1) & ((1 << bits) - 1)


def _write_asterix(said: Said, t_ns: int, step: int) -> bytes:
    drawn, category = said.drawn, said.drawn["category"]
    rng = np.random.default_rng(drawn["seed"])
    arguments = {
        name: _item(kind, drawn["bits"], rng)
        for name, kind in _items(category).items()
        if name not in _HIDE[category] and rng.random() < drawn["share"]
    }
    lat, lon, _ = said.way.at(step * 0.2)
    tod = round(t_ns % (86_400 * NS) / NS * 128) % (86_400 * 128)
    arguments["010"] = SAC << 8 | category
    if category == 48:
        out = min(round(said.way.speed_m_s * step * 0.2 / 1852 * 256) + 20_000, 65_535)
        arguments |= {"140": tod, "020": [0b001_10000], "161": drawn["seed"] & 0xFFF}
        arguments["040"] = arguments.get("040", out << 16 | 0x2000)
    elif category == 21:
        arguments |= {"073": tod, "071": tod, "080": drawn["seed"] & 0xFFFFFF, "040": [0]}
        arguments["131"] = _signed(lat, 32, 360.0) << 32 | _signed(lon, 32, 360.0)
        arguments.pop("130", None)
    else:
        arguments |= {"070": tod, "040": drawn["seed"] & 0xFFF}
        arguments["105"] = _signed(lat, 32, 11_520.0) << 32 | _signed(lon, 32, 11_520.0)
        arguments.pop("100", None)
    record = asterix_oracle.specification(category, latest_editions()[category]).cv_uap.cv_record.create(arguments)
    body: bytes = record.unparse().to_bytes()
    return bytes([category]) + (len(body) + 3).to_bytes(2, "big") + body


# --- Mode S -----------------------------------------------------------------------------------------------------------


def _frames(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "address": draw(st.sampled_from((0, 1, 0xFFFFFF, 0x86D123, 0xABCDEF))),
        "types": draw(st.lists(st.integers(0, 31), max_size=3)),
        "bits": draw(st.sampled_from((0, (1 << 51) - 1, 1 << 50)) | st.integers(0, (1 << 51) - 1)),
        "moves": draw(st.sampled_from(((0, 0, 0), (250, 0, 5), (-525, 525, 165), (1e5, -1e5, -1e5)))),
        "nac_p": draw(st.integers(0, 15)),
        "ticks": draw(st.sampled_from((0, 1, (1 << 48) - 1)) | st.integers(0, (1 << 48) - 1)),
    }


def _squitters(said: Said, step: int) -> list[bytes]:
    lat, lon, alt = said.way.at(step * 0.2)
    address = said.drawn["address"]
    made = [modes_encode._squitter(address, kind << 51 | said.drawn["bits"]) for kind in said.drawn["types"]]
    made += [modes_encode.airborne_position(address, lat, lon, alt, odd=odd) for odd in (False, True)]
    made.append(modes_encode.airborne_velocity(address, *said.drawn["moves"]))
    return [*made, modes_encode.operational_status(address, said.drawn["nac_p"]), modes_encode.identification(address, "XTREME")]


def _write_beast(said: Said, _t_ns: int, step: int) -> bytes:
    return b"".join(modes_encode.beast(frame, said.drawn["ticks"]) for frame in _squitters(said, step))


def _write_avr(said: Said, _t_ns: int, step: int) -> bytes:
    ticks = b"%012X" % said.drawn["ticks"]
    return b"".join(
        (b"@" + ticks if k % 2 else b"*") + one.hex().encode() + b";\n" for k, one in enumerate(_squitters(said, step))
    )


def _write_modes(said: Said, t_ns: int, step: int) -> bytes:
    return b"".join(b'{"timestamp":%.9f,"frame":"%s"}\n' % (t_ns / 1e9, one.hex().encode()) for one in _squitters(said, step))


# --- AIS --------------------------------------------------------------------------------------------------------------

# Speeds in knots, turns and courses in degrees, as the messages can say them, "not available" among them.
_AIS = {
    "speed": (0.0, 0.1, 30.0, 102.2, 102.3),
    "course": (0.0, 359.9, 360.0),
    "heading": (0, 359, 511),
    "turn": (-128.0, -127.0, 0.0, 127.0),
    "status": tuple(range(16)),
    "second": (0, 59, 60, 63),
    "accuracy": (0, 1),
    "raim": (0, 1),
    "alt": (0, 4_094, 4_095),
    "shipname": ("", "A", "W" * 20, "@@@"),
    "callsign": ("", "ZZZZZZZ"),
    "to_bow": (0, 511),
}


def _ais(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from((1, 2, 3, 5, 9, 18, 19, 21, 24, 27)))
    names = draw(st.lists(st.sampled_from(sorted(_AIS)), unique=True, max_size=6) | st.just(sorted(_AIS)))
    mmsi = draw(st.sampled_from((0, 1, 431_000_009, 999_999_999)))
    return {"type": kind, "mmsi": mmsi, **{name: draw(st.sampled_from(_AIS[name])) for name in names}}


def _write_ais(said: Said, _t_ns: int, step: int) -> bytes:
    lat, lon, _ = said.way.at(step * 0.2)
    plain = {"speed": 10.0, "course": 90.0, "lat": lat, "lon": lon, **said.drawn}
    if plain["type"] == 27:  # in whole knots and degrees
        plain |= {"speed": min(int(plain["speed"]), 63), "course": min(int(plain["course"]), 511)}
    if plain["type"] == 24:
        plain["partno"] = 0
    return b"".join(one.encode() + b"\r\n" for one in encode_dict(plain, talker_id="AI", radio_channel="A"))


DRAWN: dict[str, Callable[[st.DrawFn], dict[str, Any]]] = {
    "asterix": _asterix,
    "beast": _frames,
    "avr": _frames,
    "modes-jsonl": _frames,
    "ais": _ais,
    "fixes-csv": _fix,
    "fixes-json": _fix,
    "fixes-json-missile": _fix,
    "plots-json": _plot,
    "sights-jsonl": _sight,
}
WRITERS: dict[str, Callable[[Said, int, int], bytes]] = {
    "asterix": _write_asterix,
    "beast": _write_beast,
    "avr": _write_avr,
    "modes-jsonl": _write_modes,
    "ais": _write_ais,
    "fixes-csv": _write_fix_csv,
    "fixes-json": _write_fix_json,
    "fixes-json-missile": _write_fix_json,
    "plots-json": _write_plot,
    "sights-jsonl": _write_sight,
}


@st.composite
def said(draw: st.DrawFn, most: int) -> list[Said]:
    """Draw some messages of a few formats: their ways and their values."""
    formats = draw(st.lists(st.sampled_from(FORMATS), min_size=1, max_size=4, unique=True))
    made = []
    for _ in range(draw(st.integers(1, most))):
        form = draw(st.sampled_from(formats))
        made.append(Said(form, DRAWN[form](draw), draw(ways), draw(st.sampled_from(OFFSETS_NS))))
    return made

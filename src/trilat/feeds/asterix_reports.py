"""From ASTERIX items to report columns: CAT048 to plots, CAT021 to fixes, CAT062 to system tracks. Units become SI here."""

from typing import Any, NamedTuple

import numpy as np

from trilat.feeds.accuracy import (
    BAROMETRIC_AS_GEOMETRIC_SIGMA_M,
    GEOMETRIC_ALTITUDE_95_M,
    NAUTICAL_MILE_M,
    RADIUS_95_PER_SIGMA,
    UNKNOWN_95_M,
    sigma_of_nac,
    sigma_of_nac_v,
    sigma_of_nuc,
)
from trilat.feeds.asterix_items import Items
from trilat.feeds.rows import not_physical
from trilat.kernels import asterix_plots as kernel
from trilat.records.columns import (
    DOMAINS,
    FLAG_BAROMETRIC,
    FLAG_EMERGENCY,
    FLAG_MILITARY_EMERGENCY,
    FLAG_SIMULATED,
    FLAG_SPI,
    FLAG_TEST,
    KIND_FIX,
    KIND_RADAR,
    KIND_TRACK,
    empty_reports,
)

Array = np.ndarray[Any, Any]

FOOT_M = 0.3048
FLIGHT_LEVEL_M = 100 * FOOT_M
FEET_PER_MIN_M_S = FOOT_M / 60.0
DEGREE_OF_LATITUDE_M = 111_320.0
SIGMA_PER_95_LINEAR = 1.959964  # a normal error lies within that many sigma in 95 % of cases
EMERGENCY_CODES = (0o7500, 0o7600, 0o7700)
# NIC -> containment radius (RTCA DO-260B, 2009, table 2-69), taken as a 95 % radius, which is on the safe side.
CONTAINMENT_M = (UNKNOWN_95_M, 37_040.0, 14_816.0, 7_408.0, 3_704.0, 1_852.0, 1_111.2, 370.4, 185.2, 75.0, 25.0, 7.5)
AIR = DOMAINS.index("air")

REASONS = {
    kernel.NO_DETECTION: "no-detection",
    kernel.FIXED_TRANSPONDER: "fixed-transponder",
    kernel.NO_POSITION: "position-missing",
    kernel.NOT_PHYSICAL: "value-implausible",
}


class Converted(NamedTuple):
    """One category's records as report columns, row by row, times and sensors not settled yet.

    station: SAC * 256 + SIC, -1 where missing. tods: time of day in 1/128 s, -1 where missing. verdict: OK or why not.
    dropped: how many values (heights) were not physical and were left out of reports that are kept.
    """

    columns: Array
    station: Array
    tods: Array
    verdict: Array
    dropped: int


class Columns:
    """Some once-a-record fields of all records, by name; a field that the edition does not have is absent everywhere."""

    def __init__(self, items: Items, names: tuple[str, ...]) -> None:
        known = tuple(name for name in names if name in items.layout.fields)
        self._rows: dict[str, Array] = dict(zip(known, items.values(known), strict=True))
        self.absent: Array = np.full(len(items), np.nan)

    def __getitem__(self, name: str) -> Array:
        return self._rows.get(name, self.absent)

    def is_set(self, name: str) -> Array:
        """Tell where a one-bit field is there and 1."""
        result: Array = self[name] == 1.0
        return result


# In the order of the rows of `kernels/asterix_plots.py`.
PLOT_FIELDS = (
    *("010/SAC", "010/SIC", "140", "020/TYP", "020/SIM", "020/TST", "020/SPI", "020/ME", "020/RAB", "170/GHO"),
    *("040/RHO", "040/THETA", "070/V", "070/G", "070/MODE3A", "090/V", "090/G", "090/FL", "110/3DH", "120/CAL/D", "120/CAL/CAL"),
    *("161/TRN", "220"),
)
PLOT_FLAGS = np.array([FLAG_SIMULATED, FLAG_TEST, FLAG_SPI, FLAG_MILITARY_EMERGENCY, FLAG_BAROMETRIC, FLAG_EMERGENCY], np.int64)


def plots(items: Items) -> Converted:
    """Return CAT048 records as radar plots. Source: EUROCONTROL-SPEC-0149-4.

    Azimuth as the radar gives it (from its local north), slant range; `height_m` from the 3-D height (I110) or else from a valid,
    ungarbled Mode C (I090, FLAG_BAROMETRIC): heights above sea level, taken as ellipsoidal. `doppler_m_s` is I120 CAL,
    positive away from the radar, unless marked doubtful. Tracks that the radar did not see are no plots.
    """
    floats = np.empty((4, len(items)))
    ints = np.empty((7, len(items)), np.int64)
    dropped = kernel.convert_plots(items.values(PLOT_FIELDS), PLOT_FLAGS, floats, ints)
    out = empty_reports(len(items))
    out["kind"] = KIND_RADAR
    out["range_m"] = floats[kernel.RANGE_M]
    out["azimuth_rad"] = floats[kernel.AZIMUTH_RAD]
    out["height_m"] = floats[kernel.HEIGHT_M]
    out["doppler_m_s"] = floats[kernel.SPEED_M_S]
    out["flags"] = ints[kernel.FLAGS]
    out["mode_3a"] = ints[kernel.MODE_3A]
    out["address"] = ints[kernel.ICAO]
    out["sensor_track"] = ints[kernel.SENSOR_TRACK]
    out["callsign"] = items.text("240", clean=True)[0]
    return Converted(out, ints[kernel.STATION], ints[kernel.TODS], ints[kernel.VERDICT], dropped)


FIX_FIELDS = (
    *("010/SAC", "010/SIC", "071", "073", "030", "077", "072", "075", "130/LAT", "130/LON", "131/LAT", "131/LON"),
    *("040/SIM", "040/TST", "040/SPI", "040/RAB", "080", "140", "145", "070/MODE3A", "070/V", "070/G", "161/TRNUM"),
    *("090/NUCRNACV", "090/NUCPNIC", "090/NACP", "090/GVA", "090/PA", "210/VN", "200/PS", "200/SS"),
    *("160/RE", "160/GS", "160/TA", "157", "157/RE", "157/GVR", "155", "155/RE", "155/BVR"),
)


def fixes(items: Items) -> Converted:
    """Return CAT021 records as fixes, with accuracy from NACp, else NUCp or NIC by MOPS version (EUROCONTROL-SPEC-0149-12).

    Time: of applicability of the position (I071), else of its reception (I073, I030), else the next best. `alt_m` is the
    geometric height (I140), else the flight level (I145) with FLAG_BAROMETRIC and a sigma that says so.
    """
    v = Columns(items, FIX_FIELDS)
    out = empty_reports(len(items))
    out["kind"] = KIND_FIX
    out["domain"] = AIR
    out["lat_deg"] = _first(v["131/LAT"], v["130/LAT"])
    out["lon_deg"] = _first(v["131/LON"], v["130/LON"])
    geometric, dropped = _bounded(v["140"] * FOOT_M, kernel.HEIGHT_M_MIN, kernel.HEIGHT_M_MAX)
    level, dropped_too = _bounded(v["145"] * FLIGHT_LEVEL_M, kernel.HEIGHT_M_MIN, kernel.BAROMETRIC_M_MAX)
    flags = _flags(v, "040/")
    sigma_m = _table([value / SIGMA_PER_95_LINEAR for value in GEOMETRIC_ALTITUDE_95_M], np.nan_to_num(v["090/GVA"]))
    flags |= _altitude(out, geometric, level, sigma_m, np.full(len(out), np.nan))
    out["speed_m_s"] = np.where(v.is_set("160/RE"), np.nan, np.abs(v["160/GS"]) * NAUTICAL_MILE_M)
    out["course_rad"] = np.where(np.isnan(out["speed_m_s"]), np.nan, np.radians(v["160/TA"]))
    climb = _first(
        np.where(v.is_set("157/RE"), np.nan, _first(v["157/GVR"], v["157"])),
        np.where(v.is_set("155/RE"), np.nan, _first(v["155/BVR"], v["155"])),
    )
    out["vertical_rate_m_s"] = climb * FEET_PER_MIN_M_S
    out["sigma_horizontal_m"] = _horizontal_sigma(v)
    velocity_sigma = _table([sigma_of_nac_v(n) for n in range(5)], v["090/NUCRNACV"])
    out["sigma_speed_m_s"] = np.where(np.isnan(out["speed_m_s"]), np.nan, velocity_sigma)
    code = whole(np.where(v.is_set("070/V") | v.is_set("070/G"), np.nan, v["070/MODE3A"]))
    out["mode_3a"] = code
    out["address"] = _address(v["080"])
    out["sensor_track"] = whole(v["161/TRNUM"])
    _callsign(out, items, "170")
    in_need = (v["200/PS"] > 0) | _is_emergency(code)
    out["flags"] = flags | in_need * np.uint32(FLAG_EMERGENCY) | (v["200/SS"] == 3) * np.uint32(FLAG_SPI)
    verdict = _fix_verdict(out)
    verdict[v.is_set("040/RAB")] = kernel.FIXED_TRANSPONDER
    time = _first(*(v[name] for name in ("071", "073", "030", "077", "072", "075")))
    return Converted(out, station(v), whole(time * 128), verdict, dropped + dropped_too)


TRACK_FIELDS = (
    *("010/SAC", "010/SIC", "070", "105/LAT", "105/LON", "185/VX", "185/VY", "060/V", "060/G", "060/MODE3A", "380/ADR", "040"),
    *("080/SIM", "080/SPI", "080/ME", "080/EMS", "080/CST", "130", "135/CTB", "136", "220", "500/APW/LAT", "500/APW/LON"),
    *("500/APC/X", "500/APC/Y", "500/AGA", "500/ABA", "500/ATV/X", "500/ATV/Y"),
)


def tracks(items: Items) -> Converted:
    """Return CAT062 records as a foreign tracker's system tracks. Source: EUROCONTROL-SPEC-0149-9.

    Position from I105, velocity from I185 (the tracker's own plane: its y axis is taken as true north), `alt_m` from I130, else
    from the barometric I135 or I136 with FLAG_BAROMETRIC; accuracies from I500. Coasting tracks are no news and are refused.
    """
    v = Columns(items, TRACK_FIELDS)
    out = empty_reports(len(items))
    out["kind"] = KIND_TRACK
    out["domain"] = AIR
    out["lat_deg"] = v["105/LAT"]
    out["lon_deg"] = v["105/LON"]
    out["speed_m_s"] = np.hypot(v["185/VX"], v["185/VY"])
    out["course_rad"] = np.arctan2(v["185/VX"], v["185/VY"]) % (2 * np.pi)
    out["vertical_rate_m_s"] = v["220"] * FEET_PER_MIN_M_S
    geometric, dropped = _bounded(v["130"] * FOOT_M, kernel.HEIGHT_M_MIN, kernel.HEIGHT_M_MAX)
    level, dropped_too = _bounded(_first(v["135/CTB"], v["136"]) * FLIGHT_LEVEL_M, kernel.HEIGHT_M_MIN, kernel.BAROMETRIC_M_MAX)
    flags = _flags(v, "080/")
    flags |= _altitude(out, geometric, level, _positive(v["500/AGA"] * FOOT_M), _positive(v["500/ABA"] * FLIGHT_LEVEL_M))
    north = v["500/APW/LAT"] * DEGREE_OF_LATITUDE_M
    east = v["500/APW/LON"] * DEGREE_OF_LATITUDE_M * np.cos(np.radians(out["lat_deg"]))
    in_degrees = _positive(np.hypot(north, east) / np.sqrt(2))
    out["sigma_horizontal_m"] = _first(_positive(np.hypot(v["500/APC/X"], v["500/APC/Y"]) / np.sqrt(2)), in_degrees)
    out["sigma_speed_m_s"] = _positive(np.hypot(v["500/ATV/X"], v["500/ATV/Y"]) / np.sqrt(2))
    code = whole(np.where(v.is_set("060/V") | v.is_set("060/G"), np.nan, v["060/MODE3A"]))
    out["mode_3a"] = code
    out["address"] = _address(v["380/ADR"])
    out["sensor_track"] = whole(v["040"])
    _callsign(out, items, "380/ID")
    _callsign(out, items, "245/CHR")
    out["flags"] = flags | ((v["080/EMS"] > 0) | _is_emergency(code)) * np.uint32(FLAG_EMERGENCY)
    verdict = _fix_verdict(out)
    verdict[v.is_set("080/CST")] = kernel.NO_DETECTION
    return Converted(out, station(v), whole(v["070"] * 128), verdict, dropped + dropped_too)


def _fix_verdict(out: Array) -> Array:
    """Return the verdict over positions: physical, missing or impossible. A sigma that is absent is filled in later."""
    judged = out.copy()
    judged["t_ns"] = 0
    judged["sigma_horizontal_m"] = np.nan_to_num(out["sigma_horizontal_m"], nan=1.0)
    verdict = np.where(not_physical(judged), kernel.NOT_PHYSICAL, kernel.OK)
    verdict[np.isnan(out["lat_deg"])] = kernel.NO_POSITION
    return verdict


def _altitude(out: Array, geometric: Array, level: Array, sigma_m: Array, level_sigma_m: Array) -> Array:
    """Write altitude and its sigma, geometric first; returns the flags that say which it is."""
    barometric = np.isnan(geometric) & ~np.isnan(level)
    out["alt_m"] = np.where(barometric, level, geometric)
    pressure_sigma = np.hypot(np.nan_to_num(level_sigma_m), BAROMETRIC_AS_GEOMETRIC_SIGMA_M)
    out["sigma_vertical_m"] = np.where(np.isnan(out["alt_m"]), np.nan, np.where(barometric, pressure_sigma, sigma_m))
    result: Array = barometric * np.uint32(FLAG_BAROMETRIC)
    return result


def _horizontal_sigma(v: Columns) -> Array:
    """Return the position sigma of a CAT021 report; NaN when it says nothing of its quality."""
    nac = _table([sigma_of_nac(n) for n in range(16)], _first(v["090/NACP"], v["090/PA"]))
    nuc = _table([sigma_of_nuc(n) for n in range(16)], v["090/NUCPNIC"])
    nic = _table([radius / RADIUS_95_PER_SIGMA for radius in CONTAINMENT_M], v["090/NUCPNIC"])
    return _first(nac, np.where(v["210/VN"] >= 1, nic, nuc))


def _table(values: list[float], index: Array) -> Array:
    """Look numbers up; beyond the end counts as unknown, which is entry 0; NaN stays NaN."""
    known = np.where((index >= 0) & (index < len(values)), index, 0).astype(np.int64)
    return np.where(np.isnan(index), np.nan, np.array(values)[known])


def _flags(v: Columns, item: str) -> Array:
    """Return the flags that a descriptor item says."""
    bits = (("SIM", FLAG_SIMULATED), ("TST", FLAG_TEST), ("SPI", FLAG_SPI), ("ME", FLAG_MILITARY_EMERGENCY))
    flags = np.zeros(len(v.absent), np.uint32)
    for name, flag in bits:
        here = v.is_set(item + name)
        if here.any():
            flags[here] |= np.uint32(flag)
    return flags


def _is_emergency(code: Array) -> Array:
    result: Array = (code == EMERGENCY_CODES[0]) | (code == EMERGENCY_CODES[1]) | (code == EMERGENCY_CODES[2])
    return result


def station(v: Columns) -> Array:
    """Return SAC * 256 + SIC, -1 where missing."""
    return whole(v["010/SAC"] * 256 + v["010/SIC"])


def _address(values: Array) -> Array:
    """Return 24-bit addresses; those that no aircraft can have (all zeros, all ones) are absent."""
    return whole(np.where((values == 0) | (values == 0xFFFFFF), np.nan, values))


def _callsign(out: Array, items: Items, name: str) -> None:
    """Write callsigns where they are there, have a character, and every character is valid."""
    if items.present(name).any():
        text = items.text(name, clean=True)[0]
        out["callsign"] = np.where(text != b"", text, out["callsign"])


def whole(values: Array) -> Array:
    """Return whole numbers as int64, -1 where absent."""
    return np.where(np.isnan(values), -1.0, values).astype(np.int64)


def _first(*candidates: Array) -> Array:
    """Return, row by row, the first candidate that is there."""
    found = candidates[0]
    for other in candidates[1:]:
        found = np.where(np.isnan(found), other, found)
    return found


def _positive(values: Array) -> Array:
    """Return values with 0 (which says nothing of an accuracy) made absent."""
    return np.where(values > 0, values, np.nan)


def _bounded(values: Array, low: float, high: float) -> tuple[Array, int]:
    """Return values with those beyond the bounds made absent, and how many these were."""
    beyond = (values < low) | (values > high)
    count = int(np.count_nonzero(beyond))
    return (np.where(beyond, np.nan, values), count) if count else (values, 0)

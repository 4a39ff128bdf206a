"""Registration between nations finds what parts plots of several nations, whose radars' places nobody told, and takes it off."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from trilat.fuse.between import OWN_PRIOR, PARTNER_PRIOR, SOURCES_MAX, Between, points_of
from trilat.fuse.earth_fixed import ROOT, columns_of_measurements, measurements
from trilat.fuse.pairing import SITE
from trilat.kernels import geodesy
from trilat.records.columns import KIND_FIX, KIND_RADAR, KIND_TRACKLET, Reports, empty_reports
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor

T0_NS = 1_760_000_000_000_000_000
S_NS = 10**9
LABEL = Label(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="test"), level=0)
DEG = np.pi / 180
SIGMA = (60.0, 0.1 * DEG, 0.1 * DEG)
TRUTH = {"JPN:A": (0.0, 0.0, 0.0, 0.0), "KOR:B": (150.0, -0.25 * DEG, 0.15 * DEG, 0.0), "USA:C": (-100.0, 0.2 * DEG, 0.0, 0.0)}
PLACES = {"JPN:A": (33.0, 130.0), "KOR:B": (34.2, 129.0), "USA:C": (32.5, 131.4)}
PERIODS_S = {"JPN:A": 4, "KOR:B": 5, "USA:C": 10}


def radar(name: str) -> Sensor:
    return Sensor(
        id=name, nation=name[:3], label=LABEL, kind="radar3d", lat_deg=PLACES[name][0], lon_deg=PLACES[name][1], alt_m=200.0,
        sigma_range_m=SIGMA[0], sigma_azimuth_rad=SIGMA[1], sigma_elevation_rad=SIGMA[2],
    )  # fmt: skip


RADARS = {name: radar(name) for name in PLACES}
REPORTS = Sensor(id="F", nation="JPN", label=LABEL, kind="fixes", period_s=5.0, sigma_horizontal_m=30.0, sigma_vertical_m=30.0)


def flight(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Give places and velocities of aircraft in straight flight."""
    g = np.random.default_rng(seed)
    lat, lon = 33.0 + g.uniform(-1.4, 1.6, count), 130.0 + g.uniform(-1.6, 1.6, count)
    heading = g.uniform(0, 2 * np.pi, count)
    local = 230.0 * np.stack([np.sin(heading), np.cos(heading), 0 * heading], axis=1)
    return (
        geodesy.geodetic_to_ecef(lat, lon, g.uniform(5_000, 11_000, count)),
        np.einsum("nji,nj->ni", geodesy.enu_basis(lat, lon), local),
        g,
    )


def said_to_stand(one: Sensor, place_m: tuple[float, float, float]) -> Sensor:
    """Give a radar with the place it is said to have when it truly stands place_m (east, north, up) beside that."""
    here = geodesy.geodetic_to_ecef(one.lat_deg, one.lon_deg, one.alt_m)
    lat, lon, alt = geodesy.ecef_to_geodetic(here - np.array(place_m) @ geodesy.enu_basis(one.lat_deg, one.lon_deg))
    return msgspec.structs.replace(one, lat_deg=float(lat), lon_deg=float(lon), alt_m=float(alt))


def scans(
    seconds: int, truth: dict[str, tuple[float, ...]], seed: int = 1, beside: dict[str, tuple[float, float, float]] | None = None
) -> list[tuple[int, str, Any]]:
    """Give (second, source, reports): own radar's plots, and what leaves partners, who may stand beside where they think they do."""
    start, velocity, g = flight(seed)
    out = []
    for t in range(1, seconds + 1):
        for name, sensor in RADARS.items():
            if t % PERIODS_S[name]:
                continue
            rae = geodesy.ecef_to_rae(start + t * velocity, sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
            rae = rae + g.normal(size=rae.shape) * SIGMA + np.array(truth[name][:3])
            seen = rae[g.random(len(rae)) < 0.9]
            columns = empty_reports(len(seen))
            columns["kind"], columns["t_ns"] = KIND_RADAR, T0_NS + t * S_NS + round(truth[name][3] * S_NS)
            columns["range_m"], columns["azimuth_rad"], columns["elevation_rad"] = (
                seen[:, 0],
                seen[:, 1] % (2 * np.pi),
                seen[:, 2],
            )
            said = said_to_stand(sensor, (beside or {}).get(name, (0.0, 0.0, 0.0)))
            out.append((t, name, columns if name == "JPN:A" else earth_fixed(columns, said)))
    return out


def earth_fixed(columns: Any, sensor: Sensor) -> Any:
    pedigree = Pedigree(nation=sensor.nation, sensors=(sensor.id,))
    batch = Reports(source=sensor.id, label=LABEL, pedigree=pedigree, received_t_ns=0, columns=columns)
    return columns_of_measurements(measurements(batch, sensor))


def run(said: list[tuple[int, str, Any]], late_s: dict[int, int] | None = None) -> tuple[Between, list[Any]]:
    """Hand scans over in the order of their arrival (late_s: by place in the list); return what they became, by place."""
    between, out = Between(), [None] * len(said)
    arrival = sorted(range(len(said)), key=lambda k: (said[k][0] + (late_s or {}).get(k, 0), -k if late_s else k))
    for k in arrival:
        t, name, columns = said[k]
        between.learn(T0_NS + (t + (late_s or {}).get(k, 0)) * S_NS)
        own = {"JPN:A": (RADARS["JPN:A"], OWN_PRIOR), "JPN:F": (REPORTS, None)}
        out[k], _ = between.take(name, columns, None, *own.get(name, (None, PARTNER_PRIOR)))
    between.learn(T0_NS + (said[-1][0] + 60) * S_NS)
    return between, out


def in_units(name: str) -> np.ndarray:
    """Give a source's true biases as they are estimated: angles in sigmas, and its place right."""
    return np.array([*TRUTH[name], 0.0, 0.0, 0.0]) / [1.0, SIGMA[1], SIGMA[2], 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["KOR:B", "USA:C"])
def test_biases_of_partners_are_found_in_five_minutes(name: str) -> None:
    """0.2 degrees and 100 m of radars whose places are unknown are found within 10 %, and within what is said to be doubt."""
    known = run(scans(300, TRUTH))[0].known()[name]
    away = np.abs(known.value - in_units(name))
    assert (away[:3] < np.maximum(0.1 * np.abs(in_units(name)[:3]), [15.0, 0.15, 0.25])).all(), known
    assert (away < 4.0 * known.sigma).all(), known


def test_what_is_found_is_taken_off() -> None:
    """Plots of a partner after some minutes are about where its radar would have put them without biases; before, as they came."""
    said, clean = scans(240, TRUTH), scans(240, dict.fromkeys(TRUTH, (0.0, 0.0, 0.0, 0.0)))
    _, became = run(said)
    for k, (t, name, columns) in enumerate(said):
        if name == "JPN:A" or 40 < t < 200:
            continue
        want = points_of(clean[k][2] if t >= 200 else columns, None, None).place_m
        away = np.linalg.norm(points_of(became[k], None, None).place_m - want, axis=1)
        assert away.max() < (150.0 if t >= 200 else 1e-6), (t, name, away.max())


def self_reports(seconds: int, seed: int = 1) -> list[tuple[int, str, Any]]:
    """Give (second, source, reports) of what the aircraft of `scans` say of themselves every five seconds, 30 m off."""
    start, velocity, _ = flight(seed)
    out, g = [], np.random.default_rng(99)
    for t in range(5, seconds + 1, 5):
        place = geodesy.ecef_to_geodetic(start + t * velocity + g.normal(0, 30.0, start.shape))
        local = np.einsum("nij,nj->ni", geodesy.enu_basis(place[:, 0], place[:, 1]), velocity)
        said = empty_reports(len(start))
        said["kind"], said["t_ns"], said["address"] = KIND_FIX, T0_NS + t * S_NS, np.arange(len(start)) + 0x840000
        said["lat_deg"], said["lon_deg"], said["alt_m"] = place.T
        said["speed_m_s"] = np.hypot(local[:, 0], local[:, 1])
        said["course_rad"], said["vertical_rate_m_s"] = np.arctan2(local[:, 0], local[:, 1]) % (2 * np.pi), local[:, 2]
        out.append((t, "JPN:F", said))
    return out


@pytest.mark.parametrize("biases", [dict.fromkeys(TRUTH, (0.0,) * 4), TRUTH], ids=["place", "place-and-biases"])
def test_a_partner_that_stands_elsewhere_is_found_and_its_plots_are_moved(biases: dict[str, tuple[float, ...]]) -> None:
    """300 m east and 200 m north of what its nation thinks: found, and its plots come to where self-reports have the targets."""
    radars = scans(300, biases, beside={"KOR:B": (300.0, 200.0, 0.0)})
    between, became = run(sorted(radars + self_reports(300), key=lambda one: one[:2]))
    known, truth_m = between.known()["KOR:B"], np.array([300.0, 200.0, 0.0]) @ geodesy.enu_basis(*PLACES["KOR:B"])
    assert (np.abs(known.value[SITE:] - truth_m) < np.minimum(4.0 * known.sigma[SITE:] + 10.0, 60.0)).all(), (known, truth_m)
    assert np.abs(between.known()["USA:C"].taken[SITE:]).max() < 1.0
    means = []
    clean = {(t, name): one for t, name, one in scans(300, dict.fromkeys(TRUTH, (0.0,) * 4))}
    came = {(t, name): one for t, name, one in radars}
    for (t, name), after in zip(sorted([*came, *((t, name) for t, name, _ in self_reports(300))]), became, strict=True):
        if name == "KOR:B" and t > 240:
            want = points_of(clean[t, name], None, None).place_m
            means.append([(points_of(one, None, None).place_m - want).mean(axis=0) for one in (came[t, name], after)])
    before_m, after_m = np.linalg.norm(np.mean(means, axis=0), axis=1)
    assert before_m > 300.0
    assert after_m < 0.2 * before_m, (before_m, after_m)


@pytest.mark.parametrize("seed", range(1, 4))
def test_which_of_two_partners_stands_wrong_is_not_made_up(seed: int) -> None:
    """By three radars alone a place that is wrong may as well be the other partner's: both are in doubt, and it is said how much."""
    beside = {"KOR:B": (300.0, 200.0, 0.0)}
    known = run(scans(300, dict.fromkeys(TRUTH, (0.0,) * 4), seed=seed, beside=beside))[0].known()
    for name, one in known.items():
        truth_m = np.array(beside.get(name, (0.0, 0.0, 0.0))) @ geodesy.enu_basis(*PLACES[name])
        assert (np.abs(one.value[SITE:] - truth_m) < 4.0 * one.sigma[SITE:]).all(), (name, one)
    assert min(known[name].sigma[SITE:].max() for name in beside | {"USA:C": ()}) > 100.0


def test_honest_radars_are_left_alone() -> None:
    """What is not surely there is not taken off: honest radars' plots stay as they came."""
    said = scans(240, dict.fromkeys(TRUTH, (0.0, 0.0, 0.0, 0.0)), seed=2)
    _, became = run(said)
    changed = [k for k, (_, _, columns) in enumerate(said) if became[k].tobytes() != columns.tobytes()]
    assert len(changed) < 0.05 * len(said), len(changed)


def test_order_lateness_and_repeats_change_nothing() -> None:
    """Scans up to 20 s late, in another order and twice, become the same bytes as in order."""
    said = scans(160, TRUTH)
    g = np.random.default_rng(5)
    late = {k: int(g.integers(0, 21)) for k in range(len(said))}
    twice = [*said, *said]
    late |= {k + len(said): int(g.integers(0, 25)) for k in range(len(said))}
    _, once = run(said)
    _, again = run(twice, late)
    assert any(a.tobytes() != b[2].tobytes() for a, b in zip(once, said, strict=True))
    for k, one in enumerate(once):
        assert one.tobytes() == again[k].tobytes(), said[k][:2]
        assert one.tobytes() == again[k + len(said)].tobytes(), said[k][:2]


def test_a_ball_has_no_axis() -> None:
    """A plot whose ellipsoid was made a ball says nothing of its radar's biases, and is left as it came."""
    columns = scans(10, TRUTH)[-1][2]
    columns["sigma_range_m"] = columns["sigma_horizontal_m"] = columns["sigma_vertical_m"] = 300.0
    assert not points_of(columns, None, None).effect.any()
    assert (np.einsum("nii->n", points_of(columns, None, None).covariance) > 1e9).all()


@pytest.mark.parametrize("range_m", [45e3, 60e3, 150e3, 280e3])
def test_a_tracklets_axes_are_those_of_its_radar(range_m: float) -> None:
    """A radar whose elevation is an eighth wider than its azimuth: its tracklets are moved as its plots would be, near and far."""
    one = msgspec.structs.replace(
        RADARS["KOR:B"], sigma_range_m=75.0, sigma_azimuth_rad=0.12 * DEG, sigma_elevation_rad=0.135 * DEG
    )
    columns = empty_reports(8)
    columns["kind"], columns["range_m"], columns["elevation_rad"] = KIND_RADAR, range_m, 4_000.0 / range_m
    columns["azimuth_rad"] = np.linspace(0.1, 6.0, 8)
    plots = points_of(columns, None, one)
    rows = np.zeros((8, ROOT + 21))
    rows[:, :3] = plots.place_m
    for k, P in enumerate(plots.covariance):  # noqa: N806 - the field's letter
        root = np.zeros((6, 6))
        root[:3, :3] = np.linalg.cholesky(np.linalg.inv(P)).T
        rows[k, ROOT:] = root[np.triu_indices(6)]
    told = columns.copy()
    told["kind"] = KIND_TRACKLET
    told["lat_deg"], told["lon_deg"], told["alt_m"] = geodesy.ecef_to_geodetic(plots.place_m).T
    away = np.linalg.norm(points_of(told, rows, None).effect - plots.effect, axis=1)[:, :SITE] / np.linalg.norm(
        plots.effect, axis=1
    )[:, :SITE].clip(1e-9)
    assert away[:, :3].max() < 0.1, away


def test_own_radars_are_believed_before_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing tells whose fault it is - a partner's radar stands where the own one does - own plots stay as they came."""
    monkeypatch.setitem(RADARS, "KOR:B", msgspec.structs.replace(RADARS["KOR:B"], lat_deg=33.0, lon_deg=130.0))
    truth = TRUTH | {"KOR:B": (0.0, 0.5 * DEG, 0.0, 0.0)}
    said = [one for one in scans(200, truth) if one[1] != "USA:C"]
    _, became = run(said)
    assert [] == [t for (t, name, c), one in zip(said, became, strict=True) if name == "JPN:A" and one.tobytes() != c.tobytes()]


@pytest.mark.parametrize("first", sorted(PLACES))
def test_whoever_comes_first_changes_nothing(first: str) -> None:
    """Sources that begin in another order are estimated to the same bytes."""
    said = scans(160, TRUTH)
    late = {k: 0 if name == first else 3 for k, (_, name, _) in enumerate(said)}
    once, again = run(said)[0].known(), run(said, late)[0].known()
    assert {k: v.value.tobytes() for k, v in once.items()} == {k: v.value.tobytes() for k, v in again.items()}


def test_reports_of_other_times_are_not_kept() -> None:
    """A partner that says what will be in a year, or was an hour ago, fills nothing: only what may yet be learnt from waits."""
    made, hour_ns = Between(), 3_600 * 10**9
    columns = next(one for _, name, one in scans(60, TRUTH) if name == "KOR:B")
    made.learn(int(columns["t_ns"].max()))
    for ahead_ns in (-hour_ns, 0, hour_ns, 8_760 * hour_ns):
        said = columns.copy()
        said["t_ns"] += ahead_ns
        made.take("KOR:B", said, None, None, PARTNER_PRIOR)
    assert len(columns) == sum(len(one) for parts in made._waiting["KOR:B"].values() for one, _ in parts)


def test_a_partner_that_names_ever_new_sensors_fills_nothing() -> None:
    """Names are what a partner says they are: beyond a bound of its own its reports come through as they came; others' are learnt."""
    made = Between()
    columns = next(one for _, name, one in scans(60, TRUTH) if name == "KOR:B")
    made.learn(int(columns["t_ns"].max()))
    for k in range(SOURCES_MAX + 40):
        assert made.take(f"KOR:{k}", columns, None, None, PARTNER_PRIOR)[0] is columns
    made.take("USA:C", columns, None, None, PARTNER_PRIOR)
    assert SOURCES_MAX + 1 == len(made.known()) == len(made._waiting)
    assert {"sources-full": 40 * len(columns)} == made.refused

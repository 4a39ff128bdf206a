"""Registration finds what was added to a radar's measurements, says how sure it is, and takes it off."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from trilat.fuse.earth_fixed import ellipsoids
from trilat.fuse.pairing import plots
from trilat.fuse.registration import AZIMUTH, PLACE, RANGE, TIME, Registration, by_address, look
from trilat.kernels import geodesy
from trilat.records.columns import KIND_RADAR, Reports, empty_reports, empty_tracks
from trilat.records.label import Label, Mode
from trilat.records.report import Pedigree
from trilat.records.sensor import Sensor
from trilat.track import Tracker, TrackerSettings

T0_NS = 1_760_000_000_000_000_000
LABEL = Label(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="test"), level=0)
DEG = np.pi / 180


def radar(name: str, lat: float, lon: float) -> Sensor:
    return Sensor(
        id=name, nation="JPN", label=LABEL, kind="radar3d", lat_deg=lat, lon_deg=lon, alt_m=200.0,
        sigma_range_m=60.0, sigma_azimuth_rad=0.1 * DEG, sigma_elevation_rad=0.1 * DEG,
    )  # fmt: skip


class Sky:
    """Aircraft in straight flight, seen by radars with biases."""

    def __init__(self, seed: int, count: int = 30) -> None:
        self.g = np.random.default_rng(seed)
        lat, lon = 33.0 + self.g.uniform(-1.2, 1.2, count), 130.0 + self.g.uniform(-1.5, 1.5, count)
        self.start = geodesy.geodetic_to_ecef(lat, lon, self.g.uniform(5_000, 11_000, count))
        heading = self.g.uniform(0, 2 * np.pi, count)
        local = 230.0 * np.stack([np.sin(heading), np.cos(heading), 0 * heading], axis=1)
        self.velocity = np.einsum("nji,nj->ni", geodesy.enu_basis(lat, lon), local)
        self.count = count

    def at(self, t_s: float) -> np.ndarray:
        """Give the positions at a time."""
        return self.start + t_s * self.velocity

    def plots(self, sensor: Sensor, t_s: float, bias: tuple[float, float, float, float]) -> Any:
        """Give a radar's plots stamped t_s + bias[3]: range m, azimuth rad, elevation rad and time s are added."""
        rae = geodesy.ecef_to_rae(self.at(t_s), sensor.lat_deg, sensor.lon_deg, sensor.alt_m)
        out = empty_reports(self.count)
        out["kind"], out["t_ns"] = KIND_RADAR, T0_NS + round((t_s + bias[3]) * 1e9)
        out["range_m"] = rae[:, 0] + bias[0] + self.g.normal(0, sensor.sigma_range_m, self.count)
        out["azimuth_rad"] = (rae[:, 1] + bias[1] + self.g.normal(0, sensor.sigma_azimuth_rad, self.count)) % (2 * np.pi)
        out["elevation_rad"] = rae[:, 2] + bias[2] + self.g.normal(0, sensor.sigma_elevation_rad, self.count)
        out["address"] = np.arange(self.count) + 0x840000
        return out

    def reference(self, t_s: float) -> Any:
        """Give tracks of what the aircraft say of themselves, 30 m off."""
        rows = empty_tracks(self.count)
        rows["t_ns"], rows["status"], rows["address"] = T0_NS + round(t_s * 1e9), 1, np.arange(self.count) + 0x840000
        rows["position_m"], rows["velocity_m_s"] = self.at(t_s) + self.g.normal(0, 30.0, (self.count, 3)), self.velocity
        rows["covariance"] = np.diag([900.0] * 3 + [1.0] * 3)
        return rows


def feed(sky: Sky, made: Registration, sensor: int, bias: tuple[float, float, float, float], seconds: int = 300) -> None:
    for t in range(0, seconds, 4):
        plots = sky.plots(made.sensors[sensor], float(t), bias)
        rows, position, velocity, covariance = by_address(plots, sky.reference(t + 1.0))
        made.against_reference(sensor, plots[rows], position, velocity, covariance)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_biases_are_found_within_a_tenth(seed: int, sign: float) -> None:
    """0.2 degrees, 100 m and 0.5 s are found within 10 % in five minutes against self-reported positions, within 4 sigmas of truth."""
    truth = (sign * 100.0, sign * 0.2 * DEG, -sign * 0.1 * DEG, sign * 0.5)
    made = Registration([radar("R1", 33.2, 130.1)])
    feed(Sky(seed), made, 0, truth)
    found = made.bias(0)
    assert (np.abs(found.value[:4] - truth) <= 0.1 * np.abs(truth)).all(), (seed, found.value, found.sigma())
    assert (np.abs(found.value[:4] - truth) <= 4.0 * found.sigma()[:4]).all()


def test_a_radar_without_bias_is_left_alone() -> None:
    """Where nothing is wrong nothing is taken off, or no more than is known."""
    made, sky = Registration([radar("R1", 33.2, 130.1)]), Sky(5)
    feed(sky, made, 0, (0.0, 0.0, 0.0, 0.0), 60)
    plots = sky.plots(made.sensors[0], 100.0, (0.0, 0.0, 0.0, 0.0))
    corrected = made.correct(0, plots)
    assert np.abs(corrected["range_m"] - plots["range_m"]).max() <= 4 * made.bias(0).sigma()[RANGE]
    assert np.abs(corrected["azimuth_rad"] - plots["azimuth_rad"]).max() <= 4 * made.bias(0).sigma()[AZIMUTH]
    assert np.abs(corrected["t_ns"] - plots["t_ns"]).max() <= 4e9 * made.bias(0).sigma()[TIME]


def test_correction_takes_it_off() -> None:
    """Corrected plots lie where the targets are, within what the radar's noise allows."""
    truth = (100.0, 0.2 * DEG, 0.1 * DEG, 0.5)
    made, sky = Registration([radar("R1", 33.2, 130.1)]), Sky(6)
    feed(sky, made, 0, truth)
    one = made.sensors[0]
    corrected = made.correct(0, sky.plots(one, 400.0, truth))
    assert np.abs((corrected["t_ns"] - T0_NS) * 1e-9 - 400.0).max() < 0.05
    place = geodesy.rae_to_ecef(
        corrected["range_m"], corrected["azimuth_rad"], corrected["elevation_rad"], one.lat_deg, one.lon_deg, one.alt_m
    )
    rae = geodesy.ecef_to_rae(place, one.lat_deg, one.lon_deg, one.alt_m) - geodesy.ecef_to_rae(
        sky.at(400.0), one.lat_deg, one.lon_deg, one.alt_m
    )
    assert np.abs(rae.mean(axis=0)) == pytest.approx([0.0, 0.0, 0.0], abs=4 * 60.0 / np.sqrt(30))
    assert np.abs(rae[:, 1].mean()) < 4 * 0.1 * DEG / np.sqrt(30)


def test_two_radars_find_what_parts_them() -> None:
    """Without any self-reported position, one good radar and one biased agree after registration: relative biases are found."""
    sensors = [radar("R1", 33.2, 130.1), radar("R2", 32.6, 129.2)]
    made, sky = Registration(sensors), Sky(7)
    truth = (150.0, 0.25 * DEG, 0.0, 0.0)
    for t in range(0, 600, 4):
        good, bad = sky.plots(sensors[0], float(t), (0.0,) * 4), sky.plots(sensors[1], float(t), truth)
        place = geodesy.rae_to_ecef(good["range_m"], good["azimuth_rad"], good["elevation_rad"], 33.2, 130.1, 200.0)
        sigma = np.stack([np.full(30, 60.0), 0.1 * DEG * good["range_m"], 0.1 * DEG * good["range_m"]], axis=1).max(axis=1)
        covariance = np.eye(3) * (sigma**2)[:, None, None]
        made.against_sensor(1, bad, 0, place, sky.velocity, covariance)
    apart = made.bias(1).value - made.bias(0).value
    assert abs(apart[RANGE] - 150.0) < 60.0
    assert abs(apart[AZIMUTH] - 0.25 * DEG) < 0.1 * 0.25 * DEG


def test_false_claims_are_rejected() -> None:
    """Plots that claim the address of an aircraft elsewhere are beyond the gate: counted, and the biases stay right."""
    made, sky = Registration([radar("R1", 33.2, 130.1)]), Sky(8)
    for t in range(0, 200, 4):
        plots = sky.plots(made.sensors[0], float(t), (100.0, 0.0, 0.0, 0.0))
        plots["address"][:5] = np.roll(plots["address"][:5], 1)
        rows, position, velocity, covariance = by_address(plots, sky.reference(float(t)))
        made.against_reference(0, plots[rows], position, velocity, covariance)
    assert made.rejected["R1"] >= 50 * 5
    assert made.bias(0).value[RANGE] == pytest.approx(100.0, abs=10.0)


def test_what_was_not_measured_is_not_learnt() -> None:
    """A radar without elevation leaves the elevation's bias as unknown as it was, and no plots are no evidence."""
    made, sky = Registration([radar("R1", 33.2, 130.1)]), Sky(9)
    before = made.bias(0).sigma()
    plots = sky.plots(made.sensors[0], 0.0, (0.0,) * 4)
    plots["elevation_rad"] = np.nan
    reference = sky.reference(0.0)
    rows, position, velocity, covariance = by_address(plots, reference)
    assert 30 == made.against_reference(0, plots[rows], position, velocity, covariance)
    assert made.bias(0).sigma()[2] == pytest.approx(before[2], rel=1e-3)
    assert 0 == made.against_reference(0, plots[:0], position[:0], velocity[:0], covariance[:0])


def test_a_registered_radar_makes_no_second_track() -> None:
    """With 0.2 degrees, 100 m and 0.5 s in one of two radars, registration leaves one track a target, nearer than without it."""
    sensors, biases = [radar("R1", 33.2, 130.1), radar("R2", 32.6, 129.2)], [(0.0,) * 4, (100.0, 0.2 * DEG, 0.1 * DEG, 0.5)]
    rmse_m = []
    for registered in (False, True):
        sky, made, tracker = Sky(3, 20), Registration(sensors), Tracker(TrackerSettings(domains=("air",)), sensors, "JPN/x")
        for t in range(0, 300, 4):
            batches = []
            for k, sensor in enumerate(sensors):
                plots = sky.plots(sensor, float(t), biases[k])
                rows, position, velocity, covariance = by_address(plots, sky.reference(float(t)))
                made.against_reference(k, plots[rows], position, velocity, covariance)
                plots = made.correct(k, plots) if registered else plots
                plots["sensor"], plots["address"] = k, -1
                pedigree = Pedigree(nation="JPN", sensors=(sensor.id,))
                batches.append(Reports(source=sensor.id, label=LABEL, pedigree=pedigree, received_t_ns=0, columns=plots))
            tracks = tracker.step(T0_NS + (t + 1) * 10**9, batches).columns
        sure = tracks[tracks["status"] == 1]
        distance = np.linalg.norm(sure["position_m"][:, None] - sky.at(t + 1.0)[None], axis=2)
        rmse_m.append(float(np.sqrt((distance.min(axis=1) ** 2).mean())))
        if registered:
            assert 20 == len(sure)
    assert rmse_m[1] < 0.8 * rmse_m[0]


def said_to_stand(one: Sensor, place_m: tuple[float, float, float]) -> Sensor:
    """Give a radar with the place it is said to have when it truly stands place_m (east, north, up) beside that."""
    here = geodesy.geodetic_to_ecef(one.lat_deg, one.lon_deg, one.alt_m)
    lat, lon, alt = geodesy.ecef_to_geodetic(here - np.array(place_m) @ geodesy.enu_basis(one.lat_deg, one.lon_deg))
    return msgspec.structs.replace(one, lat_deg=float(lat), lon_deg=float(lon), alt_m=float(alt))


def sky_of(seed: int, sector_deg: float, count: int = 30) -> Sky:
    """Give aircraft 40 to 150 km from the radar at 33.2, 130.1, within a sector about the east."""
    sky, one = Sky(seed, count), radar("R1", 33.2, 130.1)
    azimuth = np.pi / 2 + sector_deg / 2 * DEG * sky.g.uniform(-1, 1, count)
    r = sky.g.uniform(40e3, 150e3, count)
    sky.start = geodesy.rae_to_ecef(r, azimuth, np.arcsin(8_000 / r), one.lat_deg, one.lon_deg, one.alt_m)
    sky.velocity *= 0.1  # so that they stay there
    return sky


def apart_m(one: Sensor, plots: Any, sky: Sky, t_s: float) -> np.ndarray:
    """Give the mean error (3,) of a radar's plots as places on the Earth, seen from where it is said to stand: along ENU."""
    given = (plots["range_m"], plots["azimuth_rad"], plots["elevation_rad"])
    place = geodesy.rae_to_ecef(*given, one.lat_deg, one.lon_deg, one.alt_m)
    return np.asarray(((place - sky.at(t_s)) @ geodesy.enu_basis(one.lat_deg, one.lon_deg).T).mean(axis=0))


@pytest.mark.parametrize("bias", [(0.0,) * 4, (100.0, 0.2 * DEG, -0.1 * DEG, 0.5)], ids=["place", "place-and-biases"])
@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_place_is_found_and_taken_off(seed: int, bias: tuple[float, float, float, float]) -> None:
    """A radar 300 m east and 200 m north of its survey: found within a tenth, and little is left of its plots' mean error."""
    true, place_m = radar("R1", 33.2, 130.1), (300.0, 200.0, 0.0)
    made, sky = Registration([said_to_stand(true, place_m)]), Sky(seed)
    for t in range(0, 300, 4):
        plots = sky.plots(true, float(t), bias)
        rows, position, velocity, covariance = by_address(plots, sky.reference(t + 1.0))
        made.against_reference(0, plots[rows], position, velocity, covariance)
    found = made.bias(0)
    assert not found.surveyed
    assert (np.abs(found.value[PLACE:] - place_m)[:2] < [30.0, 20.0]).all(), (found.value, found.sigma())
    assert (np.abs(found.value - [*bias, *place_m]) < 4.0 * found.sigma()).all(), (found.value, found.sigma())
    means = []
    for t in range(300, 400, 4):
        plots = sky.plots(true, float(t), bias)
        means.append([apart_m(made.sensors[0], one, sky, float(t))[:2] for one in (plots, made.correct(0, plots))])
    before, after = np.linalg.norm(np.mean(means, axis=0), axis=1)
    assert before > 150.0
    assert after < 0.15 * before, (before, after)


def test_a_place_and_a_range_that_cannot_be_told_apart_are_taken_off_together_where_they_were_seen() -> None:
    """By aircraft of one sector: there the plots are put right, the split stays in doubt, and elsewhere plots are said to be wide."""
    true = radar("R1", 33.2, 130.1)
    made, sky = Registration([said_to_stand(true, (300.0, 400.0, 0.0))]), sky_of(4, 10.0)
    for t in range(0, 300, 4):
        plots = sky.plots(true, float(t), (0.0,) * 4)
        rows, position, velocity, covariance = by_address(plots, sky.reference(t + 1.0))
        made.against_reference(0, plots[rows], position, velocity, covariance)
    found, one = made.bias(0), made.sensors[0]
    assert not found.surveyed
    assert found.sigma()[PLACE] > 50.0, "east is nearly along the sector: range may be it as well"
    corrected = made.correct(0, sky.plots(true, 300.0, (0.0,) * 4))
    assert np.linalg.norm(apart_m(one, corrected, sky, 300.0)[:2]) < 60.0
    elsewhere = sky.plots(true, 300.0, (0.0,) * 4)[:1]
    elsewhere["range_m"], elsewhere["azimuth_rad"], elsewhere["elevation_rad"] = 60_000.0, 1.5 * np.pi, 0.1
    here = elsewhere.copy()
    here["azimuth_rad"] = 0.5 * np.pi
    wide, narrow = (float(made.correct(0, which)["sigma_range_m"][0]) for which in (elsewhere, here))
    assert wide > 2.0 * narrow, (wide, narrow)


def test_which_of_two_radars_stands_wrong_is_not_made_up() -> None:
    """Two radars that only see what parts them, 360 m: neither is moved as if it were known whose place is wrong."""
    true, place_m = [radar("R1", 33.2, 130.1), radar("R2", 32.6, 129.2)], (300.0, 200.0, 0.0)
    made, sky = Registration([said_to_stand(true[0], place_m), true[1]]), Sky(7)
    for t in range(0, 400, 4):
        seen = [sky.plots(one, float(t), (0.0,) * 4) for one in true]
        for k, other in ((0, 1), (1, 0)):
            one = made.sensors[other]
            given = (seen[other]["range_m"], seen[other]["azimuth_rad"], seen[other]["elevation_rad"])
            place = geodesy.rae_to_ecef(*given, one.lat_deg, one.lon_deg, one.alt_m)
            sigma = np.maximum(60.0, 0.1 * DEG * seen[other]["range_m"])
            made.against_sensor(k, seen[k], other, place, sky.velocity, np.eye(3) * (sigma**2)[:, None, None])
    assert np.linalg.norm(made.bias(0).taken[PLACE:]) < 100.0, made.bias(0)
    assert np.linalg.norm(made.bias(1).taken[PLACE:]) < 100.0, made.bias(1)


@pytest.mark.parametrize("bias", [(0.0,) * 4, (100.0, 0.2 * DEG, -0.1 * DEG, 0.5)], ids=["honest", "biased"])
def test_a_place_is_not_doubted_without_need(bias: tuple[float, float, float, float]) -> None:
    """Range, angles and time explain what they do: whoever stands where it is said to is not moved, whatever else it adds."""
    for seed in range(4):
        made = Registration([radar("R1", 33.2, 130.1)])
        feed(Sky(20 + seed), made, 0, bias)
        found = made.bias(0)
        assert found.surveyed
        assert np.abs(found.taken[PLACE:]).max() < 1.0


def test_what_is_where_a_sensor_stands_has_finite_derivatives() -> None:
    """A track at a radar's very place has no direction; what is made of it is finite, and no warning is raised."""
    site, basis = geodesy.geodetic_to_ecef(36.0, 130.0, 50.0), geodesy.enu_basis(36.0, 130.0)
    for made in look(site, basis, site[None, :], np.zeros((1, 3))):
        assert np.isfinite(made).all()


def test_a_plot_at_a_radar_s_foot_or_straight_above_it_spoils_no_other() -> None:
    """Where a plot's direction says nothing it makes no reference point, and those beside it make theirs."""
    one = radar("A", 33.0, 130.0)
    columns = empty_reports(4)
    columns["kind"], columns["t_ns"], columns["sigma_range_m"] = KIND_RADAR, T0_NS, 60.0
    columns["range_m"] = (0.0, 6e-243, 8_000.0, 40_000.0)
    columns["azimuth_rad"], columns["elevation_rad"] = 1.0, (0.0, 0.1, np.pi / 2, 0.2)
    tracks = empty_tracks(4)
    tracks["status"] = 1
    tracks["position_m"] = np.atleast_2d(ellipsoids(columns, one)[0])
    tracks["velocity_m_s"] = (100.0, 50.0, 0.0)

    seen = plots(columns, one, tracks)

    assert len(seen.t_ns) == 1
    assert np.allclose(tracks["position_m"][3], seen.place_m)
    assert np.isfinite(seen.covariance).all()

"""Plots and tracklets in Earth-fixed terms: nothing is lost but the radar's place."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from trilat.fuse.earth_fixed import WIDE_COLUMNS, columns_of_measurements, columns_of_tracklets, measurements
from trilat.fuse.tracklet import TrackletMaker
from trilat.kernels import geodesy
from trilat.records import codec
from trilat.records.columns import KIND_BEARING, KIND_RADAR, empty_reports
from trilat.records.label import Label, Mode
from trilat.track.library import batch, sensor_at
from trilat.track.wide import WIDE_COLUMNS as TRACKER_COLUMNS
from trilat.track.wide import WideRows

RADAR = sensor_at(33.0, 130.0, 200.0, sigma_range_m=50.0, sigma_azimuth_rad=0.002, sigma_elevation_rad=0.003)
LABEL = Label(policy="TRILAT", originator="KOR", mode=Mode(kind="exercise", id="test"), level=0)


def looks(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Give n plots of one target, with noise, and where it is."""
    g = np.random.default_rng(seed)
    truth = geodesy.rae_to_ecef(150e3, 0.8, 0.05, 33.0, 130.0, 200.0)
    out = empty_reports(n)
    out["kind"], out["t_ns"], out["sensor"] = KIND_RADAR, 1_700_000_000_000_000_000 + np.arange(n), 0
    out["range_m"], out["azimuth_rad"] = 150e3 + g.normal(0, 50, n), 0.8 + g.normal(0, 0.002, n)
    out["elevation_rad"] = 0.05 + g.normal(0, 0.003, n)
    return out, truth


def test_an_earth_fixed_plot_holds_its_target_within_its_own_ellipsoid() -> None:
    """Errors of 4,000 plots, whitened by the ellipsoid that left with them, have the square of one per dimension (seed 1)."""
    plots, truth = looks(4_000, 1)
    made = measurements(batch(plots), RADAR)
    squares = []
    for one in made:
        basis = geodesy.enu_basis(one.lat_deg, one.lon_deg)
        error = basis @ (geodesy.geodetic_to_ecef(one.lat_deg, one.lon_deg, one.alt_m) - truth)
        sa, ca, se, ce = (f(a) for a in (one.axis_azimuth_rad, one.axis_elevation_rad) for f in (np.sin, np.cos))
        axes = np.array([[ce * sa, ce * ca, se], [ca, -sa, 0.0], [-se * sa, -se * ca, ce]])
        squares.append((axes @ error / [one.sigma_along_m, one.sigma_across_m, one.sigma_up_m]) ** 2)
    assert np.mean(squares, axis=0) == pytest.approx([1.0, 1.0, 1.0], abs=0.1)
    assert made[0] == codec.decode(codec.encode(made[0]))


def test_a_plot_without_elevation_stands_at_its_height() -> None:
    """A reported height decides where a 2-D radar's plot stands, and without one the doubt is the whole air's."""
    plots, _ = looks(2, 1)
    plots["elevation_rad"] = np.nan
    plots["height_m"] = [9_000.0, np.nan]
    known, unknown = measurements(batch(plots), RADAR)
    assert known.alt_m == pytest.approx(9_000.0, abs=5.0)
    assert known.sigma_up_m < 100.0
    assert unknown.sigma_up_m > 3_000.0


def test_bearings_have_no_place() -> None:
    """What has no range is not among the Earth-fixed plots."""
    plots, _ = looks(3, 1)
    plots["kind"][1], plots["range_m"][1] = KIND_BEARING, np.nan
    assert 2 == len(measurements(batch(plots), RADAR))


def test_measurements_come_back_as_columns() -> None:
    """What was released reads as the same place and ellipsoid."""
    plots, _ = looks(5, 2)
    made = measurements(batch(plots), RADAR)
    columns = columns_of_measurements(made)
    assert [one.alt_m for one in made] == columns["alt_m"].tolist()
    assert [one.sigma_across_m for one in made] == columns["sigma_horizontal_m"].tolist()


@pytest.mark.parametrize("rank", [3, 6])
def test_tracklet_rows_hold_its_information(rank: int) -> None:
    """U'U is the tracklet's information and U'U mean its state, of full rank or not."""
    maker = TrackletMaker("KOR", "KOR/x")
    for t in range(0, 4 * rank // 3 - 3, 4) if rank == 6 else (0,):
        maker.add(1, t * 10**9, np.array([1e6 + 200.0 * t, 2e6, 3e6]), np.diag([1e-4, 4e-4, 2e-4]), np.array([1e-3, 0, 0]), "R")
    (one,) = maker.take(lambda _: LABEL)
    columns, rows = columns_of_tracklets([one])
    root = np.zeros((6, 6))
    root[np.triu_indices(6)] = rows[0, 9:]
    info = np.zeros((6, 6))
    info[np.triu_indices(6)] = one.information
    info = np.triu(info) + np.triu(info, 1).T
    mean = np.concatenate([rows[0, :3] - one.origin_ecef_m, rows[0, 6:9]])
    assert root.T @ root == pytest.approx(info, rel=1e-6, abs=1e-12)
    assert info @ mean == pytest.approx(np.array(one.information_state), rel=1e-4, abs=1e-7)
    assert WIDE_COLUMNS == TRACKER_COLUMNS == rows.shape[1]
    wide, again = WideRows(), WideRows()
    wide.put(columns, rows)
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(wide.checkpoint())))
    assert rows.tobytes() == again.rows(columns).tobytes()

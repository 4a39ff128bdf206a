"""The adapter for Stone Soup says what it cannot read, and what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stonesoup", reason="the extra `compare` is not installed")
from soup_cases import RADARS, SPREAD, START, adapter, detection, model_of
from stone_soup_detections import DetectionRefused
from stonesoup.models.measurement import nonlinear as polar  # noqa: TID251 - the peer that the adapter is for
from stonesoup.models.measurement.linear import LinearGaussian  # noqa: TID251 - same
from stonesoup.types.array import StateVector, StateVectors  # noqa: TID251 - same
from stonesoup.types.detection import CompositeDetection, Detection, MissedDetection  # noqa: TID251 - same


class Binned(polar.CartesianToElevationBearingRange):
    """A radar whose numbers are whole."""

    def function(self, state: Any, noise: Any = False, **_: Any) -> Any:  # noqa: FBT002 - as the class above it
        """Return the numbers."""
        return np.floor(super().function(state, noise))


EBR = model_of(*RADARS["elevation, bearing, range"][:2], level=False)
PLACE = LinearGaussian(6, (0, 2, 4), SPREAD)
FAULTS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "no model": (lambda: detection([1.0, 2.0, 3.0], None), "no-model", "set the one it was made with"),
    "rates of angles": (
        lambda: detection(
            [0.0] * 6, polar.CartesianToElevationRateBearingRateRangeRate(ndim_state=6, mapping=(0, 2, 4), noise_covar=np.eye(6))
        ),
        "unknown-model",
        "is none of LinearGaussian",
    ),
    "a model that measures otherwise": (
        lambda: detection([0.1, 0.1, 5e4], Binned(ndim_state=6, mapping=(0, 2, 4), noise_covar=np.eye(3))),
        "unknown-model",
        "Binned is none of",
    ),
    "no Gaussian": (
        lambda: detection([0.1, 0.1, 5e4], polar.CartesianToElevationBearingRange(6, (0, 2, 4), np.full((3, 3), None))),
        "not-gaussian",
        "Gaussian noise_covar",
    ),
    "particles": (
        lambda: Detection(StateVectors(np.ones((3, 5))), timestamp=START, measurement_model=EBR),
        "not-one-vector",
        "give the mean",
    ),
    "a vector of another model": (lambda: detection([1.0] * 2, PLACE), "shape", "holds 2 values, LinearGaussian measures 3"),
    "a variance of zero": (
        lambda: detection([1.0] * 3, LinearGaussian(6, (0, 2, 4), np.diag([1.0, 0.0, 1.0]))),
        "covariance",
        "positive definite",
    ),
    "a lopsided covariance": (
        lambda: detection([1.0] * 3, LinearGaussian(6, (0, 2, 4), np.eye(3) + np.eye(3, k=1) * 0.5)),
        "covariance",
        "symmetric",
    ),
    "a range rate that goes with the range": (
        lambda: detection([0.1, 0.1, 5e4, 3.0], polar.CartesianToElevationBearingRangeRate(6, (0, 2, 4), np.eye(4) + 0.5)),
        "covariance",
        "diagonal noise_covar",
    ),
    "a level range rate among heights": (
        lambda: detection([0.1, 5e4, 3.0], model_of(*RADARS["level bearing, range, range rate"][:2], level=True)),
        "covariance",
        "CartesianToBearingRangeRate",
    ),
    "a mapping of other states": (lambda: detection([1.0] * 3, LinearGaussian(9, (0, 3, 6), SPREAD)), "mapping", "same mappings"),
    "a radar of other states": (
        lambda: detection([0.1, 0.1, 5e4], polar.CartesianToElevationBearingRange(9, (0, 3, 6), np.eye(3))),
        "mapping",
        "mapping and velocity_mapping",
    ),
    "one axis alone": (lambda: detection([1.0], LinearGaussian(6, (0,), np.eye(1))), "mapping", "two or three positions"),
    "a plane that is tilted": (
        lambda: detection(
            [0.1, 5e4], polar.CartesianToBearingRange(6, (0, 2), np.eye(2), rotation_offset=StateVector([0.1, 0.0, 0.0]))
        ),
        "rotation",
        "about z alone",
    ),
    "a moving sensor without elevation": (
        lambda: detection(
            [0.1, 5e4, 3.0], polar.CartesianToBearingRangeRate(6, (0, 2, 4), np.eye(3), velocity=StateVector([9.0, 0.0, 0.0]))
        ),
        "velocity",
        "set it to zero",
    ),
    "an address that is none": (lambda: detection([1.0] * 3, PLACE, metadata={"icao24": "zz"}), "metadata", "leave it out"),
    "an MMSI too long": (lambda: detection([1.0] * 3, PLACE, metadata={"mmsi": 10**10}), "metadata", "at most 999,999,999"),
    "a callsign in another script": (lambda: detection([1.0] * 3, PLACE, metadata={"callsign": "日航"}), "metadata", "not ASCII"),
    "a time that is none": (
        lambda: Detection(StateVector([1.0] * 3), timestamp=5.0, measurement_model=PLACE),
        "timestamp",
        "no datetime",
    ),
    "several in one": (lambda: CompositeDetection([detection([1.0] * 3, PLACE)]), "composite", "one by one"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_read_is_said_with_its_remedy(name: str) -> None:
    """Each is a DetectionRefused of its own reason, that says what to do, and leaves the tracker as it was."""
    wrong, reason, words = FAULTS[name]
    given = adapter()
    before = given.tracker.checkpoint()
    with pytest.raises(DetectionRefused, match=words) as told:
        given.step(START, [detection([20e3, 30e3, 8e3], PLACE), wrong()])
    assert reason == told.value.reason
    assert before == given.tracker.checkpoint()


def test_what_is_not_believed_is_counted_and_what_is_missed_is_no_detection() -> None:
    """Numbers that are none are counted by the tracker, of every kind of model; a missed detection is passed over."""
    given = adapter()
    nothing = [detection([np.nan, 1.0, 1.0], PLACE), detection([0.1, 0.1, np.nan], EBR), MissedDetection(timestamp=START)]
    assert set() == given.step(START, nothing)
    assert {"not-finite": 2} == given.tracker.refused


def test_more_sensors_than_a_tracker_has_are_refused() -> None:
    """The sixty-fifth sensor is refused by name, and those before it go on."""
    given = adapter()

    def look(k: int) -> None:
        place = StateVector([k * 100.0, 0.0, 0.0])
        noise = np.diag([1e-6, 1e-6, 100.0])
        model = polar.CartesianToElevationBearingRange(6, (0, 2, 4), noise, translation_offset=place)
        given.step(START, [detection([0.1, 0.1, 5e4], model)])

    for k in range(63):  # the first of the 64 is that of places
        look(k)
    with pytest.raises(DetectionRefused, match="LinearGaussian model of converted places") as told:
        look(63)
    assert "sensors" == told.value.reason
    look(62)

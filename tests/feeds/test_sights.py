"""Lines of sight of an observer that moves: where they meet the Earth, and what they cannot be."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from feedkit import NOON_NS, columns, decoder, reasons

from trilat.kernels import geodesy
from trilat.records.columns import FLAG_SIMULATED, KIND_MEASUREMENT

SATELLITE = geodesy.geodetic_to_ecef(5.0, 110.0, 35_786_000.0)
FLASH = geodesy.geodetic_to_ecef(39.5, 126.0, 45_000.0)


def line(**other: object) -> bytes:
    """Return one line of sight from the satellite to the flash, with changes."""
    base = {
        "timestamp": NOON_NS / 1e9,
        "observer_ecef_m": SATELLITE.tolist(),
        "direction_ecef": (FLASH - SATELLITE).tolist(),
        "sigma_rad": 2e-5,
    }
    return msgspec.json.encode({**base, **other}) + b"\n"


def test_the_flash_lies_within_what_is_claimed() -> None:
    """The flash is within three sigmas of the plot along the line and within a metre across it."""
    row = columns(decoder("sights-jsonl").decode(line(simulated=True), NOON_NS))[0]
    assert (KIND_MEASUREMENT, FLAG_SIMULATED, NOON_NS) == (row["kind"], row["flags"], row["t_ns"])
    place = geodesy.geodetic_to_ecef(row["lat_deg"], row["lon_deg"], row["alt_m"])
    level = [
        np.cos(row["elevation_rad"]) * np.sin(row["azimuth_rad"]),
        np.cos(row["elevation_rad"]) * np.cos(row["azimuth_rad"]),
        np.sin(row["elevation_rad"]),
    ]
    along = geodesy.enu_basis(row["lat_deg"], row["lon_deg"]).T @ level
    way = FLASH - place
    ahead = float(way @ along)
    assert abs(ahead) < 3.0 * row["sigma_range_m"]
    assert np.linalg.norm(way - ahead * along) < 1.0
    assert 700.0 < row["sigma_horizontal_m"] < 850.0  # 2e-5 rad at 38,000 km


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"sigma_rad": 0.0}, "value-implausible"),
        ({"sigma_rad": 3.0}, "value-implausible"),
        ({"observer_ecef_m": [0.0, 0.0, 0.0]}, "value-implausible"),
        ({"direction_ecef": [0.0, 0.0, 0.0]}, "value-implausible"),
        ({"direction_ecef": SATELLITE.tolist()}, "value-implausible"),
        ({"direction_ecef": [1e308, 1e308, 1e308]}, "value-implausible"),
        ({"timestamp": NOON_NS / 1e9 + 3_600.0}, "time-implausible"),
        ({"timestamp": -5.0}, "value-implausible"),
        ({"observer_ecef_m": [1.0]}, "syntax-bad"),
    ],
)
def test_what_can_be_no_line_of_sight_is_refused(wrong: dict[str, object], reason: str) -> None:
    """A line that cannot be is refused by its reason, and the next one is taken."""
    decoded = decoder("sights-jsonl").decode(line(**wrong) + line(), NOON_NS)
    assert {reason: 1} == reasons(decoded)
    assert 1 == len(columns(decoded))

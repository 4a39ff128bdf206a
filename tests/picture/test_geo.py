"""The page's small geometry, run by the node that builds the page: what crosses the date line is one piece."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
GEO = ROOT / "src/trilat/picture/page/src/map/geo.ts"
sys.path.insert(0, str(ROOT))


def text(value: object) -> str:
    """Return a value as JavaScript writes it."""
    return msgspec.json.encode(value).decode()


def told(expression: str) -> object:
    """Return the value of an expression over the names of geo.ts."""
    import hatch_build

    node = hatch_build.node_folder() / "bin" / "node"
    script = f"import * as geo from {text(GEO.as_uri())}; console.log(JSON.stringify({expression}))"
    run = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    return msgspec.json.decode(run.stdout)


def box(
    launch: list[float], path: list[list[float]], landing: tuple[float, float] | None, fan: tuple[float, float] | None = None
) -> list[float]:
    """Return the box of a flight."""
    flight = {
        "launch": launch, "path": path,
        "landing": landing and {"lon_deg": landing[0], "lat_deg": landing[1], "major_m": 50e3, "minor_m": 20e3, "bearing_deg": 60.0},
        "fan": fan and {
            "lon_deg": fan[0], "lat_deg": fan[1], "bearing_from_deg": 60.0, "bearing_to_deg": 110.0, "range_from_m": 1e5,
            "range_to_m": 2e6,
        },
    }  # fmt: skip
    found = told(f"geo.boxOf({text({'flight': flight})})")
    assert isinstance(found, list)
    return found


def test_a_flight_over_the_date_line_has_a_box_as_wide_as_its_way() -> None:
    """From Asia to Alaska, and from beyond 180 degrees westwards: the box goes on past the line, it does not go round the world."""
    way = [[125.7 + k, 39.0 + 0.2 * k] for k in range(0, 76, 5)]
    way = [[lon - 360.0 if lon > 180.0 else lon, lat] for lon, lat in way]
    west, south, east, north = box([125.7, 39.0], way, (-159.5, 54.0))
    assert (west, south) == (125.7, 39.0)
    assert 200.5 < east < 201.5
    assert 54.0 < north < 55.0
    west, _, east, _ = box([-170.0, 50.0], [[-170.0, 50.0], [-179.0, 50.0], [175.0, 50.0]], (175.0, 50.0))
    assert -186.0 < west < -185.0
    assert east == -170.0


@pytest.mark.parametrize("lon", [128.0, 175.0, -179.5])
def test_a_fan_has_a_box(lon: float) -> None:
    """A fan's box is as wide wherever on the Earth it stands."""
    west, _, east, _ = box([lon, 40.0], [], None, (lon, 40.0))
    assert abs(west - lon) < 1e-6
    assert 15.0 < east - west < 30.0


def test_what_does_not_cross_is_left_as_it_is() -> None:
    """A flight within a hemisphere keeps its longitudes."""
    way = [[125.0, 39.0], [130.0, 40.0]]
    assert told(f"geo.unrolled({text(way)})") == way

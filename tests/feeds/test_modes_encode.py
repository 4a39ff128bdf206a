"""The ADS-B encoder: what it writes is what an independent decoder (rs1090) reads."""

import json

import pytest
import rs1090
from hypothesis import given
from hypothesis import strategies as st

from trilat.feeds import modes_encode as encode

QUARTER_FOOT_STEP_M = 12.5 * 0.3048 + 0.01  # half of a 25 ft step
CPR_CELL_DEG = 360.0 / 59 / 2**17 * 1.5
HALF_KNOT_M_S = 0.5 * 1852 / 3600 + 1e-6


def read(frame: bytes) -> dict:
    out = rs1090.decode(frame.hex())
    return json.loads(out) if isinstance(out, str) else out


@given(lat=st.floats(-80, 80), lon=st.floats(-179.9, 179.9), alt=st.floats(0, 13_000), address=st.integers(1, 0xFFFFFF))
def test_position_pair_is_read_back(lat: float, lon: float, alt: float, address: int) -> None:
    """An even and an odd position give rs1090 the same place to within a CPR cell, and the altitude to half a step."""
    frames = [encode.airborne_position(address, lat, lon, alt, odd=odd).hex() for odd in (False, True)]
    decoded = rs1090.decode(frames, [1_700_000_000.0, 1_700_000_000.4])
    last = decoded[-1]

    assert f"{address:06x}" == last["icao24"]
    assert lat == pytest.approx(last["latitude"], abs=CPR_CELL_DEG)
    if abs(lat) < 60:
        assert lon == pytest.approx(last["longitude"], abs=4 * CPR_CELL_DEG)
    assert alt == pytest.approx(last["altitude"] * 0.3048, abs=QUARTER_FOOT_STEP_M)


@given(east=st.floats(-400, 400), north=st.floats(-400, 400), up=st.floats(-40, 40))
def test_velocity_is_read_back(east: float, north: float, up: float) -> None:
    """Ground speed and climb are read back to half a step each."""
    decoded = read(encode.airborne_velocity(0x86D123, east, north, up))

    speed = (round(east / encode.KNOT_M_S) ** 2 + round(north / encode.KNOT_M_S) ** 2) ** 0.5
    assert speed == pytest.approx(decoded["groundspeed"], abs=0.01)
    assert up == pytest.approx(decoded["vertical_rate"] * 0.3048 / 60, abs=0.17)


def test_callsign_and_accuracy_are_read_back() -> None:
    """Callsign and NACp are read back as written."""
    assert read(encode.identification(0x86D123, "TRI101"))["callsign"].strip() == "TRI101"
    assert read(encode.operational_status(0x86D123, 9))["NACp"] == 9


def test_beast_doubles_its_escape() -> None:
    """Every 0x1A inside a Beast frame is doubled, and none stands alone behind the head."""
    body = encode.beast(bytes([0x1A] * 14), 0x1A1A1A1A1A1A)[2:]

    assert body.count(b"\x1a\x1a") == 20
    assert b"\x1a" not in body.replace(b"\x1a\x1a", b"")

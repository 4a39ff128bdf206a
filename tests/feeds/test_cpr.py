"""CPR against published vectors and against positions encoded at random."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from trilat.feeds import cpr, modes_encode

LATS = st.floats(-89.9, 89.9)
LONS = st.floats(-180, 179.999)
# Half a cell of the 17-bit code: 360 / 59 / 2**17 / 2 degrees of latitude, and as much of a longitude zone.
HALF_CELL_LAT_DEG = 360 / 59 / 2**18 + 1e-9


def lon_close(a: float, b: float) -> float:
    return abs((a - b + 180) % 360 - 180)


def test_published_pair() -> None:
    """The worked example of "The 1090 MHz Riddle" (J. Sun, 2021), chapter 5: frames of 40621D give 52.2572 N 3.91937 E."""
    even, odd = (93_000, 51_372), (74_158, 50_194)

    assert pytest.approx((52.2572, 3.91937), abs=1e-5) == cpr.airborne_global(even, odd, newer_odd=False)
    assert pytest.approx((52.2572, 3.91937), abs=1e-5) == cpr.local(even, (52.258, 3.918), odd=False, surface=False)


@given(lat=st.floats(-89.99, 89.99))
def test_longitude_zones_equal_the_formula(lat: float) -> None:
    """The table of transition latitudes gives what the formula of DO-260B A.1.7.2 d gives."""
    transitions = [abs(abs(lat) - each) for each in cpr._TRANSITIONS]
    assume(min(transitions) > 1e-9)

    assert modes_encode.nl(lat) == cpr.longitude_zones(lat)


@given(lat=LATS, lon=LONS, odd=st.booleans())
@example(lat=87.0, lon=1.0, odd=False)
def test_encoders_agree(*, lat: float, lon: float, odd: bool) -> None:
    """The exercise's encoder and this module's give the same halves, save where a rounding of the input sits on an edge."""
    ours, theirs = cpr.encode(lat, lon, odd=odd), modes_encode.cpr(lat, lon, odd=odd)

    assert all(min((a - b) % 131_072, (b - a) % 131_072) <= 1 for a, b in zip(ours, theirs, strict=True))


@given(lat=LATS, lon=LONS, newer_odd=st.booleans())
def test_two_airborne_halves_give_the_place(*, lat: float, lon: float, newer_odd: bool) -> None:
    """Even and odd halves of one place give it back to half a cell, wherever their zones agree."""
    halves = [cpr.encode(lat, lon, odd=odd) for odd in (False, True)]

    found = cpr.airborne_global(halves[0], halves[1], newer_odd=newer_odd)

    assume(found is not None)
    assert found is not None
    assert abs(found[0] - lat) <= HALF_CELL_LAT_DEG
    assert lon_close(found[1], lon) <= 360 / max(cpr.longitude_zones(lat) - 1, 1) / 2**18 * 2.1


@given(
    lat=st.floats(-85, 85),
    lon=LONS,
    odd=st.booleans(),
    surface=st.booleans(),
    north=st.floats(-0.4, 0.4),
    east=st.floats(-0.4, 0.4),
)
def test_one_half_and_a_near_reference_give_the_place(
    *, lat: float, lon: float, odd: bool, surface: bool, north: float, east: float
) -> None:
    """One half gives the place back when the reference is within 40 % of a zone."""
    span = 90.0 if surface else 360.0
    zone_lon = span / max(cpr.longitude_zones(lat) - odd, 1)
    assume(all(cpr.longitude_zones(lat) == cpr.longitude_zones(lat + d) for d in (1e-4, -1e-4)))
    reference = (lat + north * span / 60, lon + east * zone_lon)

    found = cpr.local(cpr.encode(lat, lon, odd=odd, surface=surface), reference, odd=odd, surface=surface)

    assert found is not None
    assert abs(found[0] - lat) <= HALF_CELL_LAT_DEG
    assert lon_close(found[1], lon) <= zone_lon / 2**17


@given(lat=st.floats(-84, 84), lon=LONS, newer_odd=st.booleans(), north=st.floats(-20, 20), east=st.floats(-20, 20))
def test_two_surface_halves_give_the_place_nearest_to_the_receiver(
    *, lat: float, lon: float, newer_odd: bool, north: float, east: float
) -> None:
    """Of the eight surface solutions the one near the reference is taken, anywhere on Earth."""
    halves = [cpr.encode(lat, lon, odd=odd, surface=True) for odd in (False, True)]

    found = cpr.surface_global(halves[0], halves[1], (max(min(lat + north, 90), -90), lon + east), newer_odd=newer_odd)

    assume(found is not None)
    assert found is not None
    assert abs(found[0] - lat) <= HALF_CELL_LAT_DEG
    assert lon_close(found[1], lon) <= 90 / max(cpr.longitude_zones(lat) - 1, 1) / 2**17


@given(
    even=st.tuples(st.integers(0, 131_071), st.integers(0, 131_071)),
    odd=st.tuples(st.integers(0, 131_071), st.integers(0, 131_071)),
)
def test_any_halves_give_a_place_on_earth_or_none(even: tuple[int, int], odd: tuple[int, int]) -> None:
    """Whatever the bits, the result is a latitude and a longitude, or nothing."""
    for newer_odd in (False, True):
        for found in (
            cpr.airborne_global(even, odd, newer_odd=newer_odd),
            cpr.surface_global(even, odd, (33.0, 130.0), newer_odd=newer_odd),
            cpr.local(even, (89.0, 179.9), odd=newer_odd, surface=False),
        ):
            assert found is None or (abs(found[0]) <= 90 and -180 <= found[1] < 180)

"""Compact position reporting (CPR): ADS-B positions from their 17-bit halves. RTCA DO-260B (2009), appendix A, A.1.7."""

from bisect import bisect_left
from math import acos, cos, floor, pi

LATITUDE_ZONES = 15  # NZ, A.1.7.1
_SCALE = 1 / 131_072  # 2 ** -17


def _transition_latitudes() -> tuple[float, ...]:
    """Return the latitudes at which the number of longitude zones falls from 59 to 2, rising (A.1.7.2 d)."""
    a = 1 - cos(pi / (2 * LATITUDE_ZONES))
    return tuple(acos((a / (1 - cos(2 * pi / zones))) ** 0.5) * 180 / pi for zones in range(59, 1, -1))


_TRANSITIONS = _transition_latitudes()


def longitude_zones(lat_deg: float) -> int:
    """Return NL, the number of longitude zones at a latitude: 59 at the equator, 1 beyond 87 degrees (A.1.7.2 d)."""
    return 59 - bisect_left(_TRANSITIONS, abs(lat_deg))


def _wrap(lon_deg: float) -> float:
    """Return a longitude in -180..180."""
    return (lon_deg + 180.0) % 360.0 - 180.0


def global_latitudes(even: int, odd: int, span_deg: float) -> tuple[float, float]:
    """Return the latitudes of an even and an odd message that belong together (A.1.7.7 a-c). span: 360 airborne, 90 surface."""
    y0, y1 = even * _SCALE, odd * _SCALE
    j = floor(59 * y0 - 60 * y1 + 0.5)
    lat0 = span_deg / 60 * (j % 60 + y0)
    lat1 = span_deg / 59 * (j % 59 + y1)
    return lat0, lat1


def _longitude(x_even: int, x_odd: int, zones: int, *, odd: bool, span_deg: float) -> float:
    """Return the longitude of the newer of two messages (A.1.7.7 f-g)."""
    x0, x1 = x_even * _SCALE, x_odd * _SCALE
    m = floor(x0 * (zones - 1) - x1 * zones + 0.5)
    n = max(zones - 1, 1) if odd else max(zones, 1)
    return span_deg / n * (m % n + (x1 if odd else x0))


def airborne_global(even: tuple[int, int], odd: tuple[int, int], *, newer_odd: bool) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees of the newer of an even and an odd airborne message (A.1.7.7).

    even, odd: the 17-bit (latitude, longitude). None when the two lie in different longitude zones or beyond the pole.
    """
    lat0, lat1 = global_latitudes(even[0], odd[0], 360.0)
    lat0 -= 360.0 if lat0 >= 270.0 else 0.0
    lat1 -= 360.0 if lat1 >= 270.0 else 0.0
    if abs(lat0) > 90.0 or abs(lat1) > 90.0 or longitude_zones(lat0) != longitude_zones(lat1):
        return None
    lat = lat1 if newer_odd else lat0
    return lat, _wrap(_longitude(even[1], odd[1], longitude_zones(lat), odd=newer_odd, span_deg=360.0))


def surface_global(
    even: tuple[int, int], odd: tuple[int, int], reference: tuple[float, float], *, newer_odd: bool
) -> tuple[float, float] | None:
    """Return the surface position nearest to a reference of the eight that two messages allow (A.1.7.8)."""
    pair = global_latitudes(even[0], odd[0], 90.0)
    both = [lats for lats in (pair, (pair[0] - 90.0, pair[1] - 90.0)) if abs(lats[0]) <= 90.0]
    lat0, lat1 = min(both, key=lambda lats: abs(lats[0] - reference[0]))
    zones = longitude_zones(lat0)
    if zones != longitude_zones(lat1):
        return None
    lon = _longitude(even[1], odd[1], zones, odd=newer_odd, span_deg=90.0)
    nearest = min((_wrap(lon + 90.0 * k) for k in range(4)), key=lambda each: abs(_wrap(each - reference[1])))
    return (lat1 if newer_odd else lat0), nearest


def local(half: tuple[int, int], reference: tuple[float, float], *, odd: bool, surface: bool) -> tuple[float, float] | None:
    """Return the position of one message nearest to a reference (A.1.7.5, A.1.7.6).

    Right when the true position is within half a zone of the reference: 180 NM airborne, 45 NM on the surface.
    """
    span = 90.0 if surface else 360.0
    y, x = half[0] * _SCALE, half[1] * _SCALE
    d_lat = span / (59 if odd else 60)
    lat = d_lat * (floor(reference[0] / d_lat) + floor(0.5 + reference[0] % d_lat / d_lat - y) + y)
    if abs(lat) > 90.0:
        return None
    d_lon = span / max(longitude_zones(lat) - (1 if odd else 0), 1)
    lon = d_lon * (floor(reference[1] / d_lon) + floor(0.5 + reference[1] % d_lon / d_lon - x) + x)
    return lat, _wrap(lon)


def encode(lat_deg: float, lon_deg: float, *, odd: bool, surface: bool = False) -> tuple[int, int]:
    """Return the 17-bit (latitude, longitude) of a position, as a transponder sends it (A.1.7.3, A.1.7.4)."""
    span = 90.0 if surface else 360.0
    d_lat = span / (59 if odd else 60)
    y = floor(131_072 * (lat_deg % d_lat) / d_lat + 0.5)
    rounded = d_lat * (y * _SCALE + floor(lat_deg / d_lat))
    d_lon = span / max(longitude_zones(rounded) - (1 if odd else 0), 1)
    x = floor(131_072 * (lon_deg % d_lon) / d_lon + 0.5)
    return y % 131_072, x % 131_072

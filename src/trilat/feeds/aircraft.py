"""What one receiver knows of the aircraft it hears: kept per source, bounded, and forgotten by message time."""

from math import asin, cos, radians, sin, sqrt

from trilat.feeds import cpr

SECOND_NS = 1_000_000_000
# An even and an odd half belong together within 10 s airborne and 25 s on the surface (DO-260B A.1.7.7, 2.2.10.3.1).
PAIR_AIRBORNE_NS = 10 * SECOND_NS
PAIR_SURFACE_NS = 25 * SECOND_NS
# How long a position serves as the reference of the next one: far less than it takes to cross half a zone (180 NM).
REFERENCE_NS = 180 * SECOND_NS
# Faster than this is not believed from one half alone; two halves that agree are (it is the tracker that judges jumps).
JUMP_M_S_MAX = 1_000.0
JUMP_M_FREE = 2_000.0
EARTH_RADIUS_M = 6_371_009.0  # mean, IUGG (1980)

Position = tuple[float, float]


def distance_m(a: Position, b: Position) -> float:
    """Return the great-circle distance in metres of two (lat_deg, lon_deg) on the mean sphere (haversine)."""
    lat_a, lat_b = radians(a[0]), radians(b[0])
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin(radians(b[1] - a[1]) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(h)))


class Aircraft:
    """One aircraft as heard by one source. Times are message times; None or -1 is "not heard"."""

    __slots__ = (
        "callsign",
        "geo_minus_baro_m",
        "halves",
        "motion",
        "motion_t_ns",
        "nac_p",
        "nac_v",
        "position",
        "position_t_ns",
        "squawk",
    )

    def __init__(self) -> None:
        # [surface, odd] -> (t_ns, lat, lon)
        self.halves: dict[tuple[bool, bool], tuple[int, int, int]] = {}
        self.position: Position | None = None
        self.position_t_ns = -1
        self.motion: tuple[float, float, float] | None = None  # speed, course, vertical rate: m/s, rad, m/s
        self.motion_t_ns = -1
        self.nac_p: tuple[int, int] | None = None  # (t_ns, category)
        self.nac_v = 0
        self.geo_minus_baro_m: tuple[int, float] | None = None  # (t_ns, metres)
        self.callsign = b""
        self.squawk = -1

    def locate(
        self, t_ns: int, half: tuple[int, int], *, odd: bool, surface: bool, receiver: Position | None, range_m_max: float
    ) -> Position | None:
        """Return the position a CPR half gives with what was heard before, and remember it; None when it cannot be told.

        Local against the last position when that is recent and the step is believable, else global from two halves that
        belong together; what lies beyond the receiver's range is not believed.
        """
        if abs(t_ns - self.halves.get((surface, not odd), (t_ns, 0, 0))[0]) > PAIR_AIRBORNE_NS * 20:
            self.halves.clear()
        self.halves[surface, odd] = (t_ns, *half)
        found = self._local(t_ns, half, odd=odd, surface=surface)
        if found is None:
            found = self._global(t_ns, odd=odd, surface=surface, receiver=receiver)
        if found is None or (receiver is not None and distance_m(found, receiver) > range_m_max):
            return None
        self.position, self.position_t_ns = found, t_ns
        return found

    def _local(self, t_ns: int, half: tuple[int, int], *, odd: bool, surface: bool) -> Position | None:
        """Return the position nearest to the last one, when that is recent and not too far away."""
        if self.position is None or abs(t_ns - self.position_t_ns) > REFERENCE_NS:
            return None
        found = cpr.local(half, self.position, odd=odd, surface=surface)
        if found is None:
            return None
        far_m = JUMP_M_FREE + JUMP_M_S_MAX * abs(t_ns - self.position_t_ns) / SECOND_NS
        return found if distance_m(found, self.position) <= far_m else None

    def _global(self, t_ns: int, *, odd: bool, surface: bool, receiver: Position | None) -> Position | None:
        """Return the position of this half and its counterpart, when both were heard close together."""
        even_half, odd_half = self.halves.get((surface, False)), self.halves.get((surface, True))
        if even_half is None or odd_half is None:
            return None
        if abs(even_half[0] - odd_half[0]) > (PAIR_SURFACE_NS if surface else PAIR_AIRBORNE_NS):
            return None
        if not surface:
            return cpr.airborne_global(even_half[1:], odd_half[1:], newer_odd=odd)
        recent = self.position if self.position is not None and abs(t_ns - self.position_t_ns) <= REFERENCE_NS else None
        reference = recent or receiver
        return None if reference is None else cpr.surface_global(even_half[1:], odd_half[1:], reference, newer_odd=odd)


class AircraftMemory:
    """The aircraft of one source, at most `aircraft_max`; the one not heard for longest makes room for a new one."""

    def __init__(self, aircraft_max: int) -> None:
        self._max = aircraft_max
        self._by_key: dict[int, Aircraft] = {}
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: int) -> Aircraft | None:
        """Return an aircraft that was heard before, or None; it keeps its place in the order."""
        return self._by_key.get(key)

    def hear(self, key: int) -> Aircraft:
        """Return the aircraft of a key, new if need be, and put it last in the order of leaving."""
        aircraft = self._by_key.pop(key, None)
        if aircraft is None:
            aircraft = Aircraft()
            if len(self._by_key) >= self._max:
                del self._by_key[next(iter(self._by_key))]
                self.evicted += 1
        self._by_key[key] = aircraft
        return aircraft

"""Coarse places: what a patient partner can make of them."""

import math
import random

import pytest
from policy_cases import NOW_NS

from trilat.policy.coarsen import EPOCH_NS, METERS_PER_DEGREE, OFFSET_MAX, OFFSET_MIN, Coarsener, offset, place_of, settle

CELL_M = 20_000.0
STEP_NS = 10 * 10**9
STEPS = 720  # two hours, one update each ten seconds: the attack of the design notes


def secret(i: int) -> bytes:
    return i.to_bytes(32)


def apart_m(lat: float, lon: float, lat_true: float, lon_true: float) -> float:
    return math.hypot(lat - lat_true, (lon - lon_true) * math.cos(math.radians(lat_true))) * METERS_PER_DEGREE


def voyage(i: int, speed_m_s: float = 15.0, lat: float | None = None, lon: float | None = None) -> list[tuple[float, float]]:
    rng = random.Random(i)
    lat0 = lat if lat is not None else 32.0 + rng.random() * 4
    lon0 = lon if lon is not None else 131.0 + rng.random() * 6
    course = rng.random() * 2 * math.pi
    north, east = speed_m_s * math.cos(course), speed_m_s * math.sin(course) / math.cos(math.radians(lat0))
    return [(lat0 + north * 10 * k / METERS_PER_DEGREE, lon0 + east * 10 * k / METERS_PER_DEGREE) for k in range(STEPS)]


def seen_by_partner(coarsener: Coarsener, track: list[tuple[float, float]], number: int = 1) -> list[tuple[float, float]]:
    places = [coarsener.place("S", number, NOW_NS + k * STEP_NS, lat, lon, CELL_M) for k, (lat, lon) in enumerate(track)]
    return [(place.lat_deg, place.lon_deg) for place in places]


def fitted(values: list[float]) -> list[float]:
    """The least-squares line through values at equal steps."""
    n = len(values)
    middle, mean = (n - 1) / 2, sum(values) / n
    slope = sum((k - middle) * v for k, v in enumerate(values)) / sum((k - middle) ** 2 for k in range(n))
    return [mean + slope * (k - middle) for k in range(n)]


def error_m(guess: list[tuple[float, float]], track: list[tuple[float, float]]) -> float:
    return sum(apart_m(*a, *b) for a, b in zip(guess, track, strict=True)) / len(track)


def root_mean_square(values: list[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values))


def test_the_truth_is_inside_the_radius() -> None:
    """At every moment the true place is within the radius that is stated with the coarse one."""
    for i in range(30):
        coarsener = Coarsener(secret(i), "KOR")
        for k, (lat, lon) in enumerate(voyage(i, speed_m_s=250.0)):
            place = coarsener.place("S", 1, NOW_NS + k * STEP_NS, lat, lon, CELL_M)
            assert apart_m(place.lat_deg, place.lon_deg, lat, lon) <= place.radius_m * 1.02


@pytest.mark.parametrize("speed_m_s", [0.0, 15.0, 250.0])
def test_fitting_a_line_leaves_the_secret_vector(speed_m_s: float) -> None:
    """Least squares over two hours leaves an error of at least 0.6 of the cell, for a stopped ship, a moving one, an aircraft."""
    errors = []
    for i in range(60):
        track = voyage(i, speed_m_s)
        seen = seen_by_partner(Coarsener(secret(i), "KOR"), track)
        guess = list(zip(fitted([one[0] for one in seen]), fitted([one[1] for one in seen]), strict=True))
        errors.append(error_m(guess, track))
    assert root_mean_square(errors) >= OFFSET_MIN * CELL_M


def test_beginning_a_track_anew_gains_nothing() -> None:
    """Forgetting and beginning the same track fifty times gives the same place fifty times: there is no fresh noise."""
    coarsener = Coarsener(secret(1), "KOR")
    places = set()
    for number in range(50):
        places.add(coarsener.place("S", number, NOW_NS, 33.3, 131.7, CELL_M))
        coarsener.forget("S", number)
    assert len(places) == 1
    assert coarsener._cells == {}


def test_a_convoy_gains_nothing() -> None:
    """Averaging twenty ships that sail within some cells of one another leaves the vector that they share."""
    errors = []
    for i in range(30):
        rng = random.Random(1000 + i)
        coarsener = Coarsener(secret(i), "KOR")
        ships = [(33.0 + rng.random(), 132.0 + rng.random()) for _ in range(20)]
        seen = [coarsener.place("S", n, NOW_NS, lat, lon, CELL_M) for n, (lat, lon) in enumerate(ships)]
        north = sum(p.lat_deg - lat for p, (lat, _) in zip(seen, ships, strict=True)) / 20 * METERS_PER_DEGREE
        east = sum((p.lon_deg - lon) * math.cos(math.radians(lat)) for p, (lat, lon) in zip(seen, ships, strict=True)) / 20
        errors.append(math.hypot(north, east * METERS_PER_DEGREE))
    assert root_mean_square(errors) >= OFFSET_MIN * CELL_M


def test_a_known_start_tells_the_vector() -> None:
    """The limit that the docs state: who knows one true place learns the region's vector to within a cell, and no better."""
    errors = []
    for i in range(60):
        track = voyage(i)
        seen = seen_by_partner(Coarsener(secret(i), "KOR"), track)
        d_lat, d_lon = track[0][0] - seen[0][0], track[0][1] - seen[0][1]
        errors.append(error_m([(lat + d_lat, lon + d_lon) for lat, lon in seen], track))
    assert 0.1 * CELL_M < root_mean_square(errors) < CELL_M


def test_a_cell_is_left_only_well_outside() -> None:
    """A ship that goes to and fro over an edge does not make its coarse place jump."""
    coarsener = Coarsener(secret(3), "KOR")
    jitter = random.Random(4)
    # Walk north until the cell changes, then stay near that edge.
    lat, first = 33.0, coarsener.place("S", 1, NOW_NS, 33.0, 131.0, CELL_M)
    while coarsener.place("S", 1, NOW_NS, lat, 131.0, CELL_M) == first:
        lat += 0.001
    places = {coarsener.place("S", 1, NOW_NS, lat + jitter.uniform(-0.04, 0.04), 131.0, CELL_M) for _ in range(500)}
    assert len(places) == 1


def test_vectors_differ_by_audience_region_epoch_and_secret() -> None:
    """The vector of one audience, region or week says nothing about another's; its length is in its bounds."""
    base = offset(secret(1), "KOR", (3, 13), 5, CELL_M)
    others = [
        offset(secret(2), "KOR", (3, 13), 5, CELL_M),
        offset(secret(1), "USA", (3, 13), 5, CELL_M),
        offset(secret(1), "KOR", (3, 12), 5, CELL_M),
        offset(secret(1), "KOR", (3, 13), 6, CELL_M),
    ]
    for one in (base, *others):
        assert OFFSET_MIN * CELL_M <= math.hypot(*one) <= OFFSET_MAX * CELL_M
    assert len({base, *others}) == 5
    assert offset(secret(1), "KOR", (3, 13), 5, CELL_M) == base


def test_a_living_track_keeps_its_epoch_and_crosses_the_date_line() -> None:
    """A week's end does not make a living track jump, and neither does the date line."""
    cell = settle(33.0, 131.0, 0, None, secret(1), "KOR", CELL_M)
    assert settle(33.0, 131.0, EPOCH_NS + 1, cell, secret(1), "KOR", CELL_M) == cell
    cell = settle(10.0, 179.99, 0, None, secret(1), "KOR", CELL_M)
    after = settle(10.0, -179.99, 0, cell, secret(1), "KOR", CELL_M)
    assert abs(after.column - cell.column) <= 1
    assert -180.0 <= place_of(after, CELL_M).lon_deg < 180.0


def test_the_secret_is_long_enough_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short secret is refused; beyond its bound the oldest track is forgotten."""
    with pytest.raises(ValueError, match="32 bytes"):
        Coarsener(b"short", "KOR")
    monkeypatch.setattr(Coarsener, "tracks_max", 3)
    coarsener = Coarsener(secret(1), "KOR")
    for number in range(10):
        coarsener.place("S", number, NOW_NS, 33.0, 131.0, CELL_M)
    assert len(coarsener._cells) == 3

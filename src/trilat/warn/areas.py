"""Who is under it: which areas a landing ellipse touches and a path passes over, how likely, from when to when.

A layer is a GeoJSON file (RFC 7946); ours ships with the package, an operator's own may take its place. Probabilities are
counted over fixed quasi-random points (an additive recurrence, Roberts 2018) of the landing's Gaussian, and over as many paths
made of the sigma flights: the same inputs give the same list.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from trilat.errors import TrilatError
from trilat.kernels import geodesy
from trilat.records.assessment import AreaKind, TouchedArea
from trilat.warn.landing import PATH_EVERY_S, RADIUS2_95, STEP2, Z_95, Landing

Array = NDArray[np.float64]
AREAS_MAX, VERTICES_MAX = 20_000, 5_000_000
LANDING_POINTS = 2048
PATHS = 32
FINE = 4
NS = 1_000_000_000
SHARE_MIN = 1e-4
FAR_M = 1.2e7  # vertices farther than this from the landing are behind the Earth's edge
_SHIPPED = Path(__file__).with_name("areas.geojson")


class AreasError(TrilatError):
    """A layer of areas cannot be used."""


class _Properties(Struct, frozen=True):
    id: str
    kind: AreaKind = "other"
    nation: str = ""
    name_en: str = ""
    name_ja: str = ""
    name_ko: str = ""


class _Geometry(Struct, frozen=True):
    type: Literal["Polygon", "MultiPolygon"]
    coordinates: list[Any]


class _Feature(Struct, frozen=True):
    properties: _Properties
    geometry: _Geometry


class _Collection(Struct, frozen=True):
    features: list[_Feature] = field(default_factory=list)


class Layer(NamedTuple):
    """A layer of areas as arrays; see kernels/polygon.py for `edge`, `ring` and `box`."""

    areas: tuple[_Properties, ...]
    points: Array  # (v, 2) lon, lat, degrees
    place_m: Array  # (v, 3) the same on the ellipsoid, ECEF
    edge: NDArray[np.int64]
    ring: NDArray[np.int64]
    frame: Array
    box: Array


def decode_layer(data: bytes) -> Layer:
    """Return the layer a GeoJSON text holds; AreasError says what is wrong with it."""
    try:
        features = msgspec.json.decode(data, type=_Collection).features
    except (msgspec.DecodeError, RecursionError) as error:
        raise AreasError("areas-unreadable", f"{error}.") from error
    ids = [one.properties.id for one in features]
    if not features or len(features) > AREAS_MAX or len(set(ids)) != len(ids):
        raise AreasError("areas-unreadable", f"{len(ids)} areas of {len(set(ids))} ids; at most {AREAS_MAX}, each its own.")
    rings: list[Array] = []
    ring = [0]
    for one in features:
        shapes = one.geometry.coordinates if one.geometry.type == "MultiPolygon" else [one.geometry.coordinates]
        rings += [_ring(given, one.properties.id) for polygon in shapes for given in polygon]
        ring.append(len(rings))
    points = np.concatenate(rings)
    if len(points) > VERTICES_MAX:
        raise AreasError("areas-unreadable", f"{len(points):,} vertices; at most {VERTICES_MAX:,}.")
    edge = np.cumsum([0, *(len(one) for one in rings)])
    frame = np.array([_box(points[a:b]) for a, b in pairwise(edge)])
    box = np.array([_box(points[edge[a] : edge[b]]) for a, b in pairwise(ring)])
    place = geodesy.geodetic_to_ecef(points[:, 1], points[:, 0], 0.0)
    return Layer(tuple(one.properties for one in features), points, place, edge, np.array(ring), frame, box)


def _ring(given: Any, area: str) -> Array:
    """Return one ring as an array, closed; AreasError when it is none."""
    try:
        ring = np.asarray([point[:2] for point in given], np.float64)
    except (TypeError, ValueError) as error:
        raise AreasError("areas-unreadable", f"Area {area}: {error}.") from error
    if len(ring) < 3 or ring.shape[1:] != (2,) or not (np.abs(ring) <= (180.0, 90.0)).all():
        raise AreasError("areas-unreadable", f"Area {area} has a ring that is none: 3 or more pairs of lon, lat are wanted.")
    if np.abs(np.diff(ring[:, 0])).max() > 180.0:
        raise AreasError("areas-unreadable", f"Area {area} crosses the date line: cut it there (RFC 7946, section 3.1.9).")
    return ring if (ring[0] == ring[-1]).all() else np.concatenate([ring, ring[:1]])


def _box(points: Array) -> tuple[float, float, float, float]:
    low, high = points.min(axis=0), points.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@cache
def shipped_layer() -> Layer:
    """Return the layer that comes with the package."""
    return decode_layer(_SHIPPED.read_bytes())


@cache
def normals(n: int, dimensions: int) -> Array:
    """Return n quasi-random standard normal points (n, dimensions), always the same.

    The additive recurrence whose steps are powers of the generalised golden ratio (Roberts, The Unreasonable Effectiveness of
    Quasirandom Sequences, 2018).
    """
    ratio = 2.0
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (dimensions + 1))
    steps = ratio ** -np.arange(1, dimensions + 1)
    unit = (0.5 + np.outer(np.arange(1, n + 1), steps)) % 1.0
    # scipy's quantile function would cost every start of a node a third of a second.
    quantiles: NDArray[np.float64] = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])(np.clip(unit, 1e-9, 1.0 - 1e-9))
    return quantiles


def touched(layer: Layer, landing: Landing, t_ns: int) -> tuple[TouchedArea, ...]:
    """Return the areas that a landing may touch and its path passes over, likeliest first; t_ns is the time of the state."""
    return (*landing_areas(layer, landing, t_ns), *overflown(layer, landing, t_ns))


def landing_areas(layer: Layer, landing: Landing, t_ns: int) -> tuple[TouchedArea, ...]:
    """Return the areas that the 95 % ellipse touches (by border or by holding it), with the probability of a landing in each."""
    # A floor of a metre keeps an exact state's ellipse an ellipse.
    covariance = landing.covariance + np.diag([1.0, 1.0, 1e-6])
    offset = normals(LANDING_POINTS, 3) @ np.linalg.cholesky(covariance).T
    basis = geodesy.enu_basis(landing.lat_deg, landing.lon_deg)
    held = _held(layer, landing.place_m + offset[:, :2] @ basis[:2])
    share = held.mean(axis=1)
    seconds = landing.seconds + offset[:, 2]
    inner = (offset[:, :2] @ np.linalg.inv(covariance[:2, :2]) * offset[:, :2]).sum(axis=1) <= RADIUS2_95
    hit = _borders(layer, landing, covariance[:2, :2], basis) | (held[:, inner].any(axis=1))
    reach_s = Z_95 * float(np.sqrt(covariance[2, 2]))
    out = []
    for k in np.flatnonzero(hit):
        mine = seconds[held[k] == 1]
        first, last = (
            (float(mine.min()), float(mine.max())) if len(mine) > 7 else (landing.seconds - reach_s, landing.seconds + reach_s)
        )
        out.append(_area(layer, int(k), "landing", max(float(share[k]), SHARE_MIN), first, last, t_ns))
    return tuple(sorted(out, key=lambda one: (-one.probability, one.id)))


def _borders(layer: Layer, landing: Landing, covariance: Array, basis: Array) -> NDArray[np.bool_]:
    """Tell of every area whether its border comes within the 95 % ellipse, exactly, in the plane of the landing."""
    from trilat.kernels import polygon  # noqa: PLC0415 - numba loads here

    reach_deg = np.degrees(np.sqrt(RADIUS2_95 * float(np.linalg.eigvalsh(covariance)[-1])) / 6.3e6)
    wide_deg = min(180.0, reach_deg / max(np.cos(np.radians(min(abs(landing.lat_deg) + reach_deg, 89.0))), 0.01))
    box = layer.box
    near = (box[:, 1] <= landing.lat_deg + reach_deg) & (box[:, 3] >= landing.lat_deg - reach_deg)
    lon = np.zeros(len(box), np.bool_)
    for turn in (-360.0, 0.0, 360.0):
        lon |= (box[:, 0] <= landing.lon_deg + turn + wide_deg) & (box[:, 2] >= landing.lon_deg + turn - wide_deg)
    near &= lon
    out = np.full(len(box), np.inf)
    if near.any():
        white = np.linalg.inv(np.linalg.cholesky(covariance))
        level = np.ascontiguousarray(basis[:2])
        polygon.reach(layer.place_m, landing.place_m, level, white, FAR_M, layer.edge, layer.ring, near, out)
    return np.asarray(out <= RADIUS2_95)


def overflown(layer: Layer, landing: Landing, t_ns: int) -> tuple[TouchedArea, ...]:
    """Return the areas that the path passes over before it lands, with the probability that it passes over each."""
    middle = landing.flight.path[:, :3]
    if not len(middle):
        return ()
    paths = [middle]
    if len(landing.paths):
        # Rows of NaN are beyond the ground: there a sigma flight says nothing, and the middle one's place stands.
        plus, minus = landing.paths[0::2, :, :3], landing.paths[1::2, :, :3]
        odd = np.nan_to_num((plus - minus) / (2.0 * np.sqrt(STEP2)))
        paths += list(middle + np.einsum("pk,knc->pnc", normals(PATHS, len(odd)), odd))
    over = _held(layer, np.concatenate(paths)).reshape(len(layer.areas), len(paths), len(middle))
    fine = _held(layer, _finer(middle))
    out = []
    for k in np.flatnonzero(over.any(axis=(1, 2)) | fine.any(axis=1)):
        hit = over[k].any(axis=1)
        share = max(float(hit[1:].mean()) if len(paths) > 1 else 0.0, 0.5 if fine[k].any() else 0.5 / PATHS)
        share = 1.0 if len(paths) == 1 else share
        at = np.concatenate([np.flatnonzero(over[k].any(axis=0)), np.flatnonzero(fine[k]) / FINE])
        first_s, last_s = float(at.min()) * PATH_EVERY_S, float(at.max()) * PATH_EVERY_S
        out.append(_area(layer, int(k), "overflight", share, first_s - PATH_EVERY_S / 2, last_s + PATH_EVERY_S / 2, t_ns))
    return tuple(sorted(out, key=lambda one: (one.t_from_ns, one.id)))


def _finer(path: Array) -> Array:
    """Return a path with FINE points for one: at 7 km/s one every 9 km."""
    at = np.arange(FINE * (len(path) - 1) + 1) / FINE
    return np.stack([np.interp(at, np.arange(len(path)), path[:, k]) for k in range(3)], axis=1)


def _held(layer: Layer, place_m: Array) -> NDArray[np.uint8]:
    """Return which area holds which place (areas, n)."""
    from trilat.kernels import polygon  # noqa: PLC0415 - numba loads here
    from trilat.kernels.frames import earth  # noqa: PLC0415 - same

    out = np.empty((len(layer.areas), len(place_m)), np.uint8)
    polygon.hold(earth("wgs84"), place_m, layer.points, layer.edge, layer.frame, layer.ring, layer.box, out)
    return out


def _area(
    layer: Layer, k: int, touch: Literal["landing", "overflight"], share: float, first_s: float, last_s: float, t_ns: int
) -> TouchedArea:
    one = layer.areas[k]
    return TouchedArea(
        id=one.id,
        kind=one.kind,
        nation=one.nation,
        name_en=one.name_en,
        name_ja=one.name_ja,
        name_ko=one.name_ko,
        touch=touch,
        probability=min(share, 1.0),
        t_from_ns=t_ns + round(max(first_s, 0.0) * NS),
        t_to_ns=t_ns + round(max(last_s, 0.0) * NS),
    )

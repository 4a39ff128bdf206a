"""Points, paths and ellipses against polygons on the Earth, compiled. Rings are in degrees, inside by the even-odd rule."""

from __future__ import annotations

import numpy as np

from trilat.kernels.frames import vertical
from trilat.kernels.jit import entry, kernel


@kernel
def inside(lon, lat, rings, start, stop):  # type: ignore[no-untyped-def]
    """Tell whether a point is inside the rings start..stop, by crossings. rings: vertices, first vertex of each, box of each."""
    points, edge, frame = rings
    crossed = False
    for r in range(start, stop):
        if lat < frame[r, 1] or lat > frame[r, 3] or lon > frame[r, 2] or lon < frame[r, 0]:
            continue
        a = edge[r]
        for b in range(edge[r] + 1, edge[r + 1]):
            if (points[a, 1] > lat) != (points[b, 1] > lat):
                at = points[a, 0] + (lat - points[a, 1]) / (points[b, 1] - points[a, 1]) * (points[b, 0] - points[a, 0])
                if lon < at:
                    crossed = not crossed
            a = b
    return crossed


@entry
def hold(earth, place_m, points, edge, frame, ring, box, out):  # type: ignore[no-untyped-def]
    """Write for every area and place (ECEF, (n, 3)) whether it holds it: out (areas, n) of uint8.

    points (v, 2); edge (rings+1,): first vertex of each ring; ring (areas+1,): first ring of each area; frame (rings, 4)
    and box (areas, 4): least lon, lat and greatest lon, lat of each ring and area.
    """
    rings, n = (points, edge, frame), len(place_m)
    lon, lat = np.empty(n), np.empty(n)
    west, south, east, north = 1e300, 1e300, -1e300, -1e300
    for i in range(n):
        _, _, up, _ = vertical(earth, place_m[i, 0], place_m[i, 1], place_m[i, 2])
        lat[i] = np.degrees(np.arcsin(min(1.0, max(-1.0, up))))
        lon[i] = np.degrees(np.arctan2(place_m[i, 1], place_m[i, 0]))
        west, east = min(west, lon[i]), max(east, lon[i])
        south, north = min(south, lat[i]), max(north, lat[i])
    for k in range(len(box)):
        for i in range(n):
            out[k, i] = 0
        if box[k, 0] > east or box[k, 2] < west or box[k, 1] > north or box[k, 3] < south:
            continue  # all of them are beside it
        for i in range(n):
            if box[k, 0] <= lon[i] <= box[k, 2] and box[k, 1] <= lat[i] <= box[k, 3]:
                out[k, i] = inside(lon[i], lat[i], rings, ring[k], ring[k + 1])


@entry
def reach(place_m, middle_m, level, white, far_m, edge, ring, near, out):  # type: ignore[no-untyped-def]
    """Write for every area the least squared distance of its border from a place, in a plane where an ellipse is the unit circle.

    place_m (v, 3): the vertices; middle_m (3,): the place; level (2, 3): east and north there; white (2, 2), lower: what makes
    the ellipse the circle; vertices beyond far_m are behind the Earth's edge; near (areas,): which areas to look at.
    """
    for k in range(len(ring) - 1):
        out[k] = np.inf
        if not near[k]:
            continue
        for r in range(ring[k], ring[k + 1]):
            ax, ay = 0.0, 0.0
            for b in range(edge[r], edge[r + 1]):
                x, y, far2 = 0.0, 0.0, 0.0
                for c in range(3):
                    d = place_m[b, c] - middle_m[c]
                    x += d * level[0, c]
                    y += d * level[1, c]
                    far2 += d * d
                if far2 > far_m * far_m:
                    x, y = 1e9, 1e9
                bx, by = white[0, 0] * x, white[1, 0] * x + white[1, 1] * y
                if b > edge[r]:
                    out[k] = min(out[k], _from_zero(ax, ay, bx, by))
                ax, ay = bx, by


@kernel
def _from_zero(ax, ay, bx, by):  # type: ignore[no-untyped-def]
    """Return the squared distance of a stretch from the plane's zero."""
    dx, dy = bx - ax, by - ay
    length2 = dx * dx + dy * dy
    share = 0.0
    if length2 > 0.0:
        share = min(1.0, max(0.0, -(ax * dx + ay * dy) / length2))
    x, y = ax + share * dx, ay + share * dy
    return x * x + y * y


def warm() -> None:
    """Compile what the product calls."""
    from trilat.kernels.frames import earth  # noqa: PLC0415 - only here

    points, edge = np.zeros((4, 2)), np.array([0, 4])
    ring, box = np.array([0, 1]), np.zeros((1, 4))
    hold(earth("wgs84"), np.ones((4, 3)), points, edge, box, ring, box, np.empty((1, 4), np.uint8))
    reach(np.ones((4, 3)), np.ones(3), np.ones((2, 3)), np.eye(2), 1e7, edge, ring, np.ones(1, np.bool_), np.empty(1))

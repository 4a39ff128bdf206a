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
    rings = (points, edge, frame)
    for i in range(len(place_m)):
        _, _, up, _ = vertical(earth, place_m[i, 0], place_m[i, 1], place_m[i, 2])
        lat = np.degrees(np.arcsin(min(1.0, max(-1.0, up))))
        lon = np.degrees(np.arctan2(place_m[i, 1], place_m[i, 0]))
        for k in range(len(box)):
            out[k, i] = 0
            if box[k, 0] <= lon <= box[k, 2] and box[k, 1] <= lat <= box[k, 3] and inside(lon, lat, rings, ring[k], ring[k + 1]):
                out[k, i] = 1


@entry
def reach(white, edge, ring, near, out):  # type: ignore[no-untyped-def]
    """Write for every area the least squared distance of its border from the origin of a plane.

    white (v, 2): the vertices in a plane where the ellipse is the unit circle; near (areas,): which areas to look at.
    """
    for k in range(len(ring) - 1):
        out[k] = np.inf
        if not near[k]:
            continue
        for r in range(ring[k], ring[k + 1]):
            for b in range(edge[r] + 1, edge[r + 1]):
                ax, ay = white[b - 1, 0], white[b - 1, 1]
                dx, dy = white[b, 0] - ax, white[b, 1] - ay
                length2 = dx * dx + dy * dy
                share = 0.0
                if length2 > 0.0:
                    share = min(1.0, max(0.0, -(ax * dx + ay * dy) / length2))
                x, y = ax + share * dx, ay + share * dy
                out[k] = min(out[k], x * x + y * y)


def warm() -> None:
    """Compile what the product calls."""
    from trilat.kernels.frames import earth  # noqa: PLC0415 - only here

    points, edge = np.zeros((4, 2)), np.array([0, 4])
    ring, box = np.array([0, 1]), np.zeros((1, 4))
    hold(earth("wgs84"), np.ones((4, 3)), points, edge, box, ring, box, np.empty((1, 4), np.uint8))
    reach(points, edge, ring, np.ones(1, np.bool_), np.empty(1))

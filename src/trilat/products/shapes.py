"""A warning as GeoJSON (RFC 7946) and KML 2.3 (OGC 12-007r2, 2015): its areas as polygons, circles, words in every language.

What is not live says so in every feature's name. There is no exact place of a flight in either: they are made for the public.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import asin, atan2, cos, pi, radians, sin
from typing import Any

import msgspec
from lxml import etree

from trilat.products.cap import Rings, identifier_of, message_of, status_of, thinned
from trilat.products.texts import drill, name_of
from trilat.records.warning import Warning

KML = "http://www.opengis.net/kml/2.2"
EARTH_M = 6_371_008.8
CIRCLE_POINTS = 48
Ring = Sequence[tuple[float, float]]  # (lat, lon), closed


def geojson(warning: Warning, references: Sequence[str], rings: Rings) -> bytes:
    """Return a FeatureCollection: one feature for each area and circle; without any, one without a geometry."""
    shared: dict[str, Any] = {
        "identifier": identifier_of(warning),
        "message": message_of(warning, references),
        "status": status_of(warning.label.mode),
        "state": warning.state,
        "reason": warning.reason,
        "sender": warning.label.originator,
        "sent_ns": warning.t_ns,
        "expires_ns": warning.expires_ns,
        "confidence": warning.confidence,
        "headline": {one.language: one.headline for one in warning.words} or {"en": _headline(warning)},
        "line": {one.language: one.line for one in warning.words},
    }
    features = [
        {"type": "Feature", "geometry": _geometry(shape), "properties": {**shared, **told}}
        for told, shape in _areas(warning, rings)
    ]
    whole = features or [{"type": "Feature", "geometry": None, "properties": shared}]
    return msgspec.json.encode({"type": "FeatureCollection", "features": whole})


def kml(warning: Warning, rings: Rings) -> bytes:
    """Return a KML document with a placemark for each area and circle."""
    root = etree.Element(f"{{{KML}}}kml", nsmap={None: KML})
    document = etree.SubElement(root, f"{{{KML}}}Document", id=identifier_of(warning))
    _put(document, "name", _headline(warning))
    lines = [one.line for one in warning.words] or [_headline(warning)]
    _put(document, "description", "\n".join(lines))
    for told, shape in _areas(warning, rings):
        place = etree.SubElement(document, f"{{{KML}}}Placemark")
        _put(place, "name", drill(warning.label.mode, "en", str(told["name"])))
        _put(place, "description", f"{warning.state}: {told.get('touch', 'area')}")
        whole = etree.SubElement(place, f"{{{KML}}}MultiGeometry")
        for ring in shape:
            polygon = etree.SubElement(whole, f"{{{KML}}}Polygon")
            line = etree.SubElement(etree.SubElement(polygon, f"{{{KML}}}outerBoundaryIs"), f"{{{KML}}}LinearRing")
            _put(line, "coordinates", " ".join(f"{lon:.4f},{lat:.4f}" for lat, lon in ring))
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def _headline(warning: Warning) -> str:
    return warning.words[0].headline if warning.words else drill(warning.label.mode, "en", warning.headline)


def _areas(warning: Warning, rings: Rings) -> Iterator[tuple[Mapping[str, Any], list[Ring]]]:
    """Yield what is told of each area and circle, with its outer rings."""
    for one in {(area.id, area.touch): area for area in warning.touched}.values():
        told = {
            "area": one.id,
            "name": one.name_en,
            "names": {language: name_of(one, language) for language in ("en", "ja", "ko")},
            "touch": one.touch,
            "probability": round(one.probability, 4),
            "from_ns": one.t_from_ns,
            "to_ns": one.t_to_ns,
        }
        yield told, [thinned(ring) for ring in rings.get(one.id, ())]
    for circle in warning.areas:
        yield {"name": circle.name}, [_circle(circle.lat_deg, circle.lon_deg, circle.radius_m)]


def _geometry(rings: Sequence[Ring]) -> dict[str, Any] | None:
    if not rings:
        return None
    return {"type": "MultiPolygon", "coordinates": [[[[lon, lat] for lat, lon in _counter(ring)]] for ring in rings]}


def _counter(ring: Ring) -> Ring:
    """Return a ring that runs counter-clockwise, as RFC 7946 wants the outer ones."""
    area = sum((b[1] - a[1]) * (b[0] + a[0]) for a, b in pairwise(ring))
    return ring if area < 0.0 else ring[::-1]


def _circle(lat_deg: float, lon_deg: float, radius_m: float) -> Ring:
    """Return a circle on the sphere as a closed ring."""
    lat, lon, reach = radians(lat_deg), radians(lon_deg), radius_m / EARTH_M
    ring = []
    for k in range(CIRCLE_POINTS):
        turn = -2 * pi * k / CIRCLE_POINTS
        there = asin(sin(lat) * cos(reach) + cos(lat) * sin(reach) * cos(turn))
        east = lon + atan2(sin(turn) * sin(reach) * cos(lat), cos(reach) - sin(lat) * sin(there))
        ring.append((there * 180 / pi, east * 180 / pi))
    return [*ring, ring[0]]


def _put(parent: etree._Element, tag: str, text: str) -> None:
    clean = "".join(sign for sign in text if sign >= " " or sign in "\t\n")
    etree.SubElement(parent, f"{{{KML}}}{tag}").text = clean

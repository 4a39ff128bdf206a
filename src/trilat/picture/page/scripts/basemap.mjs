// Cuts the base map out of world-atlas (Natural Earth 1:10m, public domain; package ISC) at build time, so that the page needs
// no network: land as rings, land borders as lines, both inside BOX, as deltas of 1e-4 degree.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { feature, mesh } from "topojson-client";

const BOX = { west: 95, south: 0, east: 160, north: 55 };
const UNIT = 10_000;
const here = dirname(fileURLToPath(import.meta.url));
const source = createRequire(import.meta.url).resolve("world-atlas/countries-10m.json");
const world = JSON.parse(readFileSync(source, "utf8"));

// Sutherland and Hodgman (1974): one half-plane after the other.
const SIDES = [
  { inside: (p) => p[0] >= BOX.west, cut: (a, b) => at(a, b, (BOX.west - a[0]) / (b[0] - a[0])) },
  { inside: (p) => p[0] <= BOX.east, cut: (a, b) => at(a, b, (BOX.east - a[0]) / (b[0] - a[0])) },
  { inside: (p) => p[1] >= BOX.south, cut: (a, b) => at(a, b, (BOX.south - a[1]) / (b[1] - a[1])) },
  { inside: (p) => p[1] <= BOX.north, cut: (a, b) => at(a, b, (BOX.north - a[1]) / (b[1] - a[1])) },
];

function at(a, b, t) {
  return [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
}

function clipRing(ring) {
  let points = ring.slice(0, -1);
  for (const side of SIDES) {
    const kept = [];
    for (let i = 0; i < points.length; i++) {
      const a = points[(i + points.length - 1) % points.length];
      const b = points[i];
      if (side.inside(b)) {
        if (!side.inside(a)) kept.push(side.cut(a, b));
        kept.push(b);
      } else if (side.inside(a)) kept.push(side.cut(a, b));
    }
    points = kept;
    if (points.length < 3) return [];
  }
  return points;
}

const within = (p) => SIDES.every((side) => side.inside(p));

function clipLine(line) {
  const pieces = [];
  let piece = [];
  for (const point of line) {
    if (within(point)) piece.push(point);
    else {
      if (piece.length > 1) pieces.push(piece);
      piece = [];
    }
  }
  if (piece.length > 1) pieces.push(piece);
  return pieces;
}

function pack(points) {
  const out = [];
  let x = 0;
  let y = 0;
  for (const [lon, lat] of points) {
    const nx = Math.round(lon * UNIT);
    const ny = Math.round(lat * UNIT);
    if (out.length && nx === x && ny === y) continue;
    out.push(nx - x, ny - y);
    x = nx;
    y = ny;
  }
  return out;
}

const land = feature(world, world.objects.land);
const shapes = land.type === "FeatureCollection" ? land.features.map((f) => f.geometry) : [land.geometry];
const polygons = shapes.flatMap((g) => (g.type === "MultiPolygon" ? g.coordinates : [g.coordinates]));
const packedLand = polygons
  .map((rings) => rings.map(clipRing).filter((ring) => ring.length > 2).map(pack))
  .filter((rings) => rings.length > 0);
const borders = mesh(world, world.objects.countries, (a, b) => a !== b);
const packedBorders = borders.coordinates.flatMap(clipLine).map(pack).filter((line) => line.length > 3);

const folder = join(here, "..", "public", "map");
mkdirSync(folder, { recursive: true });
const text = JSON.stringify({ unit: UNIT, box: BOX, land: packedLand, borders: packedBorders });
writeFileSync(join(folder, "basemap.json"), text);
console.log(`base map: ${packedLand.length} land areas, ${packedBorders.length} border lines, ${Math.round(text.length / 1024)} KiB`);

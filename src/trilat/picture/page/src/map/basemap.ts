// The base map: land, borders, graticule, from the page's own files. Nothing is fetched from anywhere else.
import type { StyleSpecification } from "maplibre-gl";

interface Packed {
  unit: number;
  box: { west: number; south: number; east: number; north: number };
  land: number[][][];
  borders: number[][];
}

type Position = [number, number];
type Line = { type: "Feature"; properties: { kind: string }; geometry: { type: "LineString"; coordinates: Position[] } };

export const BOX = { west: 95, south: 0, east: 160, north: 55 };

function unpack(deltas: number[], unit: number): Position[] {
  const out: Position[] = [];
  let [x, y] = [0, 0];
  for (let i = 0; i < deltas.length; i += 2) {
    x += deltas[i] ?? 0;
    y += deltas[i + 1] ?? 0;
    out.push([x / unit, y / unit]);
  }
  return out;
}

const line = (kind: string, coordinates: Position[]): Line => ({
  type: "Feature",
  properties: { kind },
  geometry: { type: "LineString", coordinates },
});

/** Coast lines: the rings without the stretches along the edge of the box, which the cut made. */
function coasts(rings: Position[][]): Line[] {
  const edge = ([x, y]: Position) => x <= BOX.west || x >= BOX.east || y <= BOX.south || y >= BOX.north;
  return rings.flatMap((ring) => {
    const parts: Position[][] = [];
    let part: Position[] = [];
    for (const point of [...ring, ring[0] as Position]) {
      const last = part.at(-1);
      if (last && edge(last) && edge(point)) {
        parts.push(part);
        part = [];
      }
      part.push(point);
    }
    parts.push(part);
    return parts.filter((p) => p.length > 1).map((p) => line("coast", p));
  });
}

function graticule(): Line[] {
  const out: Line[] = [];
  for (let lon = BOX.west; lon <= BOX.east; lon += 5) out.push(line("graticule", [[lon, BOX.south], [lon, BOX.north]]));
  for (let lat = BOX.south; lat <= BOX.north; lat += 5) out.push(line("graticule", [[BOX.west, lat], [BOX.east, lat]]));
  return out;
}

export async function baseStyle(): Promise<StyleSpecification> {
  const answer = await fetch(new URL("./map/basemap.json", location.href));
  const packed = (await answer.json()) as Packed;
  const polygons = packed.land.map((rings) => rings.map((ring) => unpack(ring, packed.unit)));
  const land = {
    type: "FeatureCollection" as const,
    features: polygons.map((rings) => ({
      type: "Feature" as const,
      properties: {},
      geometry: { type: "Polygon" as const, coordinates: rings.map((ring) => [...ring, ring[0] as Position]) },
    })),
  };
  const borders = packed.borders.map((deltas) => line("border", unpack(deltas, packed.unit)));
  const lines = { type: "FeatureCollection" as const, features: [...coasts(polygons.flat()), ...borders, ...graticule()] };
  return {
    version: 8,
    sources: {
      land: { type: "geojson", data: land, tolerance: 0.2, buffer: 8 },
      lines: { type: "geojson", data: lines, tolerance: 0.2, buffer: 8 },
    },
    layers: [
      { id: "sea", type: "background", paint: { "background-color": "#0b1620" } },
      {
        id: "graticule",
        type: "line",
        source: "lines",
        filter: ["==", ["get", "kind"], "graticule"],
        paint: { "line-color": "#6d8ba3", "line-opacity": 0.13, "line-width": 0.7 },
      },
      {
        id: "shelf",
        type: "line",
        source: "lines",
        filter: ["==", ["get", "kind"], "coast"],
        paint: {
          "line-color": "#1d4257",
          "line-opacity": 0.45,
          "line-width": ["interpolate", ["exponential", 1.7], ["zoom"], 3, 4, 6, 14, 10, 24],
          "line-blur": ["interpolate", ["exponential", 1.7], ["zoom"], 3, 4, 6, 14, 10, 24],
        },
      },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": "#212e37", "fill-antialias": false } },
      {
        id: "borders",
        type: "line",
        source: "lines",
        filter: ["==", ["get", "kind"], "border"],
        paint: { "line-color": "#8b9aa6", "line-opacity": 0.4, "line-width": 0.9, "line-dasharray": [4, 3] },
      },
      {
        id: "coast",
        type: "line",
        source: "lines",
        filter: ["==", ["get", "kind"], "coast"],
        paint: { "line-color": "#54748a", "line-width": ["interpolate", ["linear"], ["zoom"], 3, 0.5, 8, 1.2] },
      },
    ],
  };
}

// What warnings say of flights, on the map: the areas under them, the fan while it burns, the landing ellipse after, the predicted
// way. EXERCISE is written in each.
import { PathLayer, PolygonLayer, TextLayer } from "@deck.gl/layers";
import type { Layer } from "@deck.gl/core";
import type { Fan, Warning } from "../protocol";
import { along, ellipse, unrolled } from "./geo";
import { WARNING } from "./palette";

// What is less likely than this is named in the strip and not lit.
const LIT_LEAST = 0.01;

interface Shape {
  ring: [number, number][];
  at: [number, number];
  text: string;
  sure: boolean;
}

function fan(one: Fan): [number, number][] {
  const turn = (one.bearing_to_deg - one.bearing_from_deg + 360) % 360;
  const arc = (range: number, back: boolean): [number, number][] =>
    Array.from({ length: 33 }, (_, i) => {
      const share = (back ? 32 - i : i) / 32;
      return along(one.lon_deg, one.lat_deg, one.bearing_from_deg + turn * share, range);
    });
  const outer = arc(one.range_to_m, false);
  return [...outer, ...arc(Math.max(one.range_from_m, 1), true), ...outer.slice(0, 1)];
}

function shapes(warning: Warning): Shape[] {
  const flight = warning.flight;
  // What is over or taken back claims no place any more.
  if (!flight || !warning.open || ["landed", "passed"].includes(warning.state)) return [];
  const drill = warning.exercise.startsWith("LIVE") ? "" : "EXERCISE ";
  const lost = warning.state === "track-lost";
  const land = flight.landing;
  if (land) {
    const doubt = lost ? " TRACK LOST" : land.reliable ? " 95 %" : " NOT RELIABLE";
    const ring = ellipse(land.lon_deg, land.lat_deg, land.major_m, land.minor_m, land.bearing_deg);
    return [{ ring, at: [land.lon_deg, land.lat_deg], text: `${drill}${warning.id}${doubt}`, sure: !lost && land.reliable }];
  }
  if (!flight.fan || lost) return [];
  const middle = flight.fan.bearing_from_deg + ((flight.fan.bearing_to_deg - flight.fan.bearing_from_deg + 360) % 360) / 2;
  const at = along(flight.fan.lon_deg, flight.fan.lat_deg, middle, flight.fan.range_to_m / 2);
  return [{ ring: fan(flight.fan), at, text: `${drill}${warning.id}`, sure: false }];
}

interface Lit {
  ring: [number, number][];
  landing: boolean;
  probability: number;
}

/** The outlines of the areas that open warnings name: each once, a landing before an overflight, the likeliest of several. */
function lit(warnings: Warning[], outlines: Record<string, [number, number][][]>): Lit[] {
  const found = new Map<string, { landing: boolean; probability: number }>();
  for (const warning of warnings) {
    if (!warning.open || ["landed", "passed"].includes(warning.state)) continue;
    for (const area of warning.touched) {
      if (area.id.startsWith("FIR-") || area.probability < LIT_LEAST) continue;
      const before = found.get(area.id);
      const landing = area.touch === "landing" || (before?.landing ?? false);
      found.set(area.id, { landing, probability: Math.max(before?.probability ?? 0, area.probability) });
    }
  }
  return [...found].flatMap(([id, one]) => (outlines[id] ?? []).map((ring) => ({ ring, ...one })));
}

interface Way {
  path: [number, number][];
}

function ways(warning: Warning): Way[] {
  const path = warning.flight?.path ?? [];
  const over = !warning.open || ["landed", "passed", "track-lost"].includes(warning.state);
  return over || path.length < 2 ? [] : [{ path: unrolled(path) }];
}

/** Layers of every open warning's flight; no filter of the page reaches them. */
export function flightLayers(warnings: Warning[], outlines: Record<string, [number, number][][]>, font: string): Layer[] {
  const data = warnings.flatMap(shapes);
  return [
    new PolygonLayer<Lit>({
      id: "warning-touched",
      data: lit(warnings, outlines),
      getPolygon: (one) => one.ring,
      getFillColor: (one) => [...WARNING, Math.round((one.landing ? 90 : 34) * Math.max(0.35, one.probability))],
      getLineColor: (one) => [...WARNING, one.landing ? 230 : 120],
      lineWidthUnits: "pixels",
      getLineWidth: (one) => (one.landing ? 1.6 : 0.8),
    }),
    new PathLayer<Way>({
      id: "warning-ways",
      data: warnings.flatMap(ways),
      getPath: (one) => one.path,
      getColor: [...WARNING, 200],
      widthUnits: "pixels",
      getWidth: 1.6,
    }),
    new PolygonLayer<Shape>({
      id: "warning-flights",
      data,
      getPolygon: (one) => one.ring,
      getFillColor: (one) => [...WARNING, one.sure ? 60 : 24],
      getLineColor: [...WARNING, 255],
      lineWidthUnits: "pixels",
      getLineWidth: (one) => (one.sure ? 2.4 : 1.2),
    }),
    new TextLayer<Shape>({
      id: "warning-flight-names",
      data,
      getText: (one) => one.text,
      getPosition: (one) => one.at,
      getColor: [...WARNING, 255],
      getSize: 13,
      fontFamily: font,
      fontWeight: 700,
      characterSet: "auto",
      background: true,
      getBackgroundColor: [8, 15, 22, 190],
      backgroundPadding: [3, 1, 3, 1],
    }),
  ];
}

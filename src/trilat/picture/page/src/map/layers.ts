// The deck.gl layers of everything that moves or is chosen. Called once per frame or change; reads columns, makes no objects per track.
import { IconLayer, LineLayer, PathLayer, PolygonLayer, ScatterplotLayer, TextLayer } from "@deck.gl/layers";
import type { Layer } from "@deck.gl/core";
import type { Details, Hello, Place, Site, Warning } from "../protocol";
import type { Tracks } from "../tracks";
import type { MapLayer, Shown } from "../filters";
import { flightLayers } from "./flights";
import { along, ellipse } from "./geo";
import { WARNING, nationColour } from "./palette";
import type { Rgb } from "./palette";
import type { Atlas } from "./symbols";

const FLAG_IDENTIFIED = 16;
const FLAG_EMERGENCY = 8;
const FLAG_AREA = 4;
const LABELS_MAX = 350;
const LABEL_ZOOM = 6.6;
const FONT = "'Noto Sans', 'Noto Sans CJK JP', 'Noto Sans CJK KR', 'Segoe UI', system-ui, sans-serif";
// Words on the map stand on a dark ground, so that they can be read over symbols and coasts.
const BACKED = { background: true, getBackgroundColor: [8, 15, 22, 190], backgroundPadding: [3, 1, 3, 1] } as const;
// How far ahead the heading line points at zoom 7, by domain; doubled with each zoom level out, so that it stays readable.
const LEAD_S: Record<string, number> = { air: 60, sea: 900, missile: 30, space: 30, unknown: 60 };
const LEAD_DOUBLINGS_MAX = 3;

export interface Drawing {
  hello: Hello;
  tracks: Tracks;
  shown: Shown;
  nowMs: number;
  zoom: number;
  atlas: Atlas;
  selected: number;
  details: Details | null;
  warnings: Warning[];
  outlines: Record<string, [number, number][][]>;
  layers: ReadonlySet<MapLayer>;
  lang: string;
  places: Place[];
  onPick: (id: number) => void;
}

export interface Drawn {
  layers: Layer[];
  symbols: number;
}

/** 255 when fresh, fading to 110 between the stale age and twice that. */
export function fade(ageMs: number, staleS: number): number {
  const over = (ageMs / 1000 - staleS) / staleS;
  return Math.round(255 - 145 * Math.min(Math.max(over, 0), 1));
}

export function draw(d: Drawing): Drawn {
  const slots = d.shown.slots.slice(0, d.shown.count);
  const data = { length: slots.length };
  const slot = (index: number) => slots[index] ?? 0;
  const where = (index: number): [number, number] => position(d, slot(index));
  const staleS = d.hello.domains.map((name) => d.hello.stale_s[name] ?? 30);
  const alpha = new Uint8Array(slots.length);
  const old: number[] = [];
  slots.forEach((s, index) => {
    const stale = staleS[d.tracks.domain[s] ?? 0] ?? 30;
    const age = d.nowMs - (d.tracks.updatedMs[s] ?? 0);
    alpha[index] = fade(age, stale);
    if (age > 2000 * stale) old.push(s);
  });
  const layers: Layer[] = [...areas(d), ...flightLayers(d.warnings, d.outlines, FONT), ...sites(d), ...placeNames(d)];
  if (d.layers.has("trails")) layers.push(trailLayer(d, slots));
  if (d.layers.has("vectors")) layers.push(...vectors(d, slots, alpha));
  layers.push(...uncertainty(d, slots));
  const codes = Array.from(slots, (s) => code(d, s));
  for (let bit = 0; bit < d.hello.nations.length; bit++) d.atlas.badge(bit);
  const { image, mapping } = d.atlas.current();
  layers.push(
    new IconLayer({
      id: "symbols",
      data,
      iconAtlas: image as unknown as string,
      iconMapping: mapping,
      getIcon: (_: unknown, { index }: { index: number }) => codes[index] ?? "",
      getPosition: (_: unknown, { index }: { index: number }) => where(index),
      getSize: 34,
      getColor: (_: unknown, { index }: { index: number }) => [255, 255, 255, alpha[index] ?? 255],
      pickable: true,
      onClick: ({ index }) => d.onPick(d.tracks.ids[slot(index)] ?? 0),
    }),
    badges(d, slots, alpha),
  );
  layers.push(...questionMarks(d, old), ...selection(d), ...labels(d, slots));
  return { layers, symbols: slots.length };
}

function position(d: Drawing, s: number): [number, number] {
  return [d.tracks.lonLat[s * 2] ?? 0, d.tracks.lonLat[s * 2 + 1] ?? 0];
}

function code(d: Drawing, s: number): string {
  const { affiliations, domains, statuses } = d.hello;
  const flags = d.tracks.flags[s] ?? 0;
  const affiliation = affiliations[d.tracks.affiliation[s] ?? 1] ?? "unknown";
  const domain = domains[d.tracks.domain[s] ?? 0] ?? "unknown";
  return d.atlas.symbol(affiliation, domain, statuses[d.tracks.status[s] ?? 1] !== "confirmed", (flags & FLAG_IDENTIFIED) !== 0);
}

function firstNation(d: Drawing, s: number): number {
  return Math.max(0, 31 - Math.clz32((d.tracks.nations[s] ?? 1) & -(d.tracks.nations[s] ?? 1)));
}

/** One small badge per contributing nation, in a row below the symbol to the right. */
function badges(d: Drawing, slots: Uint32Array, alpha: Uint8Array): Layer {
  const rows: { at: [number, number]; bit: number; nth: number; alpha: number }[] = [];
  slots.forEach((s, index) => {
    let nth = 0;
    for (let bit = 0; bit < d.hello.nations.length; bit++) {
      if (((d.tracks.nations[s] ?? 0) >> bit) & 1) rows.push({ at: position(d, s), bit, nth: nth++, alpha: alpha[index] ?? 255 });
    }
  });
  const { image, mapping } = d.atlas.current();
  return new IconLayer({
    id: "nations",
    data: rows,
    iconAtlas: image as unknown as string,
    iconMapping: mapping,
    getIcon: (row) => d.atlas.badge(row.bit),
    getPosition: (row) => row.at,
    getPixelOffset: (row) => [9 + row.nth * 9, 9],
    getSize: 11,
    getColor: (row) => [255, 255, 255, row.alpha],
  });
}

function vectors(d: Drawing, slots: Uint32Array, alpha: Uint8Array): Layer[] {
  const doublings = Math.min(Math.max(Math.round(7 - d.zoom), -2), LEAD_DOUBLINGS_MAX);
  const lead = d.hello.domains.map((name) => (LEAD_S[name] ?? 100) * 2 ** doublings);
  const moving = slots.filter((s) => (d.tracks.speed[s] ?? NaN) > 0.5);
  const alphas = new Map<number, number>(Array.from(slots, (s, i) => [s, alpha[i] ?? 255]));
  return [
    new LineLayer<number>({
      id: "vectors",
      data: Array.from(moving),
      getSourcePosition: (s) => position(d, s),
      getTargetPosition: (s) => {
        const [lon, lat] = position(d, s);
        const metres = (d.tracks.speed[s] ?? 0) * (lead[d.tracks.domain[s] ?? 0] ?? 120);
        return along(lon, lat, d.tracks.course[s] ?? 0, metres);
      },
      getColor: (s) => [...nationColour(firstNation(d, s)), Math.round((alphas.get(s) ?? 255) * 0.85)],
      getWidth: 1.6,
    }),
  ];
}

function trailLayer(d: Drawing, slots: Uint32Array): Layer {
  const rows: { path: number[]; bit: number }[] = [];
  for (const s of slots) {
    const points = d.tracks.trails.get(d.tracks.ids[s] ?? 0);
    if (points && points.length >= 2) rows.push({ path: [...points, ...position(d, s)], bit: firstNation(d, s) });
  }
  return new PathLayer({
    id: "trails",
    data: rows,
    getPath: (row) => row.path,
    positionFormat: "XY",
    getColor: (row) => [...nationColour(row.bit), 90],
    getWidth: 1.4,
    widthUnits: "pixels",
  });
}

/** Area-tier reports as circles, and the selected track's 95 % ellipse. */
function uncertainty(d: Drawing, slots: Uint32Array): Layer[] {
  const rings: { ring: [number, number][]; colour: Rgb }[] = [];
  for (const s of slots) {
    if (((d.tracks.flags[s] ?? 0) & FLAG_AREA) === 0) continue;
    const radius = d.tracks.sigma[s] ?? 0;
    rings.push({ ring: ellipse(...position(d, s), radius, radius, 0), colour: nationColour(firstNation(d, s)) });
  }
  const told = d.details;
  if (told && !told.gone && told.id === d.selected) {
    const { major_m, minor_m, bearing_deg } = told.ellipse;
    const s = d.tracks.slotOf(told.id);
    const [lon, lat] = s === undefined ? [told.lon_deg, told.lat_deg] : position(d, s);
    rings.push({ ring: ellipse(lon, lat, major_m, minor_m, bearing_deg), colour: [235, 244, 250] });
  }
  return [
    new PolygonLayer<(typeof rings)[number]>({
      id: "uncertainty",
      data: rings,
      getPolygon: (row) => row.ring,
      getFillColor: (row) => [...row.colour, 26],
      getLineColor: (row) => [...row.colour, 190],
      lineWidthUnits: "pixels",
      getLineWidth: 1.3,
    }),
  ];
}

function areas(d: Drawing): Layer[] {
  const rows = d.warnings.flatMap((warning) => warning.areas.map((area) => ({ warning, area })));
  return [
    new PolygonLayer({
      id: "warning-areas",
      data: rows,
      getPolygon: ({ area }) => ellipse(area.lon_deg, area.lat_deg, area.radius_m, area.radius_m, 0),
      getFillColor: [...WARNING, 38],
      getLineColor: [...WARNING, 235],
      lineWidthUnits: "pixels",
      getLineWidth: 1.8,
    }),
    new TextLayer({
      id: "warning-names",
      data: rows,
      getText: ({ warning, area }) => `${warning.exercise.startsWith("LIVE") ? "" : "EXERCISE "}${area.name}`,
      getPosition: ({ area }) => along(area.lon_deg, area.lat_deg, 180, area.radius_m),
      getPixelOffset: [0, 11],
      getColor: [...WARNING, 255],
      getSize: 12,
      fontFamily: FONT,
      fontWeight: 600,
      characterSet: "auto",
      ...BACKED,
    }),
  ];
}

function sites(d: Drawing): Layer[] {
  if (!d.layers.has("sites")) return [];
  return [
    new PolygonLayer<Site>({
      id: "site-ranges",
      data: d.hello.sites,
      getPolygon: (site) => ellipse(site.lon_deg, site.lat_deg, site.range_m, site.range_m, 0),
      filled: false,
      getLineColor: [140, 170, 190, 90],
      lineWidthUnits: "pixels",
      getLineWidth: 1,
    }),
    new TextLayer<Site>({
      id: "site-names",
      data: d.hello.sites,
      getText: (site) => `▲ ${site.id}`,
      getPosition: (site) => [site.lon_deg, site.lat_deg],
      getColor: [150, 180, 200, 220],
      getSize: 11,
      fontFamily: FONT,
      characterSet: "auto",
      getTextAnchor: "start",
    }),
  ];
}

function placeNames(d: Drawing): Layer[] {
  if (!d.layers.has("places")) return [];
  const rows = d.places.filter((place) => (place.rank ?? 2) <= Math.max(1, d.zoom - 3.6));
  return [
    new ScatterplotLayer<Place>({
      id: "place-dots",
      data: rows,
      getPosition: (place) => [place.lon_deg, place.lat_deg],
      getFillColor: [130, 148, 160, 170],
      radiusUnits: "pixels",
      getRadius: 1.8,
    }),
    new TextLayer<Place>({
      id: "place-names",
      data: rows,
      getText: (place) => place.names?.[d.lang] ?? place.name,
      getPosition: (place) => [place.lon_deg, place.lat_deg],
      getPixelOffset: [6, 0],
      getColor: [142, 160, 173, 190],
      getSize: 11,
      fontFamily: FONT,
      characterSet: "auto",
      getTextAnchor: "start",
      updateTriggers: { getText: d.lang },
    }),
  ];
}

function questionMarks(d: Drawing, old: number[]): Layer[] {
  return [
    new TextLayer<number>({
      id: "stale",
      data: old,
      getText: () => "?",
      getPosition: (s) => position(d, s),
      getPixelOffset: [-13, -9],
      getColor: [235, 240, 245, 255],
      getSize: 15,
      fontWeight: 700,
      fontFamily: FONT,
      ...BACKED,
    }),
  ];
}

function selection(d: Drawing): Layer[] {
  const s = d.tracks.slotOf(d.selected);
  if (!d.selected || s === undefined) return [];
  return [
    new ScatterplotLayer<number>({
      id: "selection",
      data: [s],
      getPosition: (one) => position(d, one),
      filled: false,
      stroked: true,
      getLineColor: [255, 255, 255, 255],
      lineWidthUnits: "pixels",
      getLineWidth: 1.6,
      radiusUnits: "pixels",
      getRadius: 20,
      updateTriggers: { getPosition: d.nowMs },
    }),
  ];
}

function labels(d: Drawing, slots: Uint32Array): Layer[] {
  const all = d.layers.has("labels") && (d.zoom >= LABEL_ZOOM || slots.length <= 60);
  const chosen = Array.from(slots)
    .filter((s) => all || d.tracks.ids[s] === d.selected || ((d.tracks.flags[s] ?? 0) & FLAG_EMERGENCY) !== 0)
    .slice(0, LABELS_MAX);
  return [
    new TextLayer<number>({
      id: "labels",
      data: chosen,
      getText: (s) => label(d, s),
      getPosition: (s) => position(d, s),
      getPixelOffset: [17, -8],
      getColor: (s) => (d.tracks.ids[s] === d.selected ? [255, 255, 255, 255] : [190, 205, 217, 230]),
      getSize: 11,
      lineHeight: 1.1,
      fontFamily: FONT,
      getTextAnchor: "start",
      ...BACKED,
    }),
  ];
}

/** Name, then flight level and speed for what flies, speed for what floats. */
export function label(d: Drawing, s: number): string {
  const name = d.tracks.names.get(d.tracks.ids[s] ?? 0) ?? "";
  const speed = d.tracks.speed[s] ?? NaN;
  if (Number.isNaN(speed)) return name;
  const knots = Math.round(speed * 1.943_844);
  const flies = d.hello.domains[d.tracks.domain[s] ?? 0] !== "sea";
  const level = Math.max(0, Math.round((d.tracks.alt[s] ?? 0) / 30.48));
  return flies ? `${name}\n${String(level).padStart(3, "0")} ${knots}` : `${name}\n${knots} kn`;
}

// Which tracks and map layers are shown. What is hidden is counted and said, never silent; warnings cannot be filtered.
import { computed, signal } from "@preact/signals";
import { frameTick, hello, selectedId, tracks } from "./state";

export const hiddenNations = signal<ReadonlySet<string>>(new Set());
export const hiddenDomains = signal<ReadonlySet<string>>(new Set());
export const hiddenLayers = signal<ReadonlySet<string>>(new Set());
export const hiddenStatuses = signal<ReadonlySet<string>>(new Set());
export const search = signal("");

export const MAP_LAYERS = ["trails", "vectors", "labels", "places", "borders", "graticule", "sites"] as const;
export type MapLayer = (typeof MAP_LAYERS)[number];
export const mapLayers = signal<ReadonlySet<MapLayer>>(
  new Set<MapLayer>(["trails", "vectors", "labels", "places", "borders", "graticule"]),
);

export function toggled<T>(set: ReadonlySet<T>, value: T): ReadonlySet<T> {
  const next = new Set(set);
  if (!next.delete(value)) next.add(value);
  return next;
}

function bits(hidden: ReadonlySet<string>, names: string[]): number {
  return names.reduce((sum, name, bit) => (hidden.has(name) ? sum | (1 << bit) : sum), 0);
}

export interface Shown {
  slots: Uint32Array;
  count: number;
  hidden: number;
}

let buffer = new Uint32Array(1024);

/** The slots that pass the filters, in one pass over the columns; the selected track always passes. */
export const shown = computed<Shown>(() => {
  void frameTick.value;
  const told = hello.value;
  if (!told) return { slots: buffer, count: 0, hidden: 0 };
  const all = (1 << told.nations.length) - 1;
  const nations = all & ~bits(hiddenNations.value, told.nations);
  const domains = bits(hiddenDomains.value, told.domains);
  const layers = bits(hiddenLayers.value, told.layers);
  const statuses = bits(hiddenStatuses.value, told.statuses);
  const wanted = search.value.trim().toUpperCase();
  if (buffer.length < tracks.count) buffer = new Uint32Array(tracks.capacity);
  let count = 0;
  for (let slot = 0; slot < tracks.count; slot++) {
    const passes =
      ((tracks.nations[slot] ?? 0) & nations) !== 0 &&
      ((domains >> (tracks.domain[slot] ?? 0)) & 1) === 0 &&
      ((layers >> (tracks.layer[slot] ?? 0)) & 1) === 0 &&
      ((statuses >> (tracks.status[slot] ?? 0)) & 1) === 0 &&
      (wanted === "" || (tracks.names.get(tracks.ids[slot] ?? 0) ?? "").toUpperCase().includes(wanted));
    if (passes || tracks.ids[slot] === selectedId.value) buffer[count++] = slot;
  }
  return { slots: buffer, count, hidden: tracks.count - count };
});

export interface Counts {
  nations: Record<string, number>;
  domains: Record<string, number>;
  layers: Record<string, number>;
  statuses: Record<string, number>;
}

/** How many tracks there are of each kind, hidden or not. */
export const counts = computed<Counts>(() => {
  void frameTick.value;
  const out: Counts = { nations: {}, domains: {}, layers: {}, statuses: {} };
  const told = hello.value;
  if (!told) return out;
  const add = (into: Record<string, number>, name: string | undefined) => {
    if (name !== undefined) into[name] = (into[name] ?? 0) + 1;
  };
  for (let slot = 0; slot < tracks.count; slot++) {
    told.nations.forEach((name, bit) => {
      if (((tracks.nations[slot] ?? 0) >> bit) & 1) add(out.nations, name);
    });
    add(out.domains, told.domains[tracks.domain[slot] ?? 0]);
    add(out.layers, told.layers[tracks.layer[slot] ?? 0]);
    add(out.statuses, told.statuses[tracks.status[slot] ?? 0]);
  }
  return out;
});

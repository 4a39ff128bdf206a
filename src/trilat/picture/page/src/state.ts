// What the panels read: small signals. Tracks live in `tracks`, outside the framework; `frameTick` says that they moved.
import { computed, signal } from "@preact/signals";
import type { Answer, Approvals, Details, Hello, LogLine, Status, Warning } from "./protocol";
import { Tracks } from "./tracks";

export const LOG_LINES_MAX = 500;

export const tracks = new Tracks();
export const frameTick = signal(0);
export const hello = signal<Hello | null>(null);
export const status = signal<Status | null>(null);
export const connected = signal(false);
/** When (page clock, ms) anything last came from the node. */
export const heardAt = signal(0);
/** Node time minus page clock, ms: the page shows the node's time, live or replayed. */
export const offsetMs = signal(0);
/** The node's time now, ticking twice a second. */
export const nowMs = signal(0);
export const warnings = signal<Map<string, Warning>>(new Map());
export const log = signal<LogLine[]>([]);
export const answers = signal<Map<string, Answer>>(new Map());
export const selectedId = signal(0);
export const details = signal<Details | null>(null);
export const dialog = signal<"" | "raise" | "approvals" | "accounts" | "leave" | "auto-leave" | `${"retract" | "why" | "why-warning" | "release" | "ledger"}:${string}`>("");
export const approvals = signal<Approvals>({ type: "approvals", pending: [], settled: [], leave: null });
export const toast = signal("");
export const soundOn = signal(false);
export const cursor = signal<[number, number] | null>(null);
export const mapCentre = signal<[number, number]>([129.5, 33.5]);
/** Where the map is to go: a place, or a box (west, south, east, north) that is to be seen whole. */
export const flyTo = signal<{ lon: number; lat: number; zoom?: number } | { box: [number, number, number, number] } | null>(null);

/** Outlines of the areas that warnings name, by id; asked for when the first warning names one. */
export const outlines = signal<Record<string, [number, number][][]>>({});

export const openWarnings = computed(() =>
  [...warnings.value.values()].filter((w) => w.open || w.in_sight).sort((a, b) => a.first_t_ms - b.first_t_ms),
);
export const exercising = computed(() => (hello.value?.mode.kind ?? "live") !== "live");

/** Whether this nation has acknowledged the newest version of a warning. */
export function acknowledgedHere(warning: Warning): boolean {
  const nation = hello.value?.nation;
  return warning.acknowledgements.some((a) => a.nation === nation && a.kind !== "seen" && a.version >= warning.version);
}

/** Whether this nation has acknowledged the last version that said more than newer figures: those call nobody again. */
export function newsAcknowledged(warning: Warning): boolean {
  const nation = hello.value?.nation;
  return warning.acknowledgements.some((a) => a.nation === nation && a.kind !== "seen" && a.version >= warning.news_version);
}

/** Who sits here and what they may do: by the newest status, because roles change. */
export const me = computed(() => status.value?.me ?? hello.value);

/** Whether this officer may do an act: what is not offered is refused by the node, too. */
export function may(act: string): boolean {
  return me.value?.may.includes(act) ?? false;
}

export const STALE_AFTER_MS = 4000;
export const disconnected = signal(false);
/** True where the browser cannot draw a map; everything else works. */
export const mapless = signal(false);

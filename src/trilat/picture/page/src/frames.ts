// Decodes the binary track frames (docs/reference/page-protocol.md).

export const SNAPSHOT = 1;
export const DELTA = 2;
export const TRAILS = 3;
export const RECORD_BYTES = 40;
const NAME_BYTES = 16;
const HEADER_BYTES_MIN = 56;
const MAGIC = 0x464c5254; // "TRLF", little-endian

export interface Head {
  kind: number;
  sequence: number;
  base: number;
  tMs: number;
  originMs: number;
  changed: number;
  gone: number;
  named: number;
  total: number;
  check: number;
  body: number;
}

export function head(view: DataView): Head {
  if (view.byteLength < HEADER_BYTES_MIN || view.getUint32(0, true) !== MAGIC || view.getUint8(4) !== 1) {
    throw new Error("not a track frame of a version known here");
  }
  const told: Head = {
    kind: view.getUint8(5),
    body: view.getUint16(6, true),
    sequence: view.getUint32(8, true),
    base: view.getUint32(12, true),
    tMs: view.getFloat64(16, true),
    originMs: view.getFloat64(24, true),
    changed: view.getUint32(32, true),
    gone: view.getUint32(36, true),
    named: view.getUint32(40, true),
    total: view.getUint32(44, true),
    check: view.getUint32(48, true),
  };
  if (told.kind !== TRAILS) {
    const want = told.body + told.changed * RECORD_BYTES + told.gone * 4 + told.named * NAME_BYTES;
    if (want !== view.byteLength) throw new Error(`frame of ${view.byteLength} bytes where its header says ${want}`);
  }
  return told;
}

/** One record, read in place: offsets of RECORD_DTYPE. */
export const FIELD = {
  id: 0,
  lat: 4,
  lon: 8,
  alt: 12,
  t: 16,
  updated: 20,
  speed: 24,
  course: 26,
  climb: 28,
  sigma: 30,
  nations: 32,
  domain: 34,
  status: 35,
  affiliation: 36,
  layer: 37,
  flags: 38,
  level: 39,
} as const;

export const SPEED_UNKNOWN = 65535;

export function* goneIds(view: DataView, told: Head): Generator<number> {
  const start = told.body + told.changed * RECORD_BYTES;
  for (let i = 0; i < told.gone; i++) yield view.getUint32(start + i * 4, true);
}

export function* names(view: DataView, told: Head): Generator<[number, string]> {
  const start = told.body + told.changed * RECORD_BYTES + told.gone * 4;
  for (let i = 0; i < told.named; i++) {
    const at = start + i * NAME_BYTES;
    let name = "";
    for (let k = 4; k < NAME_BYTES; k++) {
      const code = view.getUint8(at + k);
      if (code === 0) break;
      name += String.fromCharCode(code);
    }
    yield [view.getUint32(at, true), name];
  }
}

/** Past places per track id, oldest first, as [lon, lat] pairs in degrees. */
export function trails(view: DataView, told: Head): Map<number, number[]> {
  const out = new Map<number, number[]>();
  let at = told.body + told.changed * 8;
  for (let i = 0; i < told.changed; i++) {
    const id = view.getUint32(told.body + i * 8, true);
    const count = view.getUint32(told.body + i * 8 + 4, true);
    const points: number[] = [];
    for (let k = 0; k < count; k++, at += 8) points.push(view.getInt32(at + 4, true) / 1e7, view.getInt32(at, true) / 1e7);
    out.set(id, points);
  }
  return out;
}

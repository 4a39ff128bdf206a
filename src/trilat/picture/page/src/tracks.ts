// The tracks the page holds, as columns outside the interface framework. A slot keeps its track until the track is gone.
import { DELTA, FIELD, RECORD_BYTES, SNAPSHOT, SPEED_UNKNOWN, TRAILS, goneIds, head, names, trails } from "./frames";

const TRAIL_POINTS_MAX = 60;
const TRAIL_PERIOD_MS = 5000;

export class Tracks {
  capacity = 1024;
  count = 0; // slots in use are 0..count-1, kept dense
  sequence = 0;
  tMs = 0;
  originMs = 0;
  ids = new Uint32Array(this.capacity);
  lonLat = new Float64Array(this.capacity * 2);
  alt = new Float32Array(this.capacity);
  speed = new Float32Array(this.capacity); // m/s, NaN when not known
  course = new Float32Array(this.capacity); // degrees
  climb = new Float32Array(this.capacity);
  sigma = new Float32Array(this.capacity);
  updatedMs = new Float64Array(this.capacity);
  nations = new Uint16Array(this.capacity);
  domain = new Uint8Array(this.capacity);
  status = new Uint8Array(this.capacity);
  affiliation = new Uint8Array(this.capacity);
  layer = new Uint8Array(this.capacity);
  flags = new Uint8Array(this.capacity);
  level = new Uint8Array(this.capacity);
  names = new Map<number, string>();
  trails = new Map<number, number[]>();
  trailsVersion = 0;
  private slots = new Map<number, number>();
  private trailDueMs = 0;

  slotOf(id: number): number | undefined {
    return this.slots.get(id);
  }

  /** Takes one frame; false when what is held now differs from what the node says it should be. */
  take(buffer: ArrayBuffer): boolean {
    const view = new DataView(buffer);
    const told = head(view);
    if (told.kind === TRAILS) {
      this.trails = trails(view, told);
      this.trailsVersion++;
      return true;
    }
    if (told.kind === SNAPSHOT) this.clear();
    else if (told.kind === DELTA && told.base > this.sequence) return false;
    for (const id of goneIds(view, told)) this.remove(id);
    for (let i = 0; i < told.changed; i++) this.put(view, told.body + i * RECORD_BYTES, told.originMs);
    for (const [id, name] of names(view, told)) this.names.set(id, name);
    this.sequence = told.sequence;
    this.tMs = told.tMs;
    this.originMs = told.originMs;
    this.sampleTrails();
    return this.count === told.total && this.check() === told.check;
  }

  private check(): number {
    let sum = 0;
    for (let i = 0; i < this.count; i++) sum = (sum + (this.ids[i] ?? 0)) >>> 0;
    return sum;
  }

  private clear(): void {
    this.count = 0;
    this.slots.clear();
    this.names.clear();
  }

  private put(view: DataView, at: number, originMs: number): void {
    const id = view.getUint32(at + FIELD.id, true);
    let slot = this.slots.get(id);
    if (slot === undefined) {
      slot = this.count++;
      if (slot >= this.capacity) this.grow();
      this.slots.set(id, slot);
    }
    const speed = view.getUint16(at + FIELD.speed, true);
    this.ids[slot] = id;
    this.lonLat[slot * 2] = view.getInt32(at + FIELD.lon, true) / 1e7;
    this.lonLat[slot * 2 + 1] = view.getInt32(at + FIELD.lat, true) / 1e7;
    this.alt[slot] = view.getFloat32(at + FIELD.alt, true);
    this.speed[slot] = speed === SPEED_UNKNOWN ? NaN : speed / 4;
    this.course[slot] = (view.getUint16(at + FIELD.course, true) / 65536) * 360;
    this.climb[slot] = view.getInt16(at + FIELD.climb, true) / 2;
    this.sigma[slot] = view.getUint16(at + FIELD.sigma, true);
    this.updatedMs[slot] = originMs + view.getUint32(at + FIELD.updated, true) * 10;
    this.nations[slot] = view.getUint16(at + FIELD.nations, true);
    this.domain[slot] = view.getUint8(at + FIELD.domain);
    this.status[slot] = view.getUint8(at + FIELD.status);
    this.affiliation[slot] = view.getUint8(at + FIELD.affiliation);
    this.layer[slot] = view.getUint8(at + FIELD.layer);
    this.flags[slot] = view.getUint8(at + FIELD.flags);
    this.level[slot] = view.getUint8(at + FIELD.level);
  }

  private remove(id: number): void {
    const slot = this.slots.get(id);
    if (slot === undefined) return;
    const last = --this.count;
    this.slots.delete(id);
    this.names.delete(id);
    this.trails.delete(id);
    if (slot === last) return;
    for (const column of this.columns()) column[slot] = column[last] ?? 0;
    this.lonLat[slot * 2] = this.lonLat[last * 2] ?? 0;
    this.lonLat[slot * 2 + 1] = this.lonLat[last * 2 + 1] ?? 0;
    this.slots.set(this.ids[slot] ?? 0, slot);
  }

  private columns() {
    const { ids, alt, speed, course, climb, sigma, updatedMs, nations, domain, status, affiliation, layer, flags, level } = this;
    return [ids, alt, speed, course, climb, sigma, updatedMs, nations, domain, status, affiliation, layer, flags, level];
  }

  private grow(): void {
    this.capacity *= 2;
    const bigger = <T extends { set(from: T): void }>(make: (n: number) => T, from: T, per = 1): T => {
      const to = make(this.capacity * per);
      to.set(from);
      return to;
    };
    const u8 = (n: number) => new Uint8Array(n);
    const f32 = (n: number) => new Float32Array(n);
    const f64 = (n: number) => new Float64Array(n);
    this.ids = bigger((n) => new Uint32Array(n), this.ids);
    this.lonLat = bigger(f64, this.lonLat, 2);
    this.updatedMs = bigger(f64, this.updatedMs);
    this.nations = bigger((n) => new Uint16Array(n), this.nations);
    for (const name of ["alt", "speed", "course", "climb", "sigma"] as const) this[name] = bigger(f32, this[name]);
    for (const name of ["domain", "status", "affiliation", "layer", "flags", "level"] as const) {
      this[name] = bigger(u8, this[name]);
    }
  }

  private sampleTrails(): void {
    if (this.tMs < this.trailDueMs) return;
    this.trailDueMs = this.tMs + TRAIL_PERIOD_MS;
    for (let slot = 0; slot < this.count; slot++) {
      const id = this.ids[slot] ?? 0;
      let points = this.trails.get(id);
      if (!points) this.trails.set(id, (points = []));
      points.push(this.lonLat[slot * 2] ?? 0, this.lonLat[slot * 2 + 1] ?? 0);
      if (points.length > TRAIL_POINTS_MAX * 2) points.splice(0, 2);
    }
    this.trailsVersion++;
  }
}

// Small geometry on the WGS-84 sphere of equal volume: good for drawing, not for measuring.
import type { Warning } from "../protocol";

export const EARTH_M = 6_371_000;
const DEG = Math.PI / 180;

/** The point reached from (lon, lat) along a bearing (degrees from north) after a distance. */
export function along(lon: number, lat: number, bearingDeg: number, distanceM: number): [number, number] {
  const d = distanceM / EARTH_M;
  const b = bearingDeg * DEG;
  const y = Math.asin(Math.sin(lat * DEG) * Math.cos(d) + Math.cos(lat * DEG) * Math.sin(d) * Math.cos(b));
  const x = Math.atan2(Math.sin(b) * Math.sin(d) * Math.cos(lat * DEG), Math.cos(d) - Math.sin(lat * DEG) * Math.sin(y));
  return [lon + x / DEG, y / DEG];
}

/** A closed ring: an ellipse by semi-axes and the bearing of the larger one. */
export function ellipse(lon: number, lat: number, majorM: number, minorM: number, bearingDeg: number): [number, number][] {
  const ring: [number, number][] = [];
  for (let i = 0; i <= 72; i++) {
    const a = (i / 72) * 2 * Math.PI;
    const [x, y] = [majorM * Math.cos(a), minorM * Math.sin(a)];
    ring.push(along(lon, lat, bearingDeg + Math.atan2(y, x) / DEG, Math.hypot(x, y)));
  }
  return ring;
}

/** The same places, each longitude within half a turn of the one before: what crosses 180 degrees goes on beyond it. */
export function unrolled(places: [number, number][]): [number, number][] {
  let before = places[0]?.[0] ?? 0;
  return places.map(([lon, lat]) => {
    before = lon + 360 * Math.round((before - lon) / 360);
    return [before, lat];
  });
}

/**
 * West, south, east, north of everything that a warning says of a flight: launch, way, landing ellipse or fan; null without one.
 * East is beyond 180 where the date line lies between.
 */
export function boxOf({ flight }: Warning): [number, number, number, number] | null {
  if (!flight) return null;
  const { landing, fan, launch } = flight;
  const places = launch ? [launch, ...flight.path] : [...flight.path];
  if (landing) places.push(...ellipse(landing.lon_deg, landing.lat_deg, landing.major_m, landing.minor_m, landing.bearing_deg));
  else if (fan) {
    for (const bearing of [fan.bearing_from_deg, fan.bearing_to_deg]) places.push(along(fan.lon_deg, fan.lat_deg, bearing, fan.range_to_m));
  }
  if (!places.length) return null;
  const whole = unrolled(places);
  const [lons, lats] = [whole.map((one) => one[0]), whole.map((one) => one[1])];
  return [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)];
}

/** Degrees and minutes, as on a chart: 33°12.4'N 129°45.0'E. */
export function place(lat: number, lon: number): string {
  return `${part(lat, 2, "N", "S")} ${part(lon, 3, "E", "W")}`;
}

function part(value: number, width: number, positive: string, negative: string): string {
  const tenths = Math.round(Math.abs(value) * 600);
  const degrees = String(Math.floor(tenths / 600)).padStart(width, "0");
  const minutes = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return `${degrees}°${minutes}'${value < 0 ? negative : positive}`;
}

// Times, ages and amounts as an officer reads them.
export function utc(ms: number, withDate = false): string {
  if (!Number.isFinite(ms) || ms <= 0) return "--:--:--Z";
  const iso = new Date(ms).toISOString();
  return withDate ? `${iso.slice(0, 10)} ${iso.slice(11, 19)}Z` : `${iso.slice(11, 19)}Z`;
}

/** Japan and Korea keep the same time, nine hours ahead, without daylight saving. */
export function localTime(ms: number): string {
  return Number.isFinite(ms) && ms > 0 ? new Date(ms + 9 * 3_600_000).toISOString().slice(11, 16) : "--:--";
}

/** A span as m:ss, or h:mm:ss from an hour on. */
export function span(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(total / 3600), Math.floor((total % 3600) / 60), total % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${two(m)}:${two(s)}`;
}

/** An age in seconds, short: 0.4 s, 21 s, 3 min, 2 h. */
export function age(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function metres(value: number): string {
  return value >= 10_000 ? `${(value / 1000).toFixed(0)} km` : value >= 1000 ? `${(value / 1000).toFixed(1)} km` : `${Math.round(value)} m`;
}

export function knots(metresPerSecond: number): string {
  return `${Math.round(metresPerSecond * 1.943_844)} kn`;
}

export function feet(value: number): string {
  return `${(Math.round(value / 0.3048 / 100) * 100).toLocaleString("en")} ft`;
}

export function amount(value: number): string {
  return value.toLocaleString("en");
}

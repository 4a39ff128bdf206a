// What the node answers when asked: why a track may go to whom, the agreements' terms, the ledger. All of it only reads.

export interface Step {
  rule: string;
  outcome: "holds" | "fails" | "opened";
  reason: string;
  says: string;
}

/** A decision's path: of a track (id, national) or of a warning (warning, and the edition that the audience has of it). */
export interface Why {
  id?: number;
  national?: number;
  warning?: string;
  edition?: { id: string; version: number; state: string; issued: boolean } | null;
  /** The signed event by which it went past the labels, if by one. */
  event: { id: string; kind: string; approved_by: string[]; reason: string; agreement: string; t_ms: number; until_ms: number } | null;
  t_ms: number;
  audience: string;
  label: string;
  permit: boolean;
  tier: string;
  reason: string;
  rule: string;
  steps: Step[];
  more: boolean;
  verdict: string;
  sensors: { id: string; permit: boolean; tier: string; reason: string; rule: string }[];
}

export interface Terms {
  audiences: string[];
  agreements: {
    id: string;
    version: number;
    title: string;
    in_force: boolean;
    until_ms: number;
    duty: string[];
    duty_tier: string;
    flows: { to: string; topics: string[]; tier: string; via: string | null; ceiling: number | null }[];
  }[];
}

export type Row = Record<string, string | number>;

export interface Rows {
  rows: Row[];
  more: boolean;
}

/** What was asked for, or the words of the refusal. */
export type Told<T> = { good: T } | { fault: string };

async function ask<T>(path: string, about: Record<string, string>): Promise<Told<T>> {
  try {
    const answer = await fetch(`./api/${path}?${new URLSearchParams(about).toString()}`, { cache: "no-store" });
    const told = (await answer.json()) as T & { text?: string; reason?: string };
    return answer.ok ? { good: told } : { fault: `${told.text ?? answer.statusText} (${told.reason ?? answer.status})` };
  } catch (error) {
    return { fault: String(error) };
  }
}

export const why = (track: number, to: string) => ask<Why>("release/explain", { track: String(track), to });
export const whyWarning = (warning: string, to: string) => ask<Why>("release/explain", { warning, to });
export const terms = () => ask<Terms>("release/terms", {});
export const ledger = (question: string, about: Record<string, string>) => ask<Rows>(`ledger/${question}`, about);

/** A time from a form (UTC, to the second) as nanoseconds since 1970, without a float between; empty for none. */
export function nanoseconds(text: FormDataEntryValue | null): string {
  const ms = Date.parse(`${String(text ?? "")}Z`);
  return Number.isFinite(ms) && ms >= 0 ? `${ms}000000` : "";
}

/** One cell of a CSV file (RFC 4180); what a spreadsheet would take for a formula is made plain text. */
function cell(value: string | number): string {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(rows: Row[]): string {
  const names = Object.keys(rows[0] ?? {});
  return [names, ...rows.map((row) => names.map((name) => row[name] ?? ""))].map((one) => `${one.map(cell).join(",")}\r\n`).join("");
}

/** Hands a file to the browser. */
export function save(name: string, type: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// The door: who sits here, by the node's word. Login and logout are plain requests; the session is a cookie no script can read.
import { signal } from "@preact/signals";

export interface Inside {
  user: string;
  person: string;
  roles: string[];
  station: string;
  session: string;
  ends_ms: number;
}

/** What the node says to those outside: whose it is, and whether anybody has an account at all. */
export interface Outside {
  accounts: boolean;
  nation: string;
  node: string;
  mode: { kind: "live" | "exercise" | "replay"; id: string; words: string };
}

export interface Refusal {
  reason: string;
  text: string;
  waitS: number;
}

export interface Account {
  user: string;
  person: string;
  roles: string[];
  wanted: string[];
  disabled: boolean;
  version: number;
}

export interface OpenSession {
  id: string;
  user: string;
  station: string;
  address: string;
  begun_ns: number;
  mine: boolean;
}

export const inside = signal<Inside | null>(null);
export const outside = signal<Outside | null>(null);

/** Asks the node who sits here; false when the node does not answer. */
export async function ask(): Promise<boolean> {
  try {
    const answer = await fetch("./session", { cache: "no-store" });
    if (answer.ok) {
      inside.value = (await answer.json()) as Inside;
      outside.value = null;
    } else if (answer.status === 401) {
      const told = (await answer.json()) as Outside;
      // What was shown goes from the memory, too.
      if (inside.value) location.reload();
      outside.value = told;
    } else return false;
    return true;
  } catch {
    return false;
  }
}

async function post(path: string, told: object): Promise<Refusal | null> {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(told),
    });
    if (answer.ok) return null;
    const said = (await answer.json()) as { reason: string; text: string };
    return { ...said, waitS: Number(answer.headers.get("retry-after") ?? 0) };
  } catch (error) {
    return { reason: "unreachable", text: String(error), waitS: 0 };
  }
}

export async function login(user: string, password: string, newPassword: string): Promise<Refusal | null> {
  const refusal = await post("./login", { user, password, new_password: newPassword });
  if (!refusal) location.reload();
  return refusal;
}

export async function logout(): Promise<void> {
  await post("./logout", {});
  location.reload();
}

export const changePassword = (old: string, fresh: string) => post("./password", { old, new: fresh });
export const endSession = (session: string) => post("./sessions/end", { session });

export async function accounts(): Promise<{ accounts: Account[]; two_person: boolean }> {
  const answer = await fetch("./accounts", { cache: "no-store" });
  return answer.ok ? ((await answer.json()) as { accounts: Account[]; two_person: boolean }) : { accounts: [], two_person: false };
}

export async function sessions(): Promise<OpenSession[]> {
  const answer = await fetch("./sessions", { cache: "no-store" });
  return answer.ok ? ((await answer.json()) as { sessions: OpenSession[] }).sessions : [];
}

/** SHA-256 over what was proposed, computed here: what an officer approves is what this page showed. */
export async function contentHash(nation: string, mode: string, kind: string, content: string): Promise<string> {
  const text = ["trilat.proposal/1", nation, mode, kind, content].join("\n");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

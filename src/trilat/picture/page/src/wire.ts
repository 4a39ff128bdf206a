// The one WebSocket: greets, resumes where it left off, hands messages on, sends what the officer does.
import { effect } from "@preact/signals";
import { ask, inside } from "./door";
import { DELTA, head } from "./frames";
import type { Act, Answer, Event, Incoming, State } from "./protocol";
import * as s from "./state";

const RETRY_MS_MAX = 5000;

let socket: WebSocket | null = null;
let retryMs = 300;
let epoch = 0;
let lastEvent = 0;
let actNumber = 0;
const unanswered = new Map<string, Act>();

function connect(): void {
  const address = new URL("./ws", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const ws = new WebSocket(address);
  ws.binaryType = "arraybuffer";
  socket = ws;
  ws.onopen = () => {
    retryMs = 300;
    s.connected.value = true;
    say({ type: "hello", protocol: 1, epoch, last_sequence: s.tracks.sequence, last_event: lastEvent });
    if (s.selectedId.value) select(s.selectedId.value);
    for (const [id, act] of unanswered) say({ type: "act", act: { ...act, act_id: id } });
  };
  ws.onmessage = (message: MessageEvent<string | ArrayBuffer>) => {
    s.heardAt.value = performance.now();
    if (typeof message.data === "string") take(JSON.parse(message.data) as Incoming);
    else takeFrame(message.data);
  };
  ws.onclose = () => {
    s.connected.value = false;
    retryMs = Math.min(retryMs * 1.6, RETRY_MS_MAX);
    setTimeout(() => void again(), retryMs);
  };
}

/** Comes back when the node does; asks first whether the session still stands, and shows the form when it does not. */
async function again(): Promise<void> {
  if (await ask()) {
    if (inside.value) connect();
  } else {
    retryMs = Math.min(retryMs * 1.6, RETRY_MS_MAX);
    setTimeout(() => void again(), retryMs);
  }
}

/** Asks who sits here; connects when somebody is in. */
export function start(): void {
  void again();
}

function say(message: object): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function takeFrame(buffer: ArrayBuffer): void {
  const told = head(new DataView(buffer));
  const good = s.tracks.take(buffer);
  if (!good && told.kind === DELTA) say({ type: "resync" });
  s.offsetMs.value = told.tMs - performance.now();
  s.frameTick.value++;
}

function take(message: Incoming): void {
  switch (message.type) {
    case "hello":
      if (epoch && epoch !== message.epoch) lastEvent = 0;
      epoch = message.epoch;
      s.hello.value = message;
      break;
    case "status":
      s.status.value = message;
      s.offsetMs.value = message.t_ms - performance.now();
      break;
    case "state":
      takeState(message);
      break;
    case "event":
      takeEvent(message);
      break;
    case "approvals":
      s.approvals.value = message;
      break;
    case "details":
      s.details.value = message;
      break;
    case "answer":
      takeAnswer(message.answer);
      break;
  }
}

function takeState(message: State): void {
  s.warnings.value = new Map(message.warnings.map((w) => [w.key, w]));
  s.log.value = message.log;
  lastEvent = message.event;
  say({ type: "confirm", event: lastEvent });
}

function takeEvent(message: Event): void {
  lastEvent = message.event;
  if (message.kind === "warning") s.warnings.value = new Map(s.warnings.value).set(message.warning.key, message.warning);
  else if (message.kind === "log") s.log.value = [...s.log.value, message.line].slice(-s.LOG_LINES_MAX);
  else takeAnswer(message.answer);
  say({ type: "confirm", event: lastEvent });
}

function takeAnswer(answer: Answer): void {
  if (!unanswered.delete(answer.act_id)) return;
  s.answers.value = new Map(s.answers.value).set(answer.act_id, answer);
  if (!answer.ok) s.toast.value = answer.text ? `${answer.text} (${answer.reason})` : answer.reason;
}

/** Sends an act; it is sent again after a reconnection until the node answers, and the node takes it once. */
export function perform(act: Act): string {
  const id = `${s.hello.value?.session ?? "page"}-${++actNumber}`;
  unanswered.set(id, act);
  say({ type: "act", act: { ...act, act_id: id } });
  return id;
}

export function select(id: number): void {
  s.selectedId.value = id;
  if (s.details.value?.id !== id) s.details.value = null;
  say({ type: "select", id });
}

/** Runs the page's clock and notices silence. */
export function tickClock(): void {
  const now = performance.now();
  s.nowMs.value = now + s.offsetMs.value;
  s.disconnected.value = s.heardAt.value > 0 && now - s.heardAt.value > s.STALE_AFTER_MS;
}

let outlinesAsked = false;

/** Asks once for the outlines of areas, when a warning first names one; what does not come is not drawn, the names stand anyway. */
effect(() => {
  if (outlinesAsked || !s.openWarnings.value.some((w) => w.touched.length > 0)) return;
  outlinesAsked = true;
  fetch("areas.json")
    .then((answer) => (answer.ok ? answer.json() : {}))
    .then((told: Record<string, [number, number][][]>) => (s.outlines.value = told))
    .catch(() => (outlinesAsked = false));
});

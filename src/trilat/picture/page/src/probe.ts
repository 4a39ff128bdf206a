// `window.trilat`: a small read-only view of what the page holds and drew, for tests and for the curious.
import { shown } from "./filters";
import { drawn } from "./map/map";
import * as s from "./state";

function byNation(): Record<string, number> {
  const out: Record<string, number> = {};
  const nations = s.hello.value?.nations ?? [];
  const { slots, count } = shown.value;
  for (let i = 0; i < count; i++) {
    nations.forEach((name, bit) => {
      if (((s.tracks.nations[slots[i] ?? 0] ?? 0) >> bit) & 1) out[name] = (out[name] ?? 0) + 1;
    });
  }
  return out;
}

const probe = {
  get connected() {
    return s.connected.value && !s.disconnected.value;
  },
  get held() {
    return s.tracks.count;
  },
  get drawn() {
    return drawn.symbols;
  },
  get hidden() {
    return shown.value.hidden;
  },
  get byNation() {
    return byNation();
  },
  get sequence() {
    return s.tracks.sequence;
  },
  get frames() {
    return drawn.frames;
  },
  get scriptMsPerFrame() {
    return drawn.frames ? drawn.scriptMs / drawn.frames : 0;
  },
  get ids() {
    return Array.from(s.tracks.ids.subarray(0, s.tracks.count));
  },
  get view() {
    return drawn.view;
  },
  get selected() {
    return s.selectedId.value;
  },
  get pending() {
    return s.approvals.value.pending.map((one) => one.id);
  },
  get openWarnings() {
    return s.openWarnings.value.map((w) => w.key);
  },
};

export type Probe = Readonly<typeof probe>;

export function exposeProbe(): void {
  Object.defineProperty(window, "trilat", { value: Object.freeze(probe), writable: false });
}

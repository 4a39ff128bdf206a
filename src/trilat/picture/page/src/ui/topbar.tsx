import * as s from "../state";
import type { LightState } from "../protocol";
import { People } from "./people";
import { LANGUAGES, lang, setLanguage, t } from "./strings";
import type { Language } from "./strings";
import { localTime, utc } from "./words";

const WORST: LightState[] = ["off", "up", "late", "down"];

export function worst(states: LightState[]): LightState {
  return states.reduce<LightState>((a, b) => (WORST.indexOf(b) > WORST.indexOf(a) ? b : a), "off");
}

export function Light({ state, title }: { state: LightState; title?: string }) {
  return <span class={`light ${state}`} role="img" aria-label={state} title={title ?? state} />;
}

/** The classification banner: the highest label on the screen, in words, above and below. */
export function Banner({ bottom = false }: { bottom?: boolean }) {
  const status = s.status.value;
  return (
    <div class={`banner level-${status?.level ?? "none"}`} data-testid={bottom ? "banner-bottom" : "banner-top"}>
      {status?.banner ?? "—"}
    </div>
  );
}

function ModeChip() {
  const mode = s.hello.value?.mode;
  if (!mode) return null;
  return (
    <span class={`chip mode-${mode.kind}`} data-testid="mode">
      {t(mode.kind)}
      {mode.id && <small>{mode.id}</small>}
    </span>
  );
}

function Clock() {
  const now = s.nowMs.value;
  // Before the first tick its room is kept: what stands beside it would move.
  const day = now > 0 ? new Date(now).toISOString().slice(0, 10) : "0000-00-00";
  return (
    <div class="clock" aria-label="clock">
      <b>{utc(now)}</b>
      <span class={now > 0 ? "" : "unset"}>
        {day} · KST/JST {localTime(Math.max(now, 1))}
      </span>
    </div>
  );
}

function Summary() {
  const status = s.status.value;
  const hello = s.hello.value;
  if (!status || !hello) return null;
  const feeds = status.feeds.map((feed) => feed.state);
  return (
    <div class="summary">
      <span class="pill" title={t("feeds")}>
        <Light state={worst(feeds)} /> {t("feeds")} {feeds.filter((one) => one === "up").length}/{feeds.length}
      </span>
      {hello.partners.map((nation) => {
        const lanes = status.links.filter((link) => link.nation === nation);
        return (
          <span class="pill" key={nation} title={lanes.map((l) => `${l.lane}: ${l.state}`).join("\n")}>
            {lanes.map((link) => (
              <Light key={link.lane} state={link.state} title={`${link.lane}: ${link.state}`} />
            ))}
            {nation}
          </span>
        );
      })}
    </div>
  );
}

export function TopBar() {
  const hello = s.hello.value;
  return (
    <header class="topbar">
      <div class="brand">
        <b>TRILAT</b>
        <span class="node" data-testid="node">
          <strong>{hello?.nation ?? ""}</strong> {hello?.node ?? ""}
        </span>
        <ModeChip />
      </div>
      <Summary />
      <div class="tools">
        <button type="button" class="quiet" aria-pressed={s.soundOn.value} onClick={() => (s.soundOn.value = !s.soundOn.value)}>
          {t("sound")} {s.soundOn.value ? t("on") : t("off")}
        </button>
        <select
          aria-label={t("language")}
          value={lang.value}
          onChange={(event) => setLanguage(event.currentTarget.value as Language)}
        >
          {Object.entries(LANGUAGES).map(([code, name]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
        {s.may("raise") && (
          <button type="button" class="raise" data-testid="raise" onClick={() => (s.dialog.value = "raise")}>
            {t("raise")}
          </button>
        )}
        <People />
        <Clock />
      </div>
    </header>
  );
}

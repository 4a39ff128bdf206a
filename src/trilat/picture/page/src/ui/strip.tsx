// The warning strip: one row per open warning, under the banner. Filters do not reach it and nothing dismisses it but its end.
import { useEffect, useRef } from "preact/hooks";
import { boxOf } from "../map/geo";
import * as s from "../state";
import type { Warning } from "../protocol";
import { perform } from "../wire";
import { AutoLeaveBar } from "./standing";
import { lang, t } from "./strings";
import { span, utc } from "./words";

const BEEP_EVERY_MS = 4000;
const ESCALATE_MS = 30_000;
const QUIET = 0.12;
const LOUD = 0.5;

/** Who is to acknowledge: who may see it, who did, and of an issued one of ours every partner, who got an edition of its own. */
function watches(warning: Warning): string[] {
  const partners = warning.mine && warning.issued && warning.flight ? (s.hello.value?.partners ?? []) : [];
  return [...new Set([...warning.audience, ...warning.acknowledgements.map((ack) => ack.nation), ...partners])].sort();
}

/** One column per nation that has the warning: who acknowledged what, how long after it came. */
function Acks({ warning }: { warning: Warning }) {
  return (
    <div class="acks">
      {watches(warning).map((nation) => {
        const best = warning.acknowledgements
          .filter((ack) => ack.nation === nation)
          .sort((a, b) => b.version - a.version || (a.kind < b.kind ? -1 : 1))[0];
        const current = best !== undefined && best.version >= warning.version;
        const title = best ? `${best.kind} v${best.version} ${utc(best.t_ms)} ${best.by} (${best.station})` : t("notYet");
        return (
          <span key={nation} class={`ack ${best ? (current ? "yes" : "older") : "no"}`} title={title} data-nation={nation}>
            <b>{nation}</b> {best ? `✓ ${span(best.t_ms - warning.first_t_ms)}${current ? "" : ` v${best.version}`}` : "–"}
          </span>
        );
      })}
    </div>
  );
}

/** Time to landing with its interval, or that the track is lost; never a time to something that is over. */
function Landing({ warning }: { warning: Warning }) {
  const now = s.nowMs.value;
  const at = warning.flight?.landing;
  if (warning.state === "track-lost") return <small data-testid="lost">TRACK LOST</small>;
  if (!at || ["landed", "passed", "stood-down", "retracted"].includes(warning.state)) return null;
  return (
    <small data-testid="landing">
      {t("lands")} {span(at.from_ms - now)}–{span(at.to_ms - now)}
      {at.reliable ? "" : ` (${t("unreliable")})`}
    </small>
  );
}

const RANKS: Record<string, number> = { sea: 1, fir: 2 };

/** Land first, where it may come down before what it passes over; each with how likely. */
function areasOf(warning: Warning): string {
  const rank = (a: Warning["touched"][number]) => 2 * (RANKS[a.kind] ?? 0) + (a.touch === "overflight" ? 1 : 0);
  const share = (p: number) => (p < 0.01 ? "<1 %" : `${Math.round(p * 100)} %`);
  const named = [...warning.touched]
    .sort((a, b) => rank(a) - rank(b))
    .map((a) => `${a.touch === "overflight" ? "↷ " : ""}${a.names[lang.value] || a.names.en} ${share(a.probability)}`);
  return [...named, ...warning.areas.map((a) => a.name)].join(", ");
}

/** What this officer may do with a warning of the own nation: one act each; issuing waits for a second person. */
function OwnActs({ warning }: { warning: Warning }) {
  const told = { warning_id: warning.id, version: warning.version };
  const back = warning.retraction !== null && warning.retraction.reason !== "reinstated";
  // Every partner: each has an edition of its own, or gets none where nothing may go to it. Who may see this edition says nothing of that.
  const others = s.hello.value?.partners ?? [];
  if (back) {
    const mine = warning.retraction?.by === s.me.value?.user;
    return s.may("retract") && !mine ? (
      <button type="button" class="raise" data-testid="reinstate" onClick={() => perform({ act: "retract", ...told, reason: "reinstated", text: "" })}>
        {t("reinstate")}
      </button>
    ) : null;
  }
  return (
    <>
      {warning.flight && !["landed", "passed"].includes(warning.state) && s.may("issue") && (
        <button
          type="button"
          class="raise"
          data-testid="issue"
          onClick={() => perform({ act: "issue", ...told, audiences: [...others, "PUBLIC"], areas: [], minutes: 30 })}
        >
          {t("issue")}
        </button>
      )}
      {warning.flight && s.may("stand-down") && (
        <button type="button" class="quiet" data-testid="stand-down" onClick={() => perform({ act: "stand-down", ...told })}>
          {t("standDown")}
        </button>
      )}
      {s.may("propose-release") && !s.may("retract") && (
        <button type="button" class="raise" data-testid="release" onClick={() => (s.dialog.value = `release:${others[0] ?? "PUBLIC"}:${warning.id}`)}>
          {t("proposeRelease")}…
        </button>
      )}
      {s.may("retract") && (
        <button type="button" class="quiet" data-testid="retract" onClick={() => (s.dialog.value = `retract:${warning.key}`)}>
          {t("retract")}
        </button>
      )}
    </>
  );
}

const percent = (share: number) => `${Math.round(share * 100)} %`;

function Row({ warning }: { warning: Warning }) {
  const now = s.nowMs.value;
  const seen = s.acknowledgedHere(warning);
  const area = warning.areas[0];
  const box = boxOf(warning);
  const areas = areasOf(warning);
  const acknowledge = () =>
    perform({
      act: "acknowledge",
      originator: warning.originator,
      warning_id: warning.id,
      version: warning.version,
      kind: "acknowledged",
    });
  return (
    <li class={`warning ${s.newsAcknowledged(warning) ? "seen" : "new"}`} data-testid="warning" data-key={warning.key}>
      <div class="who">
        <span class="state" data-testid="state">
          {warning.retraction && warning.retraction.reason !== "reinstated" ? warning.retraction.reason : warning.state}
        </span>
        <span class="from" data-testid="from">
          {warning.nations.join("+")}
        </span>
      </div>
      <div class="what">
        <b>
          {warning.exercise.startsWith("LIVE") ? "" : <em>EXERCISE</em>} {warning.headline.replace(/^EXERCISE:?\s+/, "")}
        </b>
        <small>
          {warning.kind} · v{warning.version} · {warning.label}
        </small>
      </div>
      <div class="times">
        <b data-testid="since">T+{span(now - (warning.event_t_ms ?? warning.first_t_ms))}</b>
        <small class="ends">
          {t("ends")} {span(warning.expires_ms - now)}
        </small>
        <Landing warning={warning} />
      </div>
      <div class="sure">
        {warning.flight && (
          <b data-testid="class">
            {warning.flight.name} {percent(warning.flight.probability)} {warning.flight.shape ?? ""}
          </b>
        )}
        <small data-testid="confidence">
          {t("confidence")} {warning.confidence === null ? "—" : percent(warning.confidence)}
        </small>
      </div>
      <div class="below">
        {areas && (
          <small class="areas" data-testid="areas" title={areas}>
            {areas}
          </small>
        )}
        <Acks warning={warning} />
        <div class="acts">
          {(box || area) && (
            <button
              type="button"
              class="quiet"
              data-testid="locate"
              onClick={() => (s.flyTo.value = box ? { box } : area ? { lon: area.lon_deg, lat: area.lat_deg } : null)}
            >
              {t("locate")}
            </button>
          )}
          {warning.mine && s.may("see-release") && (
            <button type="button" class="quiet" data-testid="why-warning" onClick={() => (s.dialog.value = `why-warning:${warning.id}`)}>
              {t("why")}
            </button>
          )}
          {warning.mine && <OwnActs warning={warning} />}
          {!warning.mine && warning.flight && ["issued", "updated"].includes(warning.state) && s.may("relay") && (
            <button
              type="button"
              class="quiet"
              data-testid="relay"
              onClick={() => perform({ act: "relay", originator: warning.originator, warning_id: warning.id, version: warning.version, areas: [], minutes: 30 })}
            >
              {t("relay")}
            </button>
          )}
          <button type="button" class="ackbutton" data-testid="ack" disabled={seen || !s.may("acknowledge")} onClick={acknowledge}>
            {seen ? t("acknowledged") : t("acknowledge")}
          </button>
        </div>
      </div>
    </li>
  );
}

function beep(context: AudioContext, loudness: number): void {
  for (const [start, pitch] of [[0, 880], [0.22, 660]] as const) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = pitch;
    volume.gain.value = loudness;
    tone.connect(volume).connect(context.destination);
    tone.start(context.currentTime + start);
    tone.stop(context.currentTime + start + 0.18);
  }
}

/** Sounds while a warning is not acknowledged here, and says new ones to screen readers. */
function Announcer() {
  const context = useRef<AudioContext | null>(null);
  const waiting = s.openWarnings.value.filter((warning) => !s.newsAcknowledged(warning));
  const ringing = s.soundOn.value && waiting.length > 0;
  // Nobody has acknowledged for a while: louder.
  const loud = waiting.some((warning) => s.nowMs.value - warning.first_t_ms > ESCALATE_MS);
  useEffect(() => {
    if (!ringing) return;
    context.current ??= new AudioContext();
    const sound = context.current;
    const volume = loud ? LOUD : QUIET;
    beep(sound, volume);
    const timer = setInterval(() => beep(sound, volume), loud ? BEEP_EVERY_MS / 2 : BEEP_EVERY_MS);
    return () => clearInterval(timer);
  }, [ringing, loud]);
  return (
    <div class="said" aria-live="assertive" role="alert">
      {waiting.map((warning) => `${warning.exercise}. ${warning.state}. ${warning.headline}`).join(". ")}
    </div>
  );
}

export function Strip() {
  const open = s.openWarnings.value;
  return (
    <section class={`strip ${open.length ? "some" : "none"}`} aria-label={t("warningsWord")}>
      <Announcer />
      <AutoLeaveBar />
      {open.length > 0 && (
        <ul>
          {open.map((warning) => (
            <Row key={warning.key} warning={warning} />
          ))}
        </ul>
      )}
    </section>
  );
}

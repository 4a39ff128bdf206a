// Why the selected track or warning goes to an audience, or does not: every rule with what it looked at, as the command line prints it.
import { useEffect, useState } from "preact/hooks";
import * as ask from "../ask";
import * as s from "../state";
import { Badge } from "./badge";
import { Modal } from "./modal";
import { Tabs } from "./tabs";
import { t } from "./strings";
import { utc } from "./words";

const SIGNS = { holds: "✓", fails: "✕", opened: "⚷" } as const;

function Steps({ told }: { told: ask.Why }) {
  const first = told.steps.findIndex((step) => step.outcome === "fails");
  return (
    <table class="steps" data-testid="steps">
      <thead>
        <tr>
          <th />
          <th>{t("rule")}</th>
          <th>{t("lookedAt")}</th>
          <th>{t("reason")}</th>
        </tr>
      </thead>
      <tbody>
        {told.steps.map((step, at) => (
          <tr key={`${at} ${step.rule}`} class={`${step.outcome} ${at === first ? "first" : ""}`}>
            <td title={step.outcome}>
              <span role="img" aria-label={step.outcome}>
                {SIGNS[step.outcome]}
              </span>
            </td>
            <th scope="row">{step.rule}</th>
            <td>{step.says}</td>
            <td>{step.outcome === "fails" ? step.reason : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** An audience's own tracker gets the sensors that it may have: what it knows of the target comes by these. */
function Sensors({ told }: { told: ask.Why }) {
  return (
    <>
      <h3>{t("bySensor")}</h3>
      <p class="muted">{t("bySensorHint")}</p>
      <ul class="sensorsays" data-testid="by-sensor">
        {told.sensors.map((one) => (
          <li key={one.id} class={one.permit ? "permit" : "withhold"}>
            <b>{one.id}</b>
            <span>{one.permit ? `✓ ${one.tier}` : `✕ ${one.reason}`}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** ledger: what the ledger is asked about. record: what a proposal to release names; empty when the node has no such record. */
interface Place {
  ledger: string;
  record: string;
}

function Acts({ told, place }: { told: ask.Why; place: Place }) {
  const to = (dialog: typeof s.dialog.value) => () => (s.dialog.value = dialog);
  return (
    <div class="buttons">
      {s.may("see-ledger") && (
        <button type="button" class="quiet" data-testid="to-ledger" onClick={to(`ledger:${place.ledger}`)}>
          {t("whoHolds")}
        </button>
      )}
      {!told.permit && place.record && s.may("propose-release") && (
        <button type="button" class="raise" data-testid="to-release" onClick={to(`release:${told.audience}:${place.record}`)}>
          {t("proposeRelease")} {told.audience}
        </button>
      )}
    </div>
  );
}

/** Whether the audience has a warning, and under which number: each audience's are its own. */
function Edition({ told }: { told: ask.Why }) {
  const has = told.edition;
  return (
    <p class="muted" data-testid="edition">
      {has ? `${t("hasItAs")} ${has.id} v${has.version}, ${has.state}` : t("neverGotIt")}
    </p>
  );
}

/** By which signed event it went although its labels withhold it, and who approved that. */
function ByEvent({ event }: { event: NonNullable<ask.Why["event"]> }) {
  const by = event.approved_by.join(", ") || event.agreement;
  return (
    <p class="by-event" data-testid="by-event">
      <b>{t("wentByEvent")}</b> {event.id} ({event.kind}, {by}, {utc(event.t_ms, true)}){event.reason && `: ${event.reason}`}
    </p>
  );
}

interface Asked {
  what: string;
  audience: string;
  ask: (audience: string) => Promise<ask.Told<ask.Why>>;
  place: (told: ask.Why) => Place;
}

function Answer({ what, audience, ask: asking, place }: Asked) {
  const [told, setTold] = useState<ask.Told<ask.Why> | null>(null);
  useEffect(() => {
    let wanted = true;
    setTold(null);
    void asking(audience).then((got) => wanted && setTold(got));
    return () => (wanted = false);
  }, [what, audience]);
  if (!told) return <p class="muted">…</p>;
  if ("fault" in told) return <p role="alert">{told.fault}</p>;
  const why = told.good;
  return (
    <div role="tabpanel" data-testid="why" data-audience={why.audience}>
      <p class={`verdict ${why.permit ? "permit" : "withhold"}`} data-testid="verdict">
        <b>{why.permit ? `✓ ${t("released")}` : `✕ ${t("withheld")}`}</b>
        {why.verdict}
        <small>{utc(why.t_ms, true)}</small>
      </p>
      <p class="label" data-testid="why-label">
        {why.label}
      </p>
      {why.edition !== undefined && <Edition told={why} />}
      {why.event && <ByEvent event={why.event} />}
      <div class="scroll" tabIndex={0} role="region" aria-label={t("rule")}>
        <Steps told={why} />
      </div>
      {why.more && <p class="muted">{t("more")}</p>}
      {why.sensors.length > 0 && <Sensors told={why} />}
      <Acts told={why} place={place(why)} />
    </div>
  );
}

/** The dialog; `first` is the audience that was asked about. */
export function Why({ first }: { first: string }) {
  const [audience, setAudience] = useState(first);
  const d = s.details.value;
  if (!d || d.gone) return null;
  const names = d.audiences.map((one) => one.audience).filter((one) => one !== d.origin);
  const permits = new Set(d.audiences.filter((one) => one.permit).map((one) => one.audience));
  return (
    <Modal title={`${t("why")} ${s.tracks.names.get(d.id) ?? `${d.origin} ${d.number}`} → ${audience}`} wide>
      <Tabs names={names} chosen={audience} choose={setAudience} label={t("audience")}>
        {(name) => (
          <>
            <Badge nation={name} /> {name} {permits.has(name) ? "✓" : "✕"}
          </>
        )}
      </Tabs>
      <Answer
        what={String(d.id)}
        audience={audience}
        ask={(to) => ask.why(d.id, to)}
        place={(told) => ({ ledger: d.sensors[0]?.id ?? "", record: told.national ? String(told.national) : "" })}
      />
    </Modal>
  );
}

/** The same of a warning of one's own: asked of every audience that the agreements know. */
export function WhyWarning({ id }: { id: string }) {
  const [names, setNames] = useState<string[]>(s.hello.value?.partners ?? []);
  const [audience, setAudience] = useState(names[0] ?? "PUBLIC");
  useEffect(() => {
    void ask.terms().then((told) => "good" in told && setNames(told.good.audiences));
  }, []);
  return (
    <Modal title={`${t("why")} ${id} → ${audience}`} wide>
      <Tabs names={names} chosen={audience} choose={setAudience} label={t("audience")}>
        {(name) => (
          <>
            <Badge nation={name} /> {name}
          </>
        )}
      </Tabs>
      <Answer
        what={id}
        audience={audience}
        ask={(to) => ask.whyWarning(id, to)}
        place={(told) => ({ ledger: told.edition?.id ?? id, record: id })}
      />
    </Modal>
  );
}

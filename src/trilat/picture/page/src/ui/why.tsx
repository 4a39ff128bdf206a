// Why the selected track goes to an audience, or does not: every rule with what it looked at, as the command line prints it.
import { useEffect, useState } from "preact/hooks";
import * as ask from "../ask";
import type { Details } from "../protocol";
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

function Acts({ told, d }: { told: ask.Why; d: Details }) {
  const to = (dialog: typeof s.dialog.value) => () => (s.dialog.value = dialog);
  return (
    <div class="buttons">
      {s.may("see-ledger") && (
        <button type="button" class="quiet" data-testid="to-ledger" onClick={to(`ledger:${d.sensors[0]?.id ?? ""}`)}>
          {t("whoHolds")}
        </button>
      )}
      {!told.permit && told.national > 0 && s.may("propose-release") && (
        <button type="button" class="raise" data-testid="to-release" onClick={to(`release:${told.audience}:${told.national}`)}>
          {t("proposeRelease")} {told.audience}
        </button>
      )}
    </div>
  );
}

function Answer({ track, audience, d }: { track: number; audience: string; d: Details }) {
  const [told, setTold] = useState<ask.Told<ask.Why> | null>(null);
  useEffect(() => {
    let wanted = true;
    setTold(null);
    void ask.why(track, audience).then((got) => wanted && setTold(got));
    return () => (wanted = false);
  }, [track, audience]);
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
      <div class="scroll" tabIndex={0} role="region" aria-label={t("rule")}>
        <Steps told={why} />
      </div>
      {why.more && <p class="muted">{t("more")}</p>}
      <Sensors told={why} />
      <Acts told={why} d={d} />
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
      <Answer track={d.id} audience={audience} d={d} />
    </Modal>
  );
}

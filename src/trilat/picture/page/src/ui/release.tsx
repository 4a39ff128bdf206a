// What an officer puts before a second person: one record for one audience, or a standing leave to warn whose lives depend on it.
import { useEffect, useState } from "preact/hooks";
import * as ask from "../ask";
import * as s from "../state";
import type { Act } from "../protocol";
import { perform } from "../wire";
import { Field } from "./field";
import { Modal } from "./modal";
import { t } from "./strings";
import { utc } from "./words";

function Foot({ ready = true }: { ready?: boolean }) {
  return (
    <>
      <p class="muted">{t("secondReads")}</p>
      <div class="buttons">
        <button type="button" class="quiet" onClick={() => (s.dialog.value = "")}>
          {t("cancel")}
        </button>
        <button type="submit" class="raise" data-testid="send" disabled={!ready}>
          {t("propose")}
        </button>
      </div>
    </>
  );
}

/** Sends a proposal, and shows where it waits. */
function put(act: Act): void {
  perform(act);
  s.dialog.value = "approvals";
}

/** One record as the node holds it: a national track, or an own warning. The node itself puts it into the proposal. */
export function ReleaseRecord({ audience, record }: { audience: string; record: string }) {
  const track = /^\d+$/.test(record) ? Number(record) : 0;
  const names = [...(s.hello.value?.partners ?? []), "PUBLIC"];
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const said = (name: string) => String(data.get(name)).trim();
    const tier = said("tier") === "track" ? "track" : "area";
    const about = { warning_id: track ? "" : record, track, tier, reason: said("reason") } as const;
    put({ act: "propose-release", audience: said("audience"), ...about });
  };
  return (
    <Modal title={`${t("proposeRelease")} ${audience}`}>
      <form onSubmit={(event) => submit(event as SubmitEvent)} data-testid="release-form">
        <p>{track ? `${t("nationalTrack")} ${s.hello.value?.nation ?? ""} #${track}` : record}</p>
        <div class="row">
          <Field label={t("audience")}>
            <select name="audience">
              {names.map((one) => (
                <option key={one} selected={one === audience}>
                  {one}
                </option>
              ))}
            </select>
          </Field>
          <Field label={t("noFiner")}>
            <select name="tier">
              <option value="area">{t("tierArea")}</option>
              <option value="track">{t("tierTrack")}</option>
            </select>
          </Field>
        </div>
        <Field label={t("reason")}>
          <textarea name="reason" rows={2} required maxLength={200} autoFocus />
        </Field>
        <p class="muted">{t("onlyFour")}</p>
        <Foot />
      </form>
    </Modal>
  );
}

interface Duty {
  id: string;
  version: number;
  title: string;
  until_ms: number;
  duty: string[];
  duty_tier: string;
  to: string[];
}

/** The agreements in force that hold a duty to warn: nothing else can be opened in advance. */
function duties(terms: ask.Terms): Duty[] {
  return terms.agreements
    .filter((one) => one.in_force && one.duty.length > 0)
    .map((one) => ({ ...one, to: [...new Set(one.flows.map((flow) => flow.to))] }))
    .filter((one) => one.to.length > 0);
}

function leave(form: HTMLFormElement, duty: Duty): void {
  const data = new FormData(form);
  const reason = String(data.get("reason")).trim();
  const content = {
    audience: String(data.get("audience")),
    agreement: duty.id,
    agreement_version: duty.version,
    topics: data.getAll("topics").map(String),
    level_max: Number(data.get("level_max")),
    hours: Number(data.get("hours")),
    reason,
  };
  put({ act: "propose", kind: "pre-authorise", content: JSON.stringify(content), reason });
}

function LeaveForm({ found }: { found: Duty[] }) {
  const [at, setAt] = useState(0);
  const [topics, setTopics] = useState(1);
  const duty = found[at];
  if (!duty) return <p class="muted">{t("noDuty")}</p>;
  const counted = (event: Event) =>
    setTopics((event.currentTarget as HTMLElement).querySelectorAll("input:checked").length);
  return (
    <form
      data-testid="leave-form"
      onSubmit={(event) => {
        event.preventDefault();
        leave(event.currentTarget as HTMLFormElement, duty);
      }}
    >
      <div class="row">
        <Field label={t("agreement")}>
          <select name="agreement" autoFocus onChange={(event) => setAt(Number(event.currentTarget.value))}>
            {found.map((one, k) => (
              <option key={one.id} value={k}>
                {one.id}/{one.version} · {one.title}
              </option>
            ))}
          </select>
        </Field>
        <Field label={t("audience")}>
          <select name="audience" key={duty.id}>
            {duty.to.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </Field>
      </div>
      <p class="muted">
        {t("dutyTier")} <b>{duty.duty_tier}</b> · {t("until")} {utc(duty.until_ms, true)}
      </p>
      <fieldset class="row" key={`${duty.id} topics`} onChange={counted}>
        <legend>{t("topics")}</legend>
        {duty.duty.map((one) => (
          <label key={one} class="check">
            <input type="checkbox" name="topics" value={one} defaultChecked /> <span>{one}</span>
          </label>
        ))}
      </fieldset>
      <div class="row">
        <Field label={t("levelMax")}>
          <select name="level_max">
            {(s.hello.value?.level_names ?? []).map((name, level) => (
              <option key={name} value={level}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <Field label={t("hours")}>
          <input name="hours" type="number" min={1} max={720} defaultValue="24" required />
        </Field>
      </div>
      <Field label={t("reason")}>
        <textarea name="reason" rows={2} required maxLength={200} />
      </Field>
      <Foot ready={topics > 0} />
    </form>
  );
}

/** Leave given in advance: a warning may go past level, readers, communities and caveats where a duty to warn says so. */
export function Leave() {
  const [told, setTold] = useState<ask.Told<ask.Terms> | null>(null);
  useEffect(() => void ask.terms().then(setTold), []);
  return (
    <Modal title={t("preAuthorise")}>
      <p class="muted">{t("preAuthoriseHint")}</p>
      {told && ("fault" in told ? <p role="alert">{told.fault}</p> : <LeaveForm found={duties(told.good)} />)}
    </Modal>
  );
}

// The two forms that make something happen: raise a warning by hand, and retract one of one's own.
import { useState } from "preact/hooks";
import * as s from "../state";
import type { Area, Warning } from "../protocol";
import { perform } from "../wire";
import { Accounts, Approvals } from "./approvals";
import { Field } from "./field";
import { Ledger } from "./ledger";
import { Modal } from "./modal";
import { Leave, ReleaseRecord } from "./release";
import { ProposeAutoLeave } from "./standing";
import { t } from "./strings";
import { Why, WhyWarning } from "./why";

const KINDS = ["launch", "air-incursion", "sea-incursion", "dark-vessel", "distress", "cyber", "other"];
const REASONS = ["issued-in-error", "threat-over", "superseded"];

/** What has to be typed to issue: the mode's own word, so that an exercise and the real thing never feel alike. */
function phrase(): string {
  return (s.hello.value?.mode.kind ?? "live").toUpperCase();
}

function chosenPlace(): { lat: number; lon: number } {
  const slot = s.tracks.slotOf(s.selectedId.value);
  if (slot !== undefined) return { lon: s.tracks.lonLat[slot * 2] ?? 0, lat: s.tracks.lonLat[slot * 2 + 1] ?? 0 };
  return { lon: s.mapCentre.value[0], lat: s.mapCentre.value[1] };
}

const number = (data: FormData, name: string) => Number(data.get(name));

function send(form: HTMLFormElement): void {
  const data = new FormData(form);
  const said = String(data.get("headline")).trim();
  const area: Area = {
    name: String(data.get("area")).trim(),
    lat_deg: number(data, "lat"),
    lon_deg: number(data, "lon"),
    radius_m: number(data, "radius") * 1000,
  };
  perform({
    act: "raise",
    kind: String(data.get("kind")),
    headline: s.exercising.value && !said.startsWith("EXERCISE") ? `EXERCISE ${said}` : said,
    text: String(data.get("text")).trim(),
    areas: area.name ? [area] : [],
    rel_to: data.getAll("rel_to").map(String),
    level: number(data, "level"),
    minutes: number(data, "minutes"),
  });
  s.dialog.value = "";
}

function Where() {
  const at = chosenPlace();
  return (
    <div class="row">
      <Field label={t("area")}>
        <input name="area" maxLength={120} placeholder="Area A" />
      </Field>
      <Field label="lat °">
        <input name="lat" type="number" step="0.01" min={-90} max={90} defaultValue={at.lat.toFixed(2)} />
      </Field>
      <Field label="lon °">
        <input name="lon" type="number" step="0.01" min={-180} max={180} defaultValue={at.lon.toFixed(2)} />
      </Field>
      <Field label={t("radius")}>
        <input name="radius" type="number" min={1} max={2000} defaultValue="50" />
      </Field>
    </div>
  );
}

function Raise() {
  const [typed, setTyped] = useState("");
  const hello = s.hello.value;
  if (!hello) return null;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    send(event.currentTarget as HTMLFormElement);
  };
  return (
    <Modal title={t("raise")}>
      <form onSubmit={submit} data-testid="raise-form">
        <div class="row">
          <Field label={t("kind")}>
            <select name="kind">
              {KINDS.map((kind) => (
                <option key={kind}>{kind}</option>
              ))}
            </select>
          </Field>
          <Field label={t("level")}>
            <select name="level" defaultValue="1">
              {hello.level_names.map((name, level) => (
                <option key={name} value={level} selected={level === 1}>
                  {name}
                </option>
              ))}
            </select>
          </Field>
          <Field label={t("minutes")}>
            <input name="minutes" type="number" min={1} max={1440} defaultValue="60" />
          </Field>
        </div>
        <Field label={t("headline")}>
          <input name="headline" required maxLength={180} autoFocus />
        </Field>
        <Field label={t("text")}>
          <textarea name="text" rows={3} maxLength={3900} />
        </Field>
        <Where />
        <fieldset class="row">
          <legend>{t("audience")}</legend>
          {hello.partners.map((nation) => (
            <label key={nation} class="check">
              <input type="checkbox" name="rel_to" value={nation} defaultChecked /> <span>{nation}</span>
            </label>
          ))}
        </fieldset>
        <Field label={`${t("typePhrase")} ${phrase()}`}>
          <input data-testid="phrase" autocomplete="off" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </Field>
        <Buttons ready={typed.trim().toUpperCase() === phrase()} word={t("send")} />
      </form>
    </Modal>
  );
}

function Buttons({ ready, word }: { ready: boolean; word: string }) {
  return (
    <div class="buttons">
      <button type="button" class="quiet" onClick={() => (s.dialog.value = "")}>
        {t("cancel")}
      </button>
      <button type="submit" class="raise" data-testid="send" disabled={!ready}>
        {word}
      </button>
    </div>
  );
}

function Retract({ warning }: { warning: Warning }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    perform({
      act: "retract",
      warning_id: warning.id,
      version: warning.version,
      reason: String(data.get("reason")),
      text: String(data.get("text")),
    });
    s.dialog.value = "";
  };
  return (
    <Modal title={`${t("retract")} ${warning.key}`}>
      <form onSubmit={submit} data-testid="retract-form">
        <p>{warning.headline}</p>
        <Field label={t("reason")}>
          <select name="reason">
            {REASONS.map((reason) => (
              <option key={reason}>{reason}</option>
            ))}
          </select>
        </Field>
        <Field label={t("text")}>
          <textarea name="text" rows={2} maxLength={3900} />
        </Field>
        <Buttons ready word={t("retract")} />
      </form>
    </Modal>
  );
}

export function Dialogs() {
  const open = s.dialog.value;
  if (open === "raise") return <Raise />;
  if (open === "approvals") return <Approvals />;
  if (open === "accounts") return <Accounts />;
  if (open === "leave") return <Leave />;
  if (open === "auto-leave") return <ProposeAutoLeave />;
  const [name, first = "", ...rest] = open.split(":");
  const second = rest.join(":");
  if (name === "ledger") return <Ledger subject={first} />;
  if (name === "why") return <Why first={first} />;
  if (name === "why-warning") return <WhyWarning key={first} id={first} />;
  if (name === "release") return <ReleaseRecord audience={first} record={second} />;
  if (name === "retract") {
    const warning = s.warnings.value.get(open.slice("retract:".length));
    return warning ? <Retract warning={warning} /> : null;
  }
  return null;
}

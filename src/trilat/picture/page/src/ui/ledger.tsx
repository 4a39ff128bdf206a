// The ledger: who holds a record, what a partner holds, what was released when and under which rule; to read and to take away.
import { useEffect, useState } from "preact/hooks";
import * as ask from "../ask";
import * as s from "../state";
import { Field } from "./field";
import { Modal } from "./modal";
import { Tabs } from "./tabs";
import { t } from "./strings";
import type { Key } from "./strings";
import { utc } from "./words";

const QUESTIONS = ["holders", "held", "released"] as const;
type Question = (typeof QUESTIONS)[number];
const WORDS: Record<Question, Key> = { holders: "whoHolds", held: "whatHolds", released: "whatReleased" };
const COLUMNS: Record<Question, string[]> = {
  holders: ["audience", "subject", "record_type", "sealed_t_ns", "held", "rule", "record_sha256"],
  held: ["subject", "record_type", "sealed_t_ns", "held", "rule", "via", "record_sha256"],
  released: ["audience", "record_type", "rule", "reason", "records"],
};
const HEADS: Record<string, Key> = {
  audience: "audience",
  subject: "subject",
  record_type: "recordType",
  sealed_t_ns: "leftAt",
  held: "heldHow",
  rule: "rule",
  reason: "reason",
  via: "via",
  record_sha256: "hash",
  records: "records",
};
const LIMIT = "1000";

interface Found {
  question: Question;
  about: Record<string, string>;
  told: ask.Told<ask.Rows>;
}

const audiences = () => [...(s.hello.value?.partners ?? []), "PUBLIC"];

/** What can be asked about with one choice: the selection's sensors, the warnings on the strip. */
function subjects(): string[] {
  const sensors = s.details.value?.sensors.map((one) => one.id) ?? [];
  return [...sensors, ...s.openWarnings.value.map((one) => one.id)];
}

function When({ name, label }: { name: string; label: Key }) {
  return (
    <Field label={`${t(label)} (UTC)`}>
      <input name={name} type="datetime-local" step={1} />
    </Field>
  );
}

function Fields({ question, subject }: { question: Question; subject: string }) {
  if (question === "holders")
    return (
      <>
        <Field label={t("subjectHint")}>
          <input name="subject" required maxLength={200} list="ledger-subjects" defaultValue={subject} autoFocus autocomplete="off" />
          <datalist id="ledger-subjects">
            {subjects().map((one) => (
              <option key={one} value={one} />
            ))}
          </datalist>
        </Field>
        <When name="at" label="asAt" />
      </>
    );
  return (
    <>
      <Field label={t("audience")}>
        <select name={question === "held" ? "by" : "to"} autoFocus>
          {question === "released" && <option value="">{t("everybody")}</option>}
          {audiences().map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </Field>
      {question === "held" ? (
        <When name="at" label="asAt" />
      ) : (
        <>
          <When name="since" label="from" />
          <When name="until" label="until" />
        </>
      )}
    </>
  );
}

function asked(form: HTMLFormElement): Record<string, string> {
  const about: Record<string, string> = { limit: LIMIT };
  for (const [name, value] of new FormData(form)) {
    const text = ["at", "since", "until"].includes(name) ? nanosecondsOr(value) : String(value).trim();
    if (text) about[name] = text;
  }
  return about;
}

const nanosecondsOr = (value: FormDataEntryValue) => ask.nanoseconds(value);

function shown(name: string, value: string | number | undefined): string {
  if (name === "sealed_t_ns") return utc(Number(value) / 1e6, true);
  if (name === "record_sha256") return String(value).slice(0, 12);
  if (name === "record_type") return String(value).replace(/^trilat\./, "");
  return value === undefined || value === "" ? "—" : String(value);
}

/** Whoever reads the file later must see of which mode it is: it stands in every row and in the file's name. */
function take(found: Found, rows: ask.Row[], kind: "csv" | "json"): void {
  const mode = s.hello.value?.mode.words ?? "";
  const nation = s.hello.value?.nation ?? "";
  const marked = rows.map((row) => ({ mode, nation, ...row }));
  const stamp = new Date(s.nowMs.value).toISOString().replace(/[-:]|\.\d+/g, "");
  const name = ["trilat-ledger", nation, mode.toLowerCase().replaceAll(" ", "-"), found.question, stamp].join("-");
  if (kind === "csv") ask.save(`${name}.csv`, "text/csv", ask.csv(marked));
  else ask.save(`${name}.json`, "application/json", JSON.stringify({ mode, nation, question: found.question, about: found.about, rows: marked }));
}

function Result({ found }: { found: Found }) {
  if ("fault" in found.told) return <p role="alert">{found.told.fault}</p>;
  const { rows, more } = found.told.good;
  const columns = COLUMNS[found.question];
  if (rows.length === 0) return <p class="muted" data-testid="ledger-none">{t("ledgerNone")}</p>;
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label={t(WORDS[found.question])}>
        <table class="steps" data-testid="ledger-rows">
          <thead>
            <tr>
              {columns.map((name) => (
                <th key={name} class={name === "records" ? "num" : ""}>
                  {t(HEADS[name] ?? "name")}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, at) => (
              <tr key={at} class={String(row["held"] ?? "")}>
                {columns.map((name) => (
                  <td key={name} class={name === "records" ? "num" : name === "record_sha256" ? "code" : ""} title={String(row[name] ?? "")}>
                    {shown(name, row[name])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="buttons">
        <output data-testid="ledger-count">
          {rows.length} {t("rows")} {more ? `· ${t("more")}` : ""}
        </output>
        <button type="button" class="quiet" data-testid="csv" onClick={() => take(found, rows, "csv")}>
          {t("export")} CSV
        </button>
        <button type="button" class="quiet" data-testid="json" onClick={() => take(found, rows, "json")}>
          {t("export")} JSON
        </button>
      </div>
    </>
  );
}

export function Ledger({ subject }: { subject: string }) {
  const [question, setQuestion] = useState<Question>("holders");
  const [found, setFound] = useState<Found | null>(null);
  const [waits, setWaits] = useState(false);
  const look = async (about: Record<string, string>) => {
    setWaits(true);
    setFound({ question, about, told: await ask.ledger(question, about) });
    setWaits(false);
  };
  useEffect(() => {
    if (subject) void look({ limit: LIMIT, subject });
  }, []);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void look(asked(event.currentTarget as HTMLFormElement));
  };
  const choose = (name: string) => {
    setQuestion(name as Question);
    setFound(null);
  };
  return (
    <Modal title={t("ledger")} wide>
      <Tabs names={QUESTIONS} chosen={question} choose={choose} label={t("ledger")}>
        {(name) => t(WORDS[name as Question])}
      </Tabs>
      <form key={question} class="row asking" onSubmit={(event) => submit(event as SubmitEvent)} data-testid="ledger-form">
        <Fields question={question} subject={subject} />
        <button type="submit" data-testid="ask" disabled={waits}>
          {t("ask")}
        </button>
      </form>
      {found ? <Result found={found} /> : <p class="muted">{waits ? "…" : t("ledgerHint")}</p>}
    </Modal>
  );
}

// Standing leave: two officers let the node issue by itself, for areas of the own nation that are sure enough. Shown while it stands.
import * as s from "../state";
import type { AutoLeave } from "../protocol";
import { perform } from "../wire";
import { Field } from "./field";
import { Modal } from "./modal";
import { t } from "./strings";
import { span, utc } from "./words";

const HOURS_MAX = 168;
const NS_PER_MS = 1_000_000n;

/** The mode as contents name it; the node refuses a leave of any other. */
function modeWord(): string {
  const mode = s.hello.value?.mode;
  return !mode || mode.kind === "live" ? "live" : `${mode.kind}:${mode.id}`;
}

/** The content's text: its time is in nanoseconds, more digits than a number here holds. */
function contentOf(leave: Omit<AutoLeave, "by">): string {
  const { until_ms, ...rest } = leave;
  const text = JSON.stringify({ mode: modeWord(), ...rest });
  return `${text.slice(0, -1)},"until_ns":${BigInt(Math.round(until_ms)) * NS_PER_MS}}`;
}

function put(leave: Omit<AutoLeave, "by">, reason: string): void {
  perform({ act: "propose", kind: "pre-authorise-warning", content: contentOf(leave), reason });
  s.dialog.value = "approvals";
}

/** Above the warnings, at all times: that the node issues by itself, to whom and until when. */
export function AutoLeaveBar() {
  const leave = s.approvals.value.leave;
  if (!leave || leave.until_ms <= s.nowMs.value) return null;
  return (
    <button type="button" class="auto" data-testid="auto-leave-chip" onClick={() => (s.dialog.value = "approvals")}>
      {t("autoIssues")} {utc(leave.until_ms)}: {leave.audiences.join(", ")}
    </button>
  );
}

/** What leave stands, by whom, and the way to have it taken away: that, too, is for two. */
export function AutoLeaveStands() {
  const leave = s.approvals.value.leave;
  if (!leave || leave.until_ms <= s.nowMs.value) return null;
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const { by, ...rest } = leave;
  return (
    <div class="standing" data-testid="auto-leave">
      <b>{t("autoLeave")}</b>: {leave.audiences.join(", ")} · {t("areaAtLeast")} {percent(leave.probability_min)} · {t("confidence")} ≥{" "}
      {percent(leave.confidence_min)} · {leave.minutes} min · {t("ends")} {span(leave.until_ms - s.nowMs.value)} · {t("approvedBy")} {by.join(", ")}{" "}
      {s.may("propose") && (
        <button type="button" class="quiet" data-testid="take-leave-away" onClick={() => put({ ...rest, audiences: [] }, t("takeLeaveAway"))}>
          {t("propose")}: {t("takeLeaveAway")}
        </button>
      )}
    </div>
  );
}

export function ProposeAutoLeave() {
  const hello = s.hello.value;
  if (!hello) return null;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const number = (name: string) => Number(data.get(name));
    put(
      {
        audiences: data.getAll("audiences").map(String),
        probability_min: number("probability") / 100,
        confidence_min: number("confidence") / 100,
        minutes: number("minutes"),
        until_ms: s.nowMs.value + number("hours") * 3_600_000,
      },
      String(data.get("reason")).trim(),
    );
  };
  return (
    <Modal title={t("autoLeave")}>
      <p class="muted">{t("autoLeaveHint")}</p>
      <form onSubmit={(event) => submit(event as SubmitEvent)} data-testid="auto-leave-form">
        <fieldset class="row">
          <legend>{t("audience")}</legend>
          {["PUBLIC", ...hello.partners].map((one) => (
            <label key={one} class="check">
              <input type="checkbox" name="audiences" value={one} defaultChecked={one === "PUBLIC"} /> <span>{one}</span>
            </label>
          ))}
        </fieldset>
        <div class="row">
          <Field label={`${t("areaAtLeast")} %`}>
            <input name="probability" type="number" min={1} max={100} defaultValue="30" required />
          </Field>
          <Field label={`${t("confidence")} ≥ %`}>
            <input name="confidence" type="number" min={1} max={100} defaultValue="80" required />
          </Field>
          <Field label={t("eachHolds")}>
            <input name="minutes" type="number" min={1} max={180} defaultValue="30" required />
          </Field>
          <Field label={t("leaveEnds")}>
            <input name="hours" type="number" min={1} max={HOURS_MAX} defaultValue="12" required />
          </Field>
        </div>
        <Field label={t("reason")}>
          <textarea name="reason" rows={2} required maxLength={200} />
        </Field>
        <p class="muted">{t("secondReads")}</p>
        <div class="buttons">
          <button type="button" class="quiet" onClick={() => (s.dialog.value = "")}>
            {t("cancel")}
          </button>
          <button type="submit" class="raise" data-testid="send">
            {t("propose")}
          </button>
        </div>
      </form>
    </Modal>
  );
}

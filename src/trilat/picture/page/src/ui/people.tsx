// Who sits here, who else is on duty, what waits for a second person.
import * as door from "../door";
import * as s from "../state";
import { t } from "./strings";

const ENDS_SOON_MS = 15 * 60_000;

function OnDuty() {
  const duty = s.status.value?.on_duty ?? [];
  const words = duty.map((one) => `${one.person} (${one.user}): ${one.roles.join(", ")}`).join("\n");
  return (
    <span class="pill duty" title={words} data-testid="on-duty">
      {t("onDuty")} {duty.map((one) => one.user).join(", ")}
    </span>
  );
}

export function People() {
  const me = s.me.value;
  if (!me) return null;
  const left = (door.inside.value?.ends_ms ?? 0) - s.nowMs.value;
  const pending = s.approvals.value.pending.length;
  return (
    <>
      <OnDuty />
      <button
        type="button"
        class={pending ? "raise" : "quiet"}
        data-testid="approvals"
        onClick={() => (s.dialog.value = "approvals")}
      >
        {t("approvals")} {pending}
      </button>
      {s.may("see-ledger") && (
        <button type="button" class="quiet" data-testid="ledger" onClick={() => (s.dialog.value = "ledger:")}>
          {t("ledger")}
        </button>
      )}
      <button type="button" class="quiet" data-testid="me" title={me.roles.join(", ")} onClick={() => (s.dialog.value = "accounts")}>
        {me.user}
        {door.inside.value && s.hello.value?.mode.kind !== "replay" && left > 0 && left < ENDS_SOON_MS && (
          <em class="stale"> {t("sessionEnds")} {Math.ceil(left / 60_000)} min</em>
        )}
      </button>
      <button type="button" class="quiet" data-testid="logout" onClick={() => void door.logout()}>
        {t("logout")}
      </button>
    </>
  );
}

// What is shown to those who are not in: the form, or how to make the first account; and nothing else.
import { useState } from "preact/hooks";
import * as door from "../door";
import { LANGUAGES, lang, setLanguage, t } from "./strings";
import type { Language } from "./strings";

function First() {
  return (
    <>
      <p>{t("firstAccount")}</p>
      <pre data-testid="first">trilat users add CONFIG NAME --role watch-officer</pre>
    </>
  );
}

function Form() {
  const [refusal, setRefusal] = useState<door.Refusal | null>(null);
  const [busy, setBusy] = useState(false);
  const renewing = refusal?.reason === "password-temporary" || refusal?.reason === "password-weak";
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const told = (name: string) => String(data.get(name) ?? "");
    setBusy(true);
    setRefusal(await door.login(told("user").trim(), told("password"), told("new_password")));
    setBusy(false);
  };
  return (
    <form onSubmit={(event) => void submit(event as SubmitEvent)} data-testid="login-form">
      <label class="field">
        <span>{t("user")}</span>
        <input name="user" required autoFocus autocomplete="username" autocapitalize="none" spellcheck={false} maxLength={64} />
      </label>
      <label class="field">
        <span>{t("password")}</span>
        <input name="password" type="password" required autocomplete="current-password" maxLength={256} />
      </label>
      {renewing && (
        <label class="field">
          <span>{t("newPassword")}</span>
          <input name="new_password" type="password" required autocomplete="new-password" minLength={12} maxLength={256} />
        </label>
      )}
      {refusal && (
        <p class="refusal" role="alert" data-testid="refusal">
          {refusal.text} {refusal.waitS > 0 && `${t("waitFor")} ${refusal.waitS} s`}
        </p>
      )}
      <div class="buttons">
        <button type="submit" class="raise" data-testid="login" disabled={busy}>
          {t("login")}
        </button>
      </div>
    </form>
  );
}

export function Login() {
  const out = door.outside.value;
  if (!out) return null;
  return (
    <div class={`gate ${out.mode.kind === "live" ? "" : "exercising"}`} data-testid="gate">
      <section>
        <h1>
          TRILAT <strong>{out.nation}</strong> <small>{out.node}</small>
        </h1>
        <p>
          <span class={`chip mode-${out.mode.kind}`}>
            {t(out.mode.kind)}
            {out.mode.id && <small>{out.mode.id}</small>}
          </span>
        </p>
        {out.accounts ? <Form /> : <First />}
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
      </section>
    </div>
  );
}

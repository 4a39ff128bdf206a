// What waits for a second person: content and hash side by side, yes or no. And the accounts, whose roles are given so.
import { useEffect, useState } from "preact/hooks";
import * as door from "../door";
import type { Proposal } from "../protocol";
import * as s from "../state";
import { perform } from "../wire";
import { Modal } from "./modal";
import { AutoLeaveStands } from "./standing";
import { t } from "./strings";
import { span, utc } from "./words";

function useHash(one: Proposal): string {
  const [hash, setHash] = useState("");
  useEffect(() => {
    setHash("");
    // Browsers compute hashes on loopback and over TLS only; elsewhere nothing can be approved.
    void door.contentHash(one.nation, one.mode, one.kind, one.content).then(setHash, () => setHash(""));
  }, [one.nation, one.mode, one.kind, one.content]);
  return hash;
}

const ITEMS_SHOWN = 8;

/** One value as it stands: an object as rows of its own, a long list folded, all of it there. */
function Value({ value }: { value: unknown }) {
  if (typeof value === "string") return <>{value}</>;
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return <Fields of={value as Record<string, unknown>} />;
  const text = JSON.stringify(value);
  if (!Array.isArray(value) || value.length <= ITEMS_SHOWN) return <>{text}</>;
  return (
    <details>
      <summary>
        {value.length} {t("values")}
      </summary>
      {text}
    </details>
  );
}

function Fields({ of }: { of: Record<string, unknown> }) {
  return (
    <dl>
      {Object.entries(of).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <Value value={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** The content's fields, one a row, exactly as they stand in the text that is hashed. */
function Content({ content }: { content: string }) {
  return (
    <div class="content" data-testid="content">
      <Fields of={JSON.parse(content) as Record<string, unknown>} />
    </div>
  );
}

interface Variant {
  audience: string;
  basis: string;
  flight_class: string;
  confidence: number | null;
  areas: { id: string; name: string; touch: string; percent: number }[];
  words: { language: string; line: string }[];
}

/** What each audience will get, beside one another: read from the very text that is hashed. */
function Variants({ content }: { content: string }) {
  const told = JSON.parse(content) as { variants?: Variant[] };
  if (!told.variants) return <Content content={content} />;
  return (
    <div class="variants" data-testid="variants">
      {told.variants.map((one) => (
        <section key={one.audience} data-audience={one.audience}>
          <h4>
            {one.audience} · {one.flight_class} {one.confidence === null ? "" : `${Math.round(one.confidence * 100)} %`} ({one.basis})
          </h4>
          <p>{one.areas.map((a) => `${a.touch === "overflight" ? "↷ " : ""}${a.name} ${a.percent} %`).join(", ") || "—"}</p>
          {one.words.map((words) => (
            <p key={words.language} lang={words.language}>
              {words.line}
            </p>
          ))}
        </section>
      ))}
      <Content content={content} />
    </div>
  );
}

function Waiting({ one }: { one: Proposal }) {
  const hash = useHash(one);
  const same = hash !== "" && hash === one.content_sha256;
  const mine = one.by?.user === s.me.value?.user;
  const told = { proposal: one.id, content_sha256: hash };
  return (
    <li class="proposal" data-testid="proposal" data-id={one.id}>
      <header>
        <b>{one.kind}</b> {one.id} · {one.by ? `${one.by.person} (${one.by.user}, ${one.by.station})` : t("byNode")}
        <small>
          {utc(one.t_ms)} · {t("ends")} {span(one.expires_ms - s.nowMs.value)}
        </small>
      </header>
      {one.reason && <p>{one.reason}</p>}
      <div class="side">
        <Variants content={one.content} />
        <div class={`hash ${same ? "same" : "differs"}`}>
          <small>{t("hashHere")}</small>
          <code data-testid="hash-here">{hash || "—"}</code>
          <small>{t("hashNode")}</small>
          <code>{one.content_sha256}</code>
          <b>{same ? t("hashSame") : t("hashDiffers")}</b>
        </div>
      </div>
      {one.approvals.map((given) => (
        <small key={given.by}>
          {t("approvedBy")} {given.person} {utc(given.t_ms)}
        </small>
      ))}
      <div class="buttons">
        {(mine || s.may("decline")) && (
          <button type="button" class="quiet" data-testid="decline" onClick={() => perform({ act: "decline", ...told, reason: "" })}>
            {mine ? t("withdraw") : t("decline")}
          </button>
        )}
        {!mine && s.may("approve") && (
          <button type="button" class="raise" data-testid="approve" disabled={!same} onClick={() => perform({ act: "approve", ...told })}>
            {t("approve")}
          </button>
        )}
      </div>
    </li>
  );
}

export function Approvals() {
  const { pending, settled } = s.approvals.value;
  return (
    <Modal title={t("approvals")} wide>
      <AutoLeaveStands />
      {s.may("propose") && (
        <div class="row">
          <button type="button" class="quiet" data-testid="to-leave" onClick={() => (s.dialog.value = "leave")}>
            {t("propose")}: {t("preAuthorise")}
          </button>
          <button type="button" class="quiet" data-testid="to-auto-leave" onClick={() => (s.dialog.value = "auto-leave")}>
            {t("propose")}: {t("autoLeave")}
          </button>
        </div>
      )}
      <ul class="proposals">
        {pending.map((one) => (
          <Waiting key={one.id} one={one} />
        ))}
      </ul>
      {pending.length === 0 && <p class="muted">{t("noApprovals")}</p>}
      <ul class="settled" data-testid="settled">
        {settled.map((one) => (
          <li key={one.id}>
            {utc(one.settled_ms ?? 0)} {one.kind} {one.id}: <b>{one.outcome}</b> {one.settled_by}
          </li>
        ))}
      </ul>
    </Modal>
  );
}

function propose(account: door.Account): void {
  const { user, person, version } = account;
  const roles = [...new Set([...account.roles, ...account.wanted])].sort();
  perform({ act: "propose", kind: "account-roles", content: JSON.stringify({ user, person, roles, version }), reason: "" });
}

function AccountRow({ one }: { one: door.Account }) {
  const asked = s.approvals.value.pending.some((p) => p.kind === "account-roles" && JSON.parse(p.content).user === one.user);
  return (
    <tr data-testid={`account-${one.user}`}>
      <th>{one.user}</th>
      <td>{one.person}</td>
      <td>{one.disabled ? t("disabledWord") : one.roles.join(", ")}</td>
      <td>
        {one.wanted.join(", ")}{" "}
        {one.wanted.length > 0 && !one.disabled && s.may("propose") && (
          <button type="button" class="quiet" data-testid="propose" disabled={asked} onClick={() => propose(one)}>
            {t("propose")}
          </button>
        )}
      </td>
    </tr>
  );
}

function Sessions() {
  const [open, setOpen] = useState<door.OpenSession[]>([]);
  const look = () => void door.sessions().then(setOpen);
  useEffect(look, []);
  const end = (id: string) => void door.endSession(id).then(look);
  return (
    <ul class="settled">
      {open.map((one) => (
        <li key={one.id}>
          {one.user} · {one.station} · {one.address} · {utc(one.begun_ns / 1e6)} {one.mine ? `(${t("thisOne")})` : ""}{" "}
          {!one.mine && (one.user === s.me.value?.user || s.may("end-sessions")) && (
            <button type="button" class="quiet" onClick={() => end(one.id)}>
              {t("endIt")}
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}

function Password() {
  const [said, setSaid] = useState("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const refusal = await door.changePassword(String(data.get("old")), String(data.get("new")));
    if (refusal) setSaid(refusal.text);
    else location.reload();
  };
  return (
    <form class="row" onSubmit={(event) => void submit(event as SubmitEvent)}>
      <input name="old" type="password" required autocomplete="current-password" placeholder={t("password")} />
      <input name="new" type="password" required autocomplete="new-password" minLength={12} placeholder={t("newPassword")} />
      <button type="submit">{t("changePassword")}</button>
      <small role="alert">{said}</small>
    </form>
  );
}

export function Accounts() {
  const [held, setHeld] = useState<door.Account[]>([]);
  const changes = s.approvals.value.settled.length;
  useEffect(() => void door.accounts().then((told) => setHeld(told.accounts)), [changes]);
  return (
    <Modal title={t("accounts")}>
      {s.may("see-accounts") && (
        <table class="accounts">
          <thead>
            <tr>
              <th>{t("user")}</th>
              <th>{t("person")}</th>
              <th>{t("roles")}</th>
              <th>{t("waitsForTwo")}</th>
            </tr>
          </thead>
          <tbody>
            {held.map((one) => (
              <AccountRow key={one.user} one={one} />
            ))}
          </tbody>
        </table>
      )}
      <h3>{t("sessions")}</h3>
      <Sessions />
      <h3>{t("changePassword")}</h3>
      <Password />
    </Modal>
  );
}

// Right: all that is known of the selected track, and why it may be believed.
import * as s from "../state";
import type { Details } from "../protocol";
import { place } from "../map/geo";
import { select } from "../wire";
import { Badge } from "./badge";
import { Legend } from "./legend";
import { t } from "./strings";
import type { Key } from "./strings";
import { age, feet, knots, metres, span, utc } from "./words";
import type { ComponentChildren } from "preact";

function Rows({ rows }: { rows: [string, ComponentChildren][] }) {
  return (
    <dl>
      {rows
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function Head({ d }: { d: Details }) {
  const name = s.tracks.names.get(d.id) ?? `${d.origin} ${d.number}`;
  return (
    <div class="head">
      <div>
        <b>{name}</b>
        <small>
          <Badge nation={d.origin} /> {d.origin} · {t(d.layer as Key)} · {d.domain} · {d.status}
        </small>
      </div>
      <button type="button" class="quiet" aria-label={t("cancel")} onClick={() => select(0)}>
        ✕
      </button>
    </div>
  );
}

function Motion({ d }: { d: Details }) {
  const old = Math.max(0, (s.nowMs.value - d.updated_ms) / 1000);
  const rows: [string, ComponentChildren][] = [
    [t("position"), place(d.lat_deg, d.lon_deg)],
    [t("height"), d.alt_m === undefined || d.domain === "sea" ? null : `${feet(d.alt_m)} (${metres(d.alt_m)})`],
    [t("speed"), d.speed_m_s === undefined ? null : `${knots(d.speed_m_s)} (${d.speed_m_s.toFixed(0)} m/s)`],
    [t("course"), d.course_deg === undefined ? null : `${d.course_deg.toFixed(0).padStart(3, "0")}°`],
    [t("climb"), d.climb_m_s === undefined || Math.abs(d.climb_m_s) < 1 ? null : `${d.climb_m_s.toFixed(0)} m/s`],
    [t("age"), <span class={old > (s.hello.value?.stale_s[d.domain] ?? 30) ? "stale" : ""}>{age(old)}</span>],
  ];
  return <Rows rows={rows} />;
}

function Sure({ d }: { d: Details }) {
  const { major_m, minor_m, bearing_deg } = d.ellipse;
  return (
    <Rows
      rows={[
        [t("ellipse95"), `${metres(major_m)} × ${metres(minor_m)}, ${bearing_deg.toFixed(0).padStart(3, "0")}°`],
        [t("height"), d.sigma_alt_m === undefined || d.domain === "sea" ? null : `±${metres(2 * d.sigma_alt_m)} (2σ)`],
        [t("speed"), d.sigma_speed_m_s === undefined ? null : `±${(2 * d.sigma_speed_m_s).toFixed(1)} m/s (2σ)`],
        [t("existence"), d.existence === undefined ? null : `${(d.existence * 100).toFixed(1)} %`],
        ["⚑", d.flags.length ? <span class="stale">{d.flags.join(", ")}</span> : null],
      ]}
    />
  );
}

function Audiences({ d }: { d: Details }) {
  return (
    <ul class="audiences" data-testid="audiences">
      <li class="permit">
        <Badge nation={d.origin} /> <b>{d.origin}</b> <span>{t("originatorWord")}</span>
      </li>
      {d.audiences
        .filter((one) => one.audience !== d.origin)
        .map((one) => (
          <li key={one.audience} class={one.permit ? "permit" : "withhold"} title={one.reason}>
            <Badge nation={one.audience} /> <b>{one.audience}</b>
            <span>
              {one.permit ? `✓ ${t("released")}${one.tier ? ` (${one.tier})` : ""}` : `✕ ${t("withheld")}`}
              <small> {one.reason}</small>
            </span>
            {s.may("see-release") && (
              <button type="button" class="quiet why" data-testid={`why-${one.audience}`} onClick={() => (s.dialog.value = `why:${one.audience}`)}>
                {t("why")}
              </button>
            )}
          </li>
        ))}
    </ul>
  );
}

function Selected({ d }: { d: Details }) {
  const identity: [string, ComponentChildren][] = [
    [t("identity"), d.callsign],
    [t("address"), d.address],
    ["MMSI", d.mmsi],
    [t("squawk"), d.mode_3a],
    [t("stream"), `${d.stream} #${d.number}`],
  ];
  return (
    <section class="panel details" data-testid="details" data-id={d.id}>
      <Head d={d} />
      <p class="label" data-testid="label">
        {d.label}
      </p>
      <h3>{t("who")}</h3>
      <Rows rows={identity} />
      <h3>{t("where")}</h3>
      <Motion d={d} />
      <h3>{t("howSure")}</h3>
      <Sure d={d} />
      <h3>{t("sensors")}</h3>
      <ul class="sensors">
        {d.sensors.map((sensor) => (
          <li key={sensor.id}>
            <Badge nation={sensor.nation} /> {sensor.id} <small>{sensor.kind}</small>
          </li>
        ))}
      </ul>
      <h3>{t("mayBeSeen")}</h3>
      <Audiences d={d} />
      <h3>{t("history")}</h3>
      <Rows
        rows={[
          [t("since"), d.born_ms ? `${utc(d.born_ms)} (${span(s.nowMs.value - d.born_ms)})` : null],
          [t("stateTime"), utc(d.t_ms)],
          [t("lane"), d.lane],
        ]}
      />
    </section>
  );
}

export function Right() {
  const d = s.details.value;
  const chosen = s.selectedId.value;
  return (
    <aside class="right" aria-label={t("selection")}>
      {chosen && d && d.id === chosen && !d.gone ? (
        <Selected d={d} />
      ) : (
        <section class="panel">
          <h2>{t("selection")}</h2>
          <p class="muted">{chosen && d?.gone ? t("goneText") : t("nothing")}</p>
          <p class="muted">{t("nothingHint")}</p>
        </section>
      )}
      {!chosen && <Legend />}
    </aside>
  );
}

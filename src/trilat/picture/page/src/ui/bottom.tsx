// Bottom: the watch log, the track table (equal to the map: same filters, same selection), every warning there was.
import { signal } from "@preact/signals";
import * as f from "../filters";
import { place } from "../map/geo";
import * as s from "../state";
import { select } from "../wire";
import { Badge } from "./badge";
import { t } from "./strings";
import { age, amount, knots, metres, utc } from "./words";

type Tab = "log" | "table" | "warnings";
export const tab = signal<Tab>("log");
const ROW_PX = 22;
const EXTRA_ROWS = 6;
const scrolled = signal(0);

function Log() {
  const lines = s.log.value.slice(-200).reverse();
  return (
    <ol class="log" data-testid="log">
      {lines.map((line, index) => (
        <li key={`${line.t_ms}-${lines.length - index}`} class={line.severity}>
          <time>{utc(line.t_ms)}</time> {line.text}
        </li>
      ))}
    </ol>
  );
}

function nationsOf(slot: number): string[] {
  return (s.hello.value?.nations ?? []).filter((_, bit) => ((s.tracks.nations[slot] ?? 0) >> bit) & 1);
}

function TrackRow({ slot }: { slot: number }) {
  const { tracks } = s;
  const id = tracks.ids[slot] ?? 0;
  const hello = s.hello.value;
  const speed = tracks.speed[slot] ?? NaN;
  const domain = hello?.domains[tracks.domain[slot] ?? 0] ?? "";
  const keys = (event: KeyboardEvent) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(id, slot);
  };
  return (
    <tr tabIndex={0} aria-selected={id === s.selectedId.value} onClick={() => choose(id, slot)} onKeyDown={keys}>
      <th scope="row">{tracks.names.get(id)}</th>
      <td>
        {nationsOf(slot).map((nation) => (
          <Badge key={nation} nation={nation} />
        ))}{" "}
        <span class="spelt">{nationsOf(slot).join("+")}</span>
      </td>
      <td>{domain}</td>
      <td>{hello?.affiliations[tracks.affiliation[slot] ?? 1]}</td>
      <td>{hello?.statuses[tracks.status[slot] ?? 0]}</td>
      <td class="num">{place(tracks.lonLat[slot * 2 + 1] ?? 0, tracks.lonLat[slot * 2] ?? 0)}</td>
      <td class="num">{domain === "sea" ? "" : metres(tracks.alt[slot] ?? 0)}</td>
      <td class="num">{Number.isNaN(speed) ? "–" : knots(speed)}</td>
      <td class="num">{Math.round(tracks.course[slot] ?? 0)}°</td>
      <td class="num">±{metres(tracks.sigma[slot] ?? 0)}</td>
      <td class="num">{age(Math.max(0, (s.nowMs.value - (tracks.updatedMs[slot] ?? 0)) / 1000))}</td>
    </tr>
  );
}

function choose(id: number, slot: number): void {
  select(id);
  s.flyTo.value = { lon: s.tracks.lonLat[slot * 2] ?? 0, lat: s.tracks.lonLat[slot * 2 + 1] ?? 0 };
}

/** Only the rows in sight are made, so that ten thousand tracks cost as much as twenty. */
function Table() {
  const { slots, count } = f.shown.value;
  const order = Array.from(slots.subarray(0, count)).sort((a, b) => (s.tracks.ids[a] ?? 0) - (s.tracks.ids[b] ?? 0));
  const first = Math.max(0, Math.floor(scrolled.value / ROW_PX) - EXTRA_ROWS);
  const rows = order.slice(first, first + 30 + 2 * EXTRA_ROWS);
  return (
    <div class="tablebox" onScroll={(event) => (scrolled.value = event.currentTarget.scrollTop)}>
      <table class="tracks" aria-rowcount={count} data-testid="tracks" data-count={count}>
        <thead>
          <tr>
            {[t("name"), t("nation"), t("domain"), t("identity"), t("statusWord"), t("position"), t("height"), t("speed"), t("course"), "σ", t("age")].map((word) => (
              <th key={word} scope="col">
                {word}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr class="space" aria-hidden="true" style={{ height: `${first * ROW_PX}px` }} />
          {rows.map((slot) => (
            <TrackRow key={s.tracks.ids[slot]} slot={slot} />
          ))}
          <tr class="space" aria-hidden="true" style={{ height: `${Math.max(0, count - first - rows.length) * ROW_PX}px` }} />
        </tbody>
      </table>
    </div>
  );
}

function AllWarnings() {
  const all = [...s.warnings.value.values()].sort((a, b) => b.first_t_ms - a.first_t_ms);
  return (
    <ol class="log">
      {all.map((warning) => (
        <li key={warning.key} class={warning.open ? "alarm" : "info"}>
          <time>{utc(warning.first_t_ms)}</time> <b>{warning.key}</b> {warning.retraction?.reason ?? warning.state}
          {warning.open ? "" : ` (${t("closedWord")})`} · {warning.headline} ·{" "}
          {warning.acknowledgements.map((a) => `${a.nation} ${a.kind} ${utc(a.t_ms)} ${a.by}`).join(", ")}
        </li>
      ))}
    </ol>
  );
}

export function Bottom() {
  const { count, hidden } = f.shown.value;
  const tabs: [Tab, string][] = [
    ["log", t("log")],
    ["table", t("table")],
    ["warnings", `${t("warningsWord")} (${s.warnings.value.size})`],
  ];
  return (
    <section class="bottom">
      <div class="tabs" role="tablist">
        {tabs.map(([name, words]) => (
          <button key={name} type="button" role="tab" id={`tab-${name}`} aria-selected={tab.value === name} onClick={() => (tab.value = name)}>
            {words}
          </button>
        ))}
        <span class="tally" data-testid="tally">
          {t("shownWord")} {amount(count)} {t("tracks")}
          {hidden > 0 && ` · ${t("hidden")}: ${amount(hidden)}`}
          {s.cursor.value && ` · ${place(s.cursor.value[1], s.cursor.value[0])}`}
        </span>
      </div>
      <div class="tabbody" role="tabpanel" aria-labelledby={`tab-${tab.value}`}>
        {tab.value === "log" ? <Log /> : tab.value === "table" ? <Table /> : <AllWarnings />}
      </div>
    </section>
  );
}

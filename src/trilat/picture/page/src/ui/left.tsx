// Left: filters with what they hide, map layers, feed and link lights with their ages.
import * as f from "../filters";
import * as s from "../state";
import type { FeedLight, LinkLight } from "../protocol";
import { Badge } from "./badge";
import { LinkFigures } from "./links";
import { Sensors } from "./sensors";
import { t } from "./strings";
import type { Key } from "./strings";
import { Light } from "./topbar";
import { age, amount } from "./words";
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

function Group(props: {
  title: string;
  names: string[];
  counts: Record<string, number>;
  hidden: Signal<ReadonlySet<string>>;
  mark?: (name: string) => ComponentChildren;
  word?: (name: string) => string;
}) {
  const shown = props.names.filter((name) => props.counts[name] || props.hidden.value.has(name));
  if (shown.length === 0) return null;
  return (
    <fieldset>
      <legend>{props.title}</legend>
      {shown.map((name) => (
        <label key={name} class="check">
          <input
            type="checkbox"
            checked={!props.hidden.value.has(name)}
            onChange={() => (props.hidden.value = f.toggled(props.hidden.value, name))}
          />
          {props.mark?.(name)}
          <span>{props.word?.(name) ?? name}</span>
          <output>{amount(props.counts[name] ?? 0)}</output>
        </label>
      ))}
    </fieldset>
  );
}

function showAll(): void {
  for (const one of [f.hiddenNations, f.hiddenDomains, f.hiddenLayers, f.hiddenStatuses]) one.value = new Set();
  f.search.value = "";
}

function Filters() {
  const hello = s.hello.value;
  if (!hello) return null;
  const counts = f.counts.value;
  const hidden = f.shown.value.hidden;
  return (
    <section class="panel">
      <h2>
        {t("filters")}
        {hidden > 0 && (
          <button type="button" class="hidden-note" data-testid="hidden" title={t("showAll")} onClick={showAll}>
            {t("hidden")}: {amount(hidden)} ✕
          </button>
        )}
      </h2>
      <input
        type="search"
        id="search"
        placeholder={t("search")}
        aria-label={t("search")}
        value={f.search.value}
        onInput={(event) => (f.search.value = event.currentTarget.value)}
      />
      <Group
        title={t("nation")}
        names={hello.nations}
        counts={counts.nations}
        hidden={f.hiddenNations}
        mark={(name) => <Badge nation={name} />}
      />
      <Group title={t("source")} names={hello.layers} counts={counts.layers} hidden={f.hiddenLayers} word={(name) => t(name as Key)} />
      <Group title={t("domain")} names={hello.domains} counts={counts.domains} hidden={f.hiddenDomains} />
      <Group title={t("statusWord")} names={hello.statuses} counts={counts.statuses} hidden={f.hiddenStatuses} />
    </section>
  );
}

function Layers() {
  return (
    <details class="panel">
      <summary>{t("layers")}</summary>
      <div class="columns">
        {f.MAP_LAYERS.map((name) => (
          <label key={name} class="check">
            <input
              type="checkbox"
              checked={f.mapLayers.value.has(name)}
              onChange={() => (f.mapLayers.value = f.toggled(f.mapLayers.value, name))}
            />
            <span>{name}</span>
          </label>
        ))}
      </div>
    </details>
  );
}

function sum(counted: Record<string, number>): number {
  return Object.values(counted).reduce((a, b) => a + b, 0);
}

function reasons(counted: Record<string, number>): string {
  return Object.entries(counted)
    .map(([reason, n]) => `${reason}: ${n}`)
    .join("\n");
}

function Feed({ feed }: { feed: FeedLight }) {
  const refused = sum(feed.refused);
  return (
    <tr title={`${feed.format}${feed.note ? `: ${feed.note}` : ""}\n${amount(feed.reports)} reports`}>
      <td>
        <Light state={feed.state} />
      </td>
      <th scope="row">{feed.name}</th>
      <td class="num">{age(feed.last_report_age_s)}</td>
      <td class="num">{feed.reports_per_s.toFixed(0)}/s</td>
      <td class={`num ${refused ? "refused" : ""}`} title={reasons(feed.refused)}>
        {refused ? `✕${amount(refused)}` : ""}
      </td>
    </tr>
  );
}

function Link({ link }: { link: LinkLight }) {
  const rejected = sum(link.rejected);
  return (
    <tr title={`epoch ${link.epoch}, received ${link.received}, sent ${link.sent}${link.note ? `\n${link.note}` : ""}\n${reasons(link.rejected)}`}>
      <td>
        <Light state={link.state} />
      </td>
      <th scope="row">{link.lane}</th>
      <td class="num">{age(link.last_heard_age_s)}</td>
      <td class="num">{link.lag > 0 ? `+${amount(link.lag)}` : age(link.last_receipt_age_s)}</td>
      <td class={`num ${rejected ? "refused" : ""}`}>{rejected ? `✕${amount(rejected)}` : ""}</td>
    </tr>
  );
}

function Partner({ nation, links }: { nation: string; links: LinkLight[] }) {
  return (
    <>
      <table class="lights" data-testid={`link-${nation}`}>
        <caption>
          <Badge nation={nation} /> {nation} <small>heard · receipt / lag</small>
        </caption>
        <tbody>
          {links.map((link) => (
            <Link key={link.lane} link={link} />
          ))}
        </tbody>
      </table>
      <LinkFigures nation={nation} links={links} />
    </>
  );
}

function Lights() {
  const status = s.status.value;
  const hello = s.hello.value;
  if (!status || !hello) return null;
  return (
    <section class="panel">
      <h2>{t("feeds")}</h2>
      <table class="lights" data-testid="feeds">
        <tbody>
          {status.feeds.map((feed) => (
            <Feed key={feed.name} feed={feed} />
          ))}
        </tbody>
      </table>
      <Sensors sensors={status.sensors} />
      <h2>{t("links")}</h2>
      {hello.partners.map((nation) => (
        <Partner key={nation} nation={nation} links={status.links.filter((link) => link.nation === nation)} />
      ))}
    </section>
  );
}

export function Left() {
  return (
    <aside class="left" aria-label={t("filters")}>
      <Filters />
      <Layers />
      <Lights />
    </aside>
  );
}

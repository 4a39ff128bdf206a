// What `trilat links` says of each lane with one partner, in the page: figures by lane, and what was rejected and why.
import type { LinkLight } from "../protocol";
import { t } from "./strings";
import { age, amount } from "./words";

function lag(link: LinkLight): string {
  return link.lag > 0 ? `${amount(link.lag)} · ${age(link.lag_s)}` : "0";
}

function troubles(link: LinkLight): string {
  const counted: Record<string, number> = { ...link.rejected, lost: link.lost, forks: link.forks, aside: link.kept_aside };
  const told = Object.entries(counted)
    .filter(([, n]) => n > 0)
    .map(([reason, n]) => `${reason} ${amount(n)}`);
  return [...told, link.note].filter(Boolean).join(", ");
}

/** Every lane's figures, folded away until somebody asks. */
export function LinkFigures({ nation, links }: { nation: string; links: LinkLight[] }) {
  const words = t("linkWords").split("|");
  return (
    <details class="link-figures" data-testid={`figures-${nation}`}>
      <summary>{t("linkFigures")}</summary>
      {links.map((link) => (
        <dl key={link.lane} data-lane={link.lane}>
          <div>
            <dt>{link.lane}</dt>
            <dd>{link.state}</dd>
          </div>
          <div>
            <dt>{words[0]}</dt>
            <dd>{age(link.last_heard_age_s)}</dd>
          </div>
          <div>
            <dt>{words[1]}</dt>
            <dd>{lag(link)}</dd>
          </div>
          <div>
            <dt>{words[2]}</dt>
            <dd>{age(link.last_receipt_age_s)}</dd>
          </div>
          <div>
            <dt>{words[3]}</dt>
            <dd>
              {link.epoch} · <code>{link.head || "—"}</code>
            </dd>
          </div>
          <div>
            <dt>{words[4]}</dt>
            <dd>{troubles(link) || "0"}</dd>
          </div>
        </dl>
      ))}
    </details>
  );
}

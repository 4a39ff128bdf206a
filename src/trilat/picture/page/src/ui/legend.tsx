// The legend: frames by affiliation, nations by colour and shape, ages by fading.
import { useEffect, useRef } from "preact/hooks";
import { drawSymbol, symbolCode } from "../map/symbols";
import * as s from "../state";
import { Badge } from "./badge";
import { t } from "./strings";

const KINDS = [
  ["neutral", "air", true, "identifies itself, air"],
  ["neutral", "sea", true, "identifies itself, sea"],
  ["unknown", "air", false, "unknown, air"],
  ["unknown", "sea", false, "unknown, sea"],
  ["unknown", "missile", false, "unknown, missile"],
  ["pending", "air", false, "tentative"],
] as const;

function Symbol({ affiliation, domain, identified }: { affiliation: string; domain: string; identified: boolean }) {
  const box = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const code = symbolCode(affiliation, domain, affiliation === "pending", identified);
    box.current?.replaceChildren(drawSymbol(affiliation, code, 15).asDOM());
  }, [affiliation, domain, identified]);
  return <span class="symbol" ref={box} />;
}

export function Legend() {
  return (
    <section class="panel legend">
      <h2>{t("legend")}</h2>
      <ul>
        {KINDS.map(([affiliation, domain, identified, words]) => (
          <li key={words}>
            <Symbol affiliation={affiliation} domain={domain} identified={identified} />
            {words}
          </li>
        ))}
        {(s.hello.value?.nations ?? []).map((nation) => (
          <li key={nation}>
            <span class="symbol">
              <Badge nation={nation} />
            </span>
            {nation}
          </li>
        ))}
        <li>
          <span class="symbol">?</span>no report for twice the stale age
        </li>
        <li>
          <span class="symbol dashed" />
          dashed frame: not seen lately, or not confirmed
        </li>
      </ul>
    </section>
  );
}

import { render } from "preact";
import { App } from "./app";
import { exposeProbe } from "./probe";
import * as s from "./state";
import "./styles/base.css";
import "./styles/panels.css";
import "./styles/people.css";
import "./styles/release.css";
import "./styles/warnings.css";
import { tab } from "./ui/bottom";
import { select, start, tickClock } from "./wire";

const CLOCK_MS = 500;

/** Keys that work when no field has the focus: / finds, l t w choose the tab, Escape lets go of the selection. */
function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.key === "Escape" && !s.dialog.value) select(0);
  const writing = target.matches("input:not([type=checkbox]), textarea, select");
  if (event.ctrlKey || event.metaKey || event.altKey || writing || s.dialog.value) return;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search")?.focus();
  } else if (event.key === "l") tab.value = "log";
  else if (event.key === "t") tab.value = "table";
  else if (event.key === "w") tab.value = "warnings";
}

const root = document.getElementById("app");
if (root) render(<App />, root);
exposeProbe();
addEventListener("keydown", onKey);
setInterval(tickClock, CLOCK_MS);
start();

// The latencies of all conversations, asked of the edge every other second while somebody looks.

import { fillHops, renderLegend, renderSlow, renderSummary, renderTurn } from "./latency.js";
import { bindTheme, loadPreferences } from "./settings.js";

const EVERY_MS = 2000;
const $ = (id) => document.getElementById(id);
let shown = "";

function show(view) {
  $("figures").hidden = view.total === null;
  if (view.total === null) {
    $("status").textContent = "No turn has been measured since this edge started.";
    return;
  }
  const asOf = new Date(view.at * 1000).toLocaleTimeString();
  $("status").textContent = `as of ${asOf}`;
  const turns = JSON.stringify([view.total, view.slowest]);
  if (turns === shown) return; // what is open stays open, and what is read is not moved
  shown = turns;
  const scale = 1.04 * Math.max(view.p95.total_ms, view.target_ms);
  $("summary").replaceChildren(...renderSummary(view));
  $("turns").replaceChildren(
    renderTurn("median", view.median, scale, view.target_ms),
    renderTurn("95th of 100", view.p95, scale, view.target_ms),
  );
  $("legend").replaceChildren(...renderLegend(view.hops));
  fillHops($("hops"), view);
  const open = new Set([...$("slowest").children].filter((item) => item.querySelector("details").open).map((item) => item.dataset.turn));
  $("slowest").replaceChildren(
    ...view.slowest.map((turn) => {
      const item = renderSlow(turn, view.total.max);
      item.dataset.turn = `${turn.at}/${turn.total_ms}`;
      item.querySelector("details").open = open.has(item.dataset.turn);
      return item;
    }),
  );
}

async function ask() {
  try {
    const reply = await fetch("v1/latency", { cache: "no-store" });
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    show(await reply.json());
  } catch (error) {
    $("status").textContent = `The edge does not answer (${error.message}); asking again.`;
  }
}

async function follow() {
  for (;;) {
    if (!document.hidden) await ask();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

const preferences = loadPreferences();
bindTheme($("themeButton"), preferences, () => {});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) ask();
});
follow();

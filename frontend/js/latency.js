// What the edge says of the last turns, as elements. No state: the same figures give the same elements.

import { OWNERS, element, renderWaterfall, seconds } from "./waterfall.js";

function milliseconds(ms) {
  return ms >= 10 || ms === 0 ? `${Math.round(ms)}` : ms.toFixed(1);
}

function share(part, whole) {
  const percent = (100 * part) / whole;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** The figures of all turns, as pairs for a <dl>. */
export function renderSummary({ total, late, target_ms: targetMs }) {
  const figures = [
    ["median", seconds(total.p50)],
    ["95 of 100 within", seconds(total.p95)],
    ["99 of 100 within", seconds(total.p99)],
    ["slowest", seconds(total.max)],
    [`over ${targetMs / 1000} s`, share(late, total.count)],
    ["turns", String(total.count)],
  ];
  return figures.map(([name, figure]) => {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", figure));
    if (name.startsWith("over") && late > 0) pair.className = "late";
    return pair;
  });
}

/** One turn as a bar to a common scale of `scaleMs`. */
export function renderTurn(name, turn, scaleMs, targetMs) {
  const row = element("div", "whole");
  const track = element("div", "track");
  track.style.setProperty("--target", targetMs / scaleMs);
  track.role = "img";
  track.ariaLabel = turn.parts.map((part) => `${part.name} ${milliseconds(part.ms)} ms`).join(", ");
  const bar = element("span", "bar");
  bar.style.setProperty("--width", turn.total_ms / scaleMs);
  for (const { name: hop, owner, ms } of turn.parts) {
    if (ms <= 0) continue;
    const segment = element("span", "segment");
    segment.dataset.owner = owner;
    segment.title = `${hop}: ${milliseconds(ms)} ms (${OWNERS[owner] ?? owner})`;
    segment.style.setProperty("--share", ms / turn.total_ms);
    bar.append(segment);
  }
  track.append(bar);
  row.append(element("span", "whole-name", `${name}, ${seconds(turn.total_ms)}`), track);
  return row;
}

/** Whose the colours are: the owners of the hops, each once. */
export function renderLegend(hops) {
  return [...new Set(hops.map((hop) => hop.owner))].map((owner) => {
    const item = element("li");
    const colour = element("i");
    colour.dataset.owner = owner;
    const names = hops.filter((hop) => hop.owner === owner).map((hop) => hop.name);
    item.append(colour, `${OWNERS[owner] ?? owner}: ${names.join(", ")}`);
    return item;
  });
}

/** The rows of the table of hops. */
export function fillHops(table, { hops, total }) {
  const titles = ["hop", "whose", "p50", "p95", "p99", "most", "was longest in", ""];
  const classes = ["", "owner", "number", "number", "number", "number", "number", "reach"];
  const head = element("thead");
  const line = element("tr");
  titles.forEach((title, place) => {
    const cell = element("th", classes[place], title);
    cell.scope = "col";
    if (!title) cell.ariaHidden = "true";
    line.append(cell);
  });
  head.append(line);
  const longest = Math.max(...hops.map((hop) => hop.spread.p95), 1);
  const body = element("tbody");
  const row = (name, owner, spread, dominated) => {
    const made = element("tr");
    const header = element("th", "", name);
    header.scope = "row";
    made.append(header, element("td", "owner", owner));
    for (const ms of [spread.p50, spread.p95, spread.p99, spread.max]) made.append(element("td", "number", `${milliseconds(ms)} ms`));
    made.append(element("td", "number", dominated));
    return made;
  };
  for (const { name, owner, spread, dominated } of hops) {
    const made = row(name, OWNERS[owner] ?? owner, spread, share(dominated, total.count));
    const cell = element("td", "reach");
    const bar = element("span", "reach-bar");
    bar.dataset.owner = owner;
    bar.style.setProperty("--p95", Math.max(0, spread.p95) / longest);
    bar.style.setProperty("--p50", spread.p95 > 0 ? Math.max(0, spread.p50) / spread.p95 : 0);
    cell.ariaHidden = "true";
    cell.append(bar);
    made.append(cell);
    body.append(made);
  }
  const foot = element("tfoot");
  foot.append(row("together", "", total, ""));
  foot.rows[0].append(element("td", "reach"));
  table.replaceChildren(element("caption", "hidden", "Time of each hop over the last turns"), head, body, foot);
}

/** One of the slowest turns, with its hops behind it. Bars are to the scale of the slowest, `scaleMs`. */
export function renderSlow(turn, scaleMs) {
  const item = element("li");
  item.style.setProperty("--width", turn.total_ms / scaleMs);
  const when = new Date(turn.at * 1000).toLocaleTimeString();
  const details = renderWaterfall(turn, `${seconds(turn.total_ms)}, longest: ${turn.slowest}`);
  details.append(element("p", "about", `${turn.spoken ? "spoken" : "typed"}, ${when}${turn.trace_id ? `, trace ${turn.trace_id}` : ""}`));
  item.append(details);
  return item;
}

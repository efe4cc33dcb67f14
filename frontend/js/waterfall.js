// Where the time of a turn went: one bar per answer, its table behind it, and the percentiles over the last turns.

export const OWNERS = {
  setting: "your pause setting",
  recognition: "recognition",
  language: "language model",
  synthesis: "voice",
  parley: "Parley",
  network: "network",
  player: "player",
};
const MAX_KEPT = 200;

export function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function tableOf(parts, totalMs) {
  const table = element("table");
  table.append(element("caption", "hidden", "Parts of the time to the first sound"));
  const head = table.createTHead().insertRow();
  for (const title of ["Part", "Owner", "Time", ""]) {
    const cell = element("th", "", title);
    cell.scope = "col";
    if (title === "") cell.ariaHidden = "true";
    head.append(cell);
  }
  const body = table.createTBody();
  let before = 0;
  for (const { name, owner, ms } of parts) {
    const row = body.insertRow();
    const header = element("th", "", name);
    header.scope = "row";
    row.append(header);
    row.insertCell().textContent = OWNERS[owner] ?? owner;
    row.insertCell().textContent = `${Math.round(ms)} ms`;
    const lane = row.insertCell();
    lane.ariaHidden = "true";
    const bar = element("span", "lane");
    bar.dataset.owner = owner;
    bar.style.setProperty("--from", before / totalMs);
    bar.style.setProperty("--share", Math.max(0, ms) / totalMs);
    lane.append(bar);
    before += ms;
  }
  const total = table.createTFoot().insertRow();
  const totalHeader = element("th", "", "together");
  totalHeader.scope = "row";
  total.append(totalHeader, element("td"));
  total.insertCell().textContent = `${Math.round(totalMs)} ms`;
  total.insertCell();
  return table;
}

/** The bar and its table for the `turn_metrics` of one turn, as a <details> element. `caption`: what stands beside the bar. */
export function renderWaterfall({ total_ms: totalMs, spoken, parts = [], prepared_ms: preparedMs = 0 }, caption) {
  const details = element("details", "times");
  const summary = element("summary");
  const bar = element("span", "bar");
  bar.ariaHidden = "true";
  for (const { name, owner, ms } of parts) {
    if (ms <= 0) continue;
    const segment = element("span", "segment");
    segment.dataset.owner = owner;
    segment.title = `${name}: ${Math.round(ms)} ms (${OWNERS[owner] ?? owner})`;
    segment.style.setProperty("--share", ms / totalMs);
    bar.append(segment);
  }
  summary.append(
    bar,
    element("span", "figure-text", caption ?? `${seconds(totalMs)} ${spoken ? "after you stopped" : "after you sent it"}`),
    element("span", "hidden", ": where the time went"),
  );
  if (parts.length > 0) details.append(summary, tableOf(parts, totalMs));
  else details.append(summary);
  if (preparedMs >= 1) details.append(element("p", "hint", `${Math.round(preparedMs)} ms were won by preparing the answer in your pause.`));
  return details;
}

/** The waits of this conversation and their percentiles. */
export function createLatencies() {
  let turns = [];

  function percentile(sorted, share) {
    return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
  }

  return {
    add(totalMs, spoken) {
      turns = [...turns, { totalMs, spoken }].slice(-MAX_KEPT);
    },
    clear() {
      turns = [];
    },
    all: () => turns.map(({ totalMs }) => totalMs),
    /**
     * {count, spoken, p50, p95} in ms over the last `window` spoken turns, or null before the first turn. A typed turn
     * has no end of speech to wait for: such turns count only where none was spoken.
     */
    over(window) {
      const spoken = turns.some((turn) => turn.spoken);
      const waits = turns.filter((turn) => turn.spoken === spoken).map(({ totalMs }) => totalMs);
      const sorted = waits.slice(-window).sort((a, b) => a - b);
      if (sorted.length === 0) return null;
      return { count: sorted.length, spoken, p50: percentile(sorted, 0.5), p95: percentile(sorted, 0.95) };
    },
  };
}

const WINDOWS = [20, 50];

/** The line above the conversation: percentiles of `latencies`' spoken turns, or typed ones without any, over a window that `button` changes. */
export function createLatencyLine({ line, text, button }, latencies) {
  let window = WINDOWS[0];

  function show() {
    const figures = latencies.over(window);
    line.hidden = figures === null;
    if (!figures) return;
    text.textContent = `p50 ${seconds(figures.p50)} · p95 ${seconds(figures.p95)}`;
    const kind = figures.spoken ? "spoken" : "typed";
    button.textContent = `last ${figures.count} of ${window} ${kind}`;
    button.ariaLabel = `Time to the first sound over the last ${window} ${kind} turns; change the number of turns`;
  }

  button.addEventListener("click", () => {
    window = WINDOWS.find((each) => each !== window);
    show();
  });
  return { show };
}

// For whoever tests or debugs the page: `window.parley`, read only; and the conversation as a file.

/** Makes each reader a property of `window.parley`; what takes time or makes something stays a function. */
export function exposeForInspection({ playedStream, ...readers }) {
  const view = {};
  for (const [name, read] of Object.entries(readers)) Object.defineProperty(view, name, { get: read, enumerable: true });
  Object.defineProperty(view, "playedStream", { value: playedStream, enumerable: true });
  Object.defineProperty(window, "parley", { value: Object.freeze(view) });
}

/** Offers the kept history as a JSON download. */
export function saveAsFile({ type, sequence, ...history }) {
  const blob = new Blob([JSON.stringify(history, null, 2)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `conversation-${new Date(history.exported_at * 1000).toISOString().slice(0, 19).replaceAll(":", "-")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

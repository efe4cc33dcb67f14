// What the page has to say about itself: passing notices, the card for what stops a conversation, the banner.

const SHOWN_MS = 9000;
const MAX_SHOWN = 3;
const WITHOUT_MODEL = {
  echo: "Answers are an echo.",
  template: "Answers are templates.",
};

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/**
 * Notices in `region`. A small screen cuts a long one short; a tap shows the whole. `show(key, text)` replaces an
 * earlier one of the same key; it goes after a while, with `lasting` only by `clear(key)` or its own button.
 */
export function createNotices(region) {
  const shown = new Map();

  function clear(key) {
    const notice = shown.get(key);
    if (!notice) return;
    clearTimeout(notice.timer);
    notice.item.remove();
    shown.delete(key);
  }

  function show(key, text, { lasting = false, kind = "info" } = {}) {
    if (shown.get(key)?.text === text && lasting) return;
    clear(key);
    const item = element("div", `notice notice-${kind}`, "");
    const close = element("button", "quiet", "Dismiss");
    close.type = "button";
    close.ariaLabel = `Dismiss: ${text}`;
    close.addEventListener("click", () => clear(key));
    item.addEventListener("click", () => item.classList.toggle("whole"));
    item.append(element("p", "", text), close);
    region.append(item);
    const timer = lasting ? 0 : setTimeout(() => clear(key), SHOWN_MS);
    shown.set(key, { item, text, timer });
    const passing = [...shown].filter(([, notice]) => notice.timer !== 0);
    if (passing.length > MAX_SHOWN) clear(passing[0][0]);
  }

  return { show, clear };
}

const MENDED = {
  stt_update: ["recognition_unavailable", "unheard"],
  audio_stream_start: ["synthesis_unavailable"],
  settings_changed: ["invalid_setting"],
  // Text may be that of a replacement; but with the next question the last one's trouble is out of date.
  thinking: ["language_failed", "language_timeout"],
};

/** The keys of notices that are no longer true after this event of the server. */
export function mendedBy({ type, state }) {
  return MENDED[type === "conversation_state" ? state : type] ?? [];
}

/** The card that says why there is no conversation just now, and what to do. */
export function createCard({ card, title, text, action }) {
  let act = null;
  action.addEventListener("click", () => act?.());

  function show({ heading, body, button, onAction }) {
    // Only what changed is written, so that a countdown is not read out every second.
    if (title.textContent !== heading) title.textContent = heading;
    text.textContent = body;
    action.textContent = button;
    act = onAction;
    card.hidden = false;
  }

  return {
    show,
    hide() {
      card.hidden = true;
    },
  };
}

/** Says in a line who writes the answers while that is not a language model, and behind it why. Dismissed once per reason. */
export function createSourceBanner({ banner, short, text, dismiss }, storage = sessionStorage) {
  const key = "parley.source.dismissed";
  let current = "";
  dismiss.addEventListener("click", () => {
    storage.setItem(key, current);
    banner.hidden = true;
  });

  return {
    show({ mode, detail }) {
      current = `${mode}: ${detail}`;
      short.textContent = `${WITHOUT_MODEL[mode] ?? ""}${detail ? " Why?" : ""}`;
      text.textContent = detail;
      banner.hidden = mode === "llm" || storage.getItem(key) === current;
    },
  };
}

// Typing: the message field, and the openings that are offered before the first turn.

import { isVisible } from "./protocol.js";

const OPENINGS = ["Hello, how are you today?", "I feel a little tired this morning.", "I would like to go to the sea."];
const MAX_HEIGHT_PX = 160;

/** `onMessage(text)` returns whether the message went out; only then the field is emptied. */
export function createComposer({ form, input, openings, onMessage }) {
  function fit() {
    input.style.setProperty("height", "auto");
    input.style.setProperty("height", `${Math.min(input.scrollHeight, MAX_HEIGHT_PX)}px`);
  }

  function submit() {
    const text = input.value.trim();
    if (!isVisible(text) || !onMessage(text)) return;
    input.value = "";
    fit();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  input.addEventListener("input", fit);
  input.addEventListener("keydown", (event) => {
    // While an input method composes a character, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  for (const text of OPENINGS) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => onMessage(text));
    openings.append(button);
  }
}

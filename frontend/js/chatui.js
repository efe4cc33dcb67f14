// The conversation as it is read: what the user says while it is recognised, the answers as they are written, and
// both as history keeps them.

import { paint } from "./characters.js";
import { createFollowing } from "./following.js";
import { renderTotal, renderWaterfall } from "./waterfall.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * The conversation in `list` (an <ol>) inside `scroller`. `cast.find(id)` names a character; `announce(text)` tells it
 * to a screen reader, which hears whole utterances only: tokens would be chatter, and spoken answers speak for
 * themselves.
 */
export function createChat({ list, scroller, cast, announce }) {
  // Lines of the user that no committed turn has taken yet, oldest first.
  let open = [];
  const answers = new Map();
  let dots = null;
  const { keepEnd, toEnd } = createFollowing(scroller);

  function line(kind, who) {
    const item = element("li", `line line-${kind}`);
    const said = element("p", "said");
    item.append(element("p", "who", who), said);
    return { item, said };
  }

  function userLine(utterance = null) {
    const made = { ...line("user", "You"), utterance, generation: null };
    open.push(made);
    list.append(made.item);
    return made;
  }

  function answerLine(characterId) {
    const character = cast.find(characterId);
    const made = line("answer", character.name);
    paint(made.item, character);
    list.append(made.item);
    return made;
  }

  function findUtterance(utterance) {
    return open.find((entry) => entry.utterance === utterance);
  }

  /** A partial transcript: it replaces the one before; its last part may still change. */
  function userPartial({ utterance, text, committed }) {
    keepEnd(() => {
      const entry = findUtterance(utterance) ?? userLine(utterance);
      entry.item.classList.add("live");
      entry.said.replaceChildren(
        element("span", "firm", text.slice(0, committed)),
        element("span", "tentative", text.slice(committed)),
      );
    });
  }

  /** The final transcript. False when nothing was understood: then no line remains. */
  function userFinal({ utterance, text }) {
    let entry = findUtterance(utterance);
    if (text === "") {
      entry?.item.remove();
      open = open.filter((each) => each !== entry);
      return false;
    }
    keepEnd(() => {
      entry ??= userLine(utterance);
      entry.item.classList.remove("live");
      entry.said.textContent = text;
    });
    announce(`You said: ${text}`);
    return true;
  }

  function userTyped(text) {
    userLine().said.textContent = text;
    // Whoever sends something wants to see it, wherever they were reading.
    toEnd();
  }

  function answerStart({ generation, character }) {
    keepEnd(() => {
      const made = answerLine(character);
      made.item.classList.add("live");
      made.sounded = false;
      answers.set(generation, made);
      for (const entry of open) entry.generation ??= generation;
    });
  }

  function answerChunk({ generation, text }) {
    const entry = answers.get(generation);
    if (entry) keepEnd(() => entry.said.append(text));
  }

  function answerSounds(generation) {
    const entry = answers.get(generation);
    if (entry) entry.sounded = true;
  }

  function answerStop({ generation, reason }) {
    const entry = answers.get(generation);
    if (!entry) return;
    entry.item.classList.remove("live");
    if (reason !== "withdrawn") return;
    // The user went on before anything was heard: the answer never happened.
    entry.item.remove();
    answers.delete(generation);
    for (const each of open) if (each.generation === generation) each.generation = null;
  }

  function mark(entry, text) {
    entry.item.append(element("p", "mark", text));
  }

  function showTurn(turn, entry, user) {
    if (user) user.said.textContent = turn.user;
    entry.item.classList.remove("live");
    entry.said.textContent = turn.assistant ?? "";
    entry.item.classList.toggle("cut", Boolean(turn.cut));
    if (turn.cut) mark(entry, turn.assistant ? "interrupted" : "interrupted before a word was heard");
    else if (!turn.assistant) mark(entry, "no answer");
  }

  /** The turn as history keeps it: it replaces what was shown while it happened. */
  function committed({ generation, turn }) {
    keepEnd(() => {
      const users = open.filter((entry) => entry.generation === generation);
      if (users.length === 0 && open.length > 0 && !answers.has(generation)) users.push(open[0]);
      open = open.filter((entry) => !users.includes(entry));
      for (const extra of users.slice(1)) extra.item.remove();
      const user = users[0] ?? pastUser(turn);
      const entry = answers.get(generation) ?? answerLine(turn.character ?? "");
      answers.set(generation, entry);
      showTurn(turn, entry, user);
      if (!entry.sounded && turn.assistant) announce(`${cast.find(turn.character ?? "").name}: ${turn.assistant}`);
    });
  }

  function pastUser(turn) {
    const user = line("user", "You");
    user.said.textContent = turn.user;
    list.append(user.item);
    return user;
  }

  function metrics(event) {
    const entry = answers.get(event.generation);
    if (!entry) return;
    keepEnd(() => {
      entry.item.querySelector(".times")?.remove();
      entry.item.append(renderWaterfall(event));
    });
  }

  /** Everything anew, from what history holds; lines that wait for their answer stay. */
  function showHistory(turns) {
    const waiting = open.map(({ item }) => item);
    list.replaceChildren();
    answers.clear();
    for (const turn of turns) {
      const user = pastUser(turn);
      const entry = answerLine(turn.character ?? "");
      showTurn(turn, entry, user);
      if (turn.first_audio_ms) entry.item.append(renderTotal(turn.first_audio_ms));
    }
    list.append(...waiting);
    for (const entry of open) entry.generation = null;
    toEnd();
  }

  function clear() {
    open = [];
    answers.clear();
    list.replaceChildren();
  }

  /** A line across the conversation, such as where a new session began. */
  function divide(text) {
    open = [];
    answers.clear();
    list.append(element("li", "divider", text));
    toEnd();
  }

  function greet(character) {
    if (!character.greeting) return;
    const made = answerLine(character.id);
    made.item.classList.add("greeting");
    made.said.textContent = character.greeting;
  }

  /** Dots while an answer is being thought of. */
  function thinking(on, character) {
    if (!on || !character) {
      dots?.item.remove();
      dots = null;
    } else if (!dots) {
      keepEnd(() => {
        dots = answerLine(character.id);
        dots.item.classList.add("dots");
        dots.item.ariaHidden = "true";
        for (let n = 0; n < 3; n += 1) dots.said.append(element("i"));
      });
    }
  }

  return {
    userPartial, userFinal, userTyped, answerStart, answerChunk, answerSounds, answerStop,
    committed, metrics, showHistory, clear, divide, greet, thinking,
    isEmpty: () => list.querySelector(".line:not(.greeting)") === null,
  };
}

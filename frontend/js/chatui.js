// The conversation as it is read: what the user says while it is recognised, the answers as they are written, and
// both as history keeps them.

import { paint } from "./characters.js";
import { createFollowing } from "./following.js";
import { parse, toNodes } from "./markdown.js";
import { renderWaterfall } from "./waterfall.js";

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * The conversation in `list` (an <ol>) inside `scroller`. `cast.find(id)` names a character; `announce(text)` tells it
 * to a screen reader, which hears whole utterances only: tokens would be chatter, and spoken answers speak for
 * themselves. `sendAgain(text)` sends a message that the server did not take; false: it did not go out.
 */
export function createChat({ list, scroller, cast, announce, sendAgain }) {
  // Lines of the user that no committed turn has taken yet, oldest first.
  let open = [];
  // Typed lines that the server did not take.
  let unsent = [];
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
    const entry = userLine();
    entry.typed = text;
    entry.said.textContent = text;
    // Whoever sends something wants to see it, wherever they were reading.
    toEnd();
  }

  function markUnsent(entry) {
    open = open.filter((each) => each !== entry);
    unsent.push(entry);
    const again = element("button", "quiet", "Send again");
    again.type = "button";
    again.addEventListener("click", () => sendAgain(entry.typed) && removeUnsent(entry));
    const note = element("p", "mark", "not sent ");
    note.append(again);
    entry.item.classList.add("unsent");
    entry.item.append(note);
  }

  function removeUnsent(entry) {
    unsent = unsent.filter((each) => each !== entry);
    entry.item.remove();
  }

  /** The server did not take a typed message: it stays, and can be sent again. */
  function userRefused(text) {
    const entry = open.findLast(({ typed }) => typed === text);
    if (entry) keepEnd(() => markUnsent(entry));
  }

  /** What waits for an answer gets none, by the user's wish. */
  function userCancelled() {
    for (const entry of open) entry.cancelled = true;
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
    if (!entry) return;
    entry.text = (entry.text ?? "") + text;
    keepEnd(() => write(entry, entry.text, true));
  }

  /** `unfinished`: more of it comes, or would have come. */
  function write(entry, text, unfinished) {
    entry.said.replaceChildren(...toNodes(parse(text, { unfinished })));
  }

  function answerSounds(generation) {
    const entry = answers.get(generation);
    if (entry) entry.sounded = true;
  }

  function answerStop({ generation, reason }) {
    const entry = answers.get(generation);
    if (!entry) return;
    entry.item.classList.remove("live");
    entry.failed = reason === "failed";
    if (reason === "complete") write(entry, entry.text ?? "", false);
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
    write(entry, turn.assistant ?? "", Boolean(turn.cut));
    entry.item.classList.toggle("cut", Boolean(turn.cut));
    if (turn.cut && entry.failed) mark(entry, "broken off");
    else if (turn.cut) mark(entry, turn.assistant ? "interrupted" : "interrupted before a word was heard");
    else if (!turn.assistant) mark(entry, "no answer");
  }

  /** The turn as history keeps it: it replaces what was shown while it happened. */
  function committed({ generation, turn }) {
    keepEnd(() => {
      const users = open.filter((entry) => entry.generation === generation);
      if (users.length === 0 && open.length > 0 && !answers.has(generation)) users.push(open[0]);
      open = open.filter((entry) => !users.includes(entry));
      const user = takeLines(users, turn) ?? pastUser(turn, answers.get(generation)?.item);
      const entry = answers.get(generation) ?? answerLine(turn.character ?? "");
      answers.set(generation, entry);
      showTurn(turn, entry, user);
      if (!entry.sounded && turn.assistant) announce(`${cast.find(turn.character ?? "").name}: ${entry.said.textContent}`);
    });
  }

  /** The one line that is left of those that became the turn; what was typed and is not in it was not taken. */
  function takeLines(users, turn) {
    const isIn = ({ typed }) => turn.user.includes(typed);
    for (const entry of unsent.filter(isIn)) removeUnsent(entry);
    const missing = users.filter((entry) => entry.typed !== undefined && !isIn(entry));
    const [user, ...extras] = users.filter((entry) => !missing.includes(entry));
    for (const entry of missing) {
      if (entry.cancelled) entry.item.remove();
      else markUnsent(entry);
    }
    for (const extra of extras) extra.item.remove();
    return user;
  }

  function pastUser(turn, before = null) {
    const user = line("user", "You");
    user.said.textContent = turn.user;
    list.insertBefore(user.item, before);
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

  /** Everything anew, from what history holds; lines that wait for their answer and such as were not taken stay. */
  function showHistory(turns) {
    open = open.filter(({ typed }) => typed === undefined || !turns.some(({ user }) => user.includes(typed)));
    const waiting = [...unsent, ...open].map(({ item }) => item);
    list.replaceChildren();
    answers.clear();
    for (const turn of turns) {
      const user = pastUser(turn);
      const entry = answerLine(turn.character ?? "");
      showTurn(turn, entry, user);
      if (turn.first_audio_ms) entry.item.append(renderWaterfall({ ...turn, total_ms: turn.first_audio_ms }));
    }
    list.append(...waiting);
    for (const entry of open) entry.generation = null;
    toEnd();
  }

  function clear() {
    open = [];
    unsent = [];
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
    userPartial, userFinal, userTyped, userRefused, userCancelled, answerStart, answerChunk, answerSounds, answerStop,
    committed, metrics, showHistory, clear, divide, greet, thinking,
    isEmpty: () => list.querySelector(".line:not(.greeting)") === null,
  };
}

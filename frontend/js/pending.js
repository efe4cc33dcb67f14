// Typed messages of which nothing shows yet that the server has them: what a lost connection or worker may have
// swallowed. They are sent again after a loss, but rather once too seldom than twice.

const MAX_PENDING = 3;
// A message that brings a worker down must not bring down one after the other.
const MAX_SENDS = 3;
const QUIET = new Set(["idle", "listening"]);
const REFUSED_TEXT = new Set(["text_empty", "text_too_long"]);
const REFUSED = new Set([...REFUSED_TEXT, "rate_limited", "message_too_large"]);

export function createPending() {
  let messages = [];
  let state = "";
  // The message that went out last, until history has it: a refusal of a text is about this one.
  let latest = null;

  function dropAll() {
    messages = [];
  }

  function dropFound(turns) {
    const isFound = (command) => turns.some(({ user }) => user.includes(command.text));
    messages = messages.filter(({ command }) => !isFound(command));
    if (latest && isFound(latest)) latest = null;
  }

  function refuse(code) {
    const refused = messages.map(({ command }) => command);
    if (refused.length === 0 && latest && REFUSED_TEXT.has(code)) refused.push(latest);
    dropAll();
    latest = null;
    return refused;
  }

  /** A `user_message` went out for the first time. */
  function sent(command) {
    latest = command;
    messages = [...messages, { command, sends: 1 }].slice(-MAX_PENDING);
  }

  /** A `ready`; a fresh session has no part in what was said to another one. */
  function ready({ history }, fresh) {
    state = "";
    if (fresh) {
      dropAll();
      latest = null;
    } else dropFound(history);
  }

  /**
   * Any other event: from the moment the server thinks about something, it may be thinking about these. Gives the
   * commands that it refuses, as far as can be told: a limit may have been passed by another one.
   */
  function take(event) {
    if (event.type === "conversation_state") {
      state = event.state;
      if (state === "thinking" || state === "answering") dropAll();
    }
    if (event.type === "turn_committed") dropFound([event.turn]);
    if (event.type === "text_stream_start" || event.type === "reset_done") dropAll();
    return event.type === "error" && REFUSED.has(event.code) ? refuse(event.code) : [];
  }

  /** The commands to send again, once all that a `ready` brings has been taken. None while the server is busy. */
  function sendAgain() {
    if (!QUIET.has(state)) return [];
    messages = messages
      .filter(({ sends }) => sends < MAX_SENDS)
      .map(({ command, sends }) => ({ command, sends: sends + 1 }));
    return messages.map(({ command }) => command);
  }

  return { sent, ready, take, sendAgain, dropAll };
}

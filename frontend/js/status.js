// What the page says it is doing, in words, from what connection, microphone and player know.

/** Why there is no connection just now: {heading, body, button?} for the card, or a short line for the state. */
export const STOPPED = Object.freeze({
  session_superseded: {
    heading: "This conversation is open elsewhere",
    body: "Another tab or device has taken it over. You can take it back; it will stop there.",
    button: "Use it here",
  },
  session_idle: {
    heading: "Still there?",
    body: "Nothing was said for a long while, so the conversation was put aside. It goes on where it was.",
    button: "Go on",
  },
  unsupported_protocol: {
    heading: "This page is out of date",
    body: "The server has been updated since the page was loaded.",
    button: "Load it again",
  },
  message_too_large: {
    heading: "That was too much at once",
    body: "The server refused a message of that size and ended the connection.",
    button: "Connect again",
  },
});

const OFFLINE = "This device is offline; the page reconnects when it is back.";
const LOST = {
  "": "The connection was lost. Reconnecting…",
  server_draining: "The server is being replaced; the conversation moves to another one.",
  slow_client: "The connection is too slow for the conversation. Reconnecting…",
  no_worker: "The service is starting or down: no dialogue worker is running. Trying again…",
  hello_timeout: "The connection was too slow to begin. Reconnecting…",
  rate_limited: "The server saw too many messages at once. Reconnecting…",
  too_many_connections: "There are too many connections from this address. Trying again…",
};
const NO_ANSWER =
  "The server does not answer. It may be down, or something in between may not let WebSockets through. Trying again…";
const LONG_ATTEMPTS = 4;

/** The sentence for a connection that is being retried. */
export function explainLoss({ code, attempt }, { everReady, online }) {
  if (!online) return OFFLINE;
  if (code === "" && (attempt >= LONG_ATTEMPTS || !everReady)) return NO_ANSWER;
  return LOST[code] ?? LOST[""];
}

const RECONNECTING = ["reconnecting", "Reconnecting…"];

/**
 * The state's name and its words. `connection` is a phase, `waitingFor` the error code
 * behind it, `silent` whether nothing comes back after a message, `server` the last conversation_state or "moving"
 * between two workers, `listening` the state of the listening machine, `sounding` whether an answer is heard just now.
 */
export function describe({ connection, waitingFor, everReady, silent, server, listening, opening, sounding, name }) {
  if (connection === "stopped") return ["stopped", "Not connected"];
  if (waitingFor === "at_capacity") return ["waiting", "Waiting for a place…"];
  if (connection !== "ready") return everReady ? RECONNECTING : ["connecting", "Connecting…"];
  if (server === "moving") return RECONNECTING;
  if (silent) return ["silent", "No answer: the network or the server may be gone"];
  if (opening) return ["opening", "Waiting for the microphone…"];
  // In full duplex the gate is open while an answer sounds, and a voice over it holds it.
  const over = listening.full && listening.open;
  if (over && server === "user_speaking") return ["hearing", "Hearing you…"];
  if (sounding || server === "answering") return ["answering", `${name} is speaking${over ? "; talk to interrupt" : ""}`];
  if (server === "thinking") return ["thinking", `${name} is thinking…`];
  // The short tail between the last sample and listening again belongs to the answer.
  if (listening.wanted && !listening.full && listening.answers.length > 0) return ["answering", `${name} is speaking`];
  if (listening.open && server === "user_speaking") return ["hearing", "Hearing you…"];
  if (listening.open) return ["listening", "Listening: just talk"];
  return ["idle", "Ready when you are"];
}

// The one WebSocket: hello, sequence numbers, resuming after a loss, and an explanation for each way to end.

import { CLOSE_CODES, HEADER_BYTES, PROTOCOL, nowMs, packAudio, unpackHeader } from "./protocol.js";

const STORAGE_KEY = "parley.token";
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 8000;
const CAPACITY_DELAY_MS = 5000;
// A connection that held this long was a good one: the next loss starts with the shortest delay again.
const STEADY_MS = 3000;
const PING_MS = 15000;
const PONG_WAIT_MS = 8000;
// A server that has a message thinks about it at once; a ping with it is answered even between two workers.
const SILENCE_MS = 3000;
// The server looks for another worker for 20 s, and answers nothing meanwhile.
const MOVE_WAIT_MS = 25000;
// Of so many pongs the quickest tells best how far the clocks are apart.
const CLOCK_PONGS = 8;
// From the first packet to `ready`: neither a handshake nor a hello that nobody answers ends by itself.
const READY_WAIT_MS = 15000;
// About two seconds of speech; beyond that the line is too slow, and late audio is of no use to anyone.
const MAX_UPLINK_BUFFER_BYTES = 64 * 1024;

const NO_SESSION = Object.freeze({ token: "", lastSequence: 0 });
/** Endings after which connecting again by itself would be wrong, and what they leave of the session. */
const FINAL_CODES = new Set(["session_superseded", "session_idle", "unsupported_protocol", "message_too_large"]);
const FORGETTING_CODES = new Set(["session_unknown", "token_invalid"]);

/**
 * Keeps one connection to `url`. `settings()` gives the settings of a new session. Calls
 *   on.event(event)              each JSON event but those of the connection itself
 *   on.audio(header, samples)    each answer frame, samples as Int16Array
 *   on.ready(event, fresh)       the session can be used; fresh: it is not the one from before
 *   on.caughtUp()                everything that a resumed session sends again has come
 *   on.silent(true|false)        a message was sent, and for SILENCE_MS nothing at all has come
 *   on.status({phase, code, retryAt, attempt})
 * where phase is connecting, ready, waiting (until retryAt, performance.now() ms) or stopped.
 */
export function createConnection({ url, client, settings, on, storage = sessionStorage, random = Math.random }) {
  // Only the token outlives the page: one that is loaded anew has seen nothing, and says so with a last_sequence of 0.
  let session = { ...NO_SESSION, token: storage.getItem(STORAGE_KEY) ?? "" };
  let socket = null;
  let phase = "connecting";
  let epoch = 0;
  let attempt = 0;
  let readyAt = 0;
  let retryTimer = 0;
  let pingTimer = 0;
  let pongTimer = 0;
  let readyTimer = 0;
  let silenceTimer = 0;
  let silent = false;
  let moving = false;
  let caughtUpAt = 0;
  let uplinkSequence = 0;
  let lastError = null;
  let resuming = false;
  let clocks = [];
  const counters = { connects: 0, resumes: 0, framesSent: 0, framesDropped: 0, framesReceived: 0, roundTripMs: null };

  function setPhase(next, details = {}) {
    phase = next;
    on.status({ phase, attempt, code: "", ...details });
  }

  function forget() {
    session = { ...NO_SESSION };
    storage.removeItem(STORAGE_KEY);
  }

  function connect() {
    clearTimeout(retryTimer);
    setPhase("connecting");
    lastError = null;
    const opened = new WebSocket(url);
    opened.binaryType = "arraybuffer";
    opened.onopen = () => hello(opened);
    opened.onmessage = ({ data }) => socket === opened && receive(data);
    opened.onclose = ({ code }) => socket === opened && closed(code);
    socket = opened;
    readyTimer = setTimeout(abandon, READY_WAIT_MS);
  }

  function hello(opened) {
    resuming = session.token !== "";
    if (!resuming) session = { ...NO_SESSION };
    const message = { type: "hello", protocol: PROTOCOL, client };
    if (resuming) Object.assign(message, { token: session.token, last_sequence: session.lastSequence });
    else message.settings = settings();
    opened.send(JSON.stringify(message));
  }

  function receive(data) {
    clearTimeout(pongTimer);
    pongTimer = 0;
    endSilence();
    if (typeof data === "string") receiveEvent(JSON.parse(data));
    else receiveAudio(data);
  }

  function receiveAudio(message) {
    const header = unpackHeader(message);
    if (!header || alreadySeen(header.sequence)) return;
    counters.framesReceived += 1;
    on.audio(header, new Int16Array(message, HEADER_BYTES, (message.byteLength - HEADER_BYTES) >> 1));
  }

  /** What a resume sends twice is taken once. Numbers count up; 0 is an event outside of the count. */
  function alreadySeen(sequence) {
    if (sequence === 0) return false;
    if (sequence <= session.lastSequence) return true;
    session.lastSequence = sequence;
    return false;
  }

  function receiveEvent(event) {
    if (event.type === "ready") {
      becomeReady(event);
      return;
    }
    if (event.type === "pong") {
      counters.roundTripMs = nowMs() - event.at_ms;
      // Without a number it is the edge's, whose clock is another one.
      if (event.sequence > 0) compareClocks(event.at_ms, event.server_ms, nowMs());
      // Without a number it is the edge that answers, while it looks for a worker, and not the session.
      if (caughtUpAt && event.at_ms >= caughtUpAt && event.sequence > 0) {
        caughtUpAt = 0;
        on.caughtUp();
      }
      return;
    }
    if (alreadySeen(event.sequence)) return;
    if (event.type === "error") lastError = event;
    if (event.code === "worker_lost") {
      moving = true;
      caughtUpAt = 0;
      expectMessage();
    }
    on.event(event);
  }

  /** The server's clock at the middle of the round trip; both ways are taken to be equally long. */
  function compareClocks(sentMs, serverMs, receivedMs) {
    clocks.push({ roundTripMs: receivedMs - sentMs, aheadMs: serverMs - (sentMs + receivedMs) / 2 });
    clocks = clocks.slice(-CLOCK_PONGS);
  }

  /** How far the server's clock is ahead of ours in ms, or null before the first pong. */
  function serverAheadMs() {
    const best = clocks.reduce((one, other) => (other.roundTripMs < one.roundTripMs ? other : one), clocks[0]);
    return best?.aheadMs ?? null;
  }

  function becomeReady(event) {
    const fresh = !event.resumed;
    if (fresh) session = { ...NO_SESSION, lastSequence: event.sequence };
    // What was missed follows with numbers below this event's own; only a resume with a gap starts from here.
    else if (!event.complete) session.lastSequence = event.sequence;
    session.token = event.token;
    epoch = event.epoch;
    counters.connects += 1;
    if (event.resumed) counters.resumes += 1;
    readyAt = performance.now();
    lastError = null;
    storage.setItem(STORAGE_KEY, session.token);
    clearTimeout(readyTimer);
    moving = false;
    schedulePing();
    setPhase("ready");
    on.ready(event, fresh);
    clocks = []; // another worker may hold the session now, with another clock
    const at_ms = nowMs();
    // Messages keep their order: what the session sends again is all there when this comes back.
    if (!fresh) caughtUpAt = at_ms;
    sendCommand({ type: "ping", at_ms });
  }

  function schedulePing() {
    clearTimeout(pingTimer);
    pingTimer = setTimeout(() => {
      if (!sendCommand({ type: "ping", at_ms: nowMs() })) return;
      expectMessage();
      schedulePing();
    }, PING_MS);
  }

  /** A half-open connection says nothing by itself; one that stays silent is given up. */
  function expectMessage() {
    pongTimer ||= setTimeout(abandon, moving ? MOVE_WAIT_MS : PONG_WAIT_MS);
  }

  function endSilence() {
    clearTimeout(silenceTimer);
    silenceTimer = 0;
    if (!silent) return;
    silent = false;
    on.silent(false);
  }

  function abandon() {
    const abandoned = socket;
    socket = null;
    abandoned.close();
    closed(1006);
  }

  function closed(closeCode) {
    socket = null;
    moving = false;
    caughtUpAt = 0;
    for (const timer of [pingTimer, pongTimer, readyTimer]) clearTimeout(timer);
    pongTimer = 0;
    endSilence();
    const code = CLOSE_CODES[closeCode] ?? (phase === "ready" ? "" : (lastError?.code ?? ""));
    if (phase === "ready" && performance.now() - readyAt > STEADY_MS) attempt = 0;
    if (FINAL_CODES.has(code)) {
      setPhase("stopped", { code });
      return;
    }
    if (FORGETTING_CODES.has(code)) {
      forget();
      if (resuming) on.event({ type: "session_lost", code });
    }
    const delay = retryDelay(code);
    attempt += 1;
    setPhase("waiting", { code, retryAt: performance.now() + delay });
    retryTimer = setTimeout(connect, delay);
  }

  function retryDelay(code) {
    const jitter = 0.5 + random() / 2;
    const backoff = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt) * jitter;
    if (lastError?.retry_after_ms) return lastError.retry_after_ms * (1 + random() / 4);
    return code === "at_capacity" ? CAPACITY_DELAY_MS * (1 + random() / 2) : backoff;
  }

  /** Connects now, whatever the plan was. `takeBack`: also after an ending that is not undone by itself. */
  function connectNow({ takeBack = false } = {}) {
    if (phase === "ready" || (phase === "connecting" && socket) || (phase === "stopped" && !takeBack)) return;
    connect();
  }

  /** False: the session is not there to take it. */
  function sendCommand(command) {
    if (phase !== "ready" || socket?.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(command));
    return true;
  }

  /** A command that somebody waits for the answer of: a silence after it is noticed soon. */
  function sendMessage(command) {
    if (!sendCommand(command)) return false;
    sendCommand({ type: "ping", at_ms: nowMs() });
    expectMessage();
    silenceTimer ||= setTimeout(() => {
      silent = true;
      on.silent(true);
    }, SILENCE_MS);
    return true;
  }

  /** One 20 ms microphone frame; dropped where no session takes it or the line does not keep up. */
  function sendAudio(samples, timeUs) {
    if (phase !== "ready" || socket?.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > MAX_UPLINK_BUFFER_BYTES) {
      counters.framesDropped += 1;
      return;
    }
    socket.send(packAudio({ epoch, sequence: uplinkSequence, timeUs }, samples));
    uplinkSequence += 1;
    counters.framesSent += 1;
  }

  addEventListener("online", () => connectNow());

  return {
    connect,
    connectNow,
    sendCommand,
    sendMessage,
    sendAudio,
    serverAheadMs,
    counters: () => ({ ...counters }),
    status: () => ({ phase, epoch, sequence: session.lastSequence }),
  };
}

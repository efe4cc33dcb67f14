// The page: joins connection, microphone, player and what is seen of them.

import { createCast, paint } from "./characters.js";
import { createChat } from "./chatui.js";
import { createComposer } from "./composer.js";
import { bindConfirmed } from "./confirm.js";
import { microphoneObstacle } from "./audio-capture.js";
import { exposeForInspection, saveAsFile } from "./inspect.js";
import { createCard, createNotices, createSourceBanner, mendedBy } from "./notices.js";
import { createPending } from "./pending.js";
import { startPresence } from "./presence.js";
import { FLAG_FLUSH, FLAG_LAST, TEXT_TOO_LONG, nowMs, takesText } from "./protocol.js";
import { bindTheme, createSettingsPanel, loadPreferences } from "./settings.js";
import { createSound } from "./sound.js";
import { STOPPED, describe, explainLoss } from "./status.js";
import { createVoice } from "./voice.js";
import { createLatencies, createLatencyLine } from "./waterfall.js";
import { createConnection } from "./websocket.js";

const $ = (id) => document.getElementById(id);
const preferences = loadPreferences();
const cast = createCast();
const latencies = createLatencies();
const latencyLine = createLatencyLine({ line: $("latency"), text: $("latencyText"), button: $("latencyWindow") }, latencies);
const pending = createPending();
const notices = createNotices($("notices"));
const card = createCard({ card: $("card"), title: $("cardTitle"), text: $("cardText"), action: $("cardAction") });
const banner = createSourceBanner({
  banner: $("sourceBanner"), short: $("sourceShort"), text: $("sourceText"), dismiss: $("sourceDismiss"),
});
const chat = createChat({
  list: $("chat"),
  scroller: $("scroller"),
  cast,
  announce: (text) => ($("announcer").textContent = text),
  sendAgain: sendMessage,
});

let connectionStatus = { phase: "connecting", code: "", attempt: 0 };
let everReady = false;
let silent = false;
let server = "idle";
let session = { id: "", settings: {}, source: { mode: "llm", detail: "" } };
let generation = 0;
let sampleRate = 24000;
let turns = 0;
let interruptOwed = false;
let countdown = 0;
let meter = "";

const connection = createConnection({
  url: new URL("v1/conversation", location.href.replace(/^http/, "ws")).href,
  client: "parley-page/1",
  settings: () => preferences.get("settings"),
  on: { event: onEvent, audio: onAudio, ready: onReady, caughtUp: onCaughtUp, silent: onSilent, status: onStatus },
});
const sound = createSound({
  volume: preferences.get("volume"),
  send: connection.sendCommand,
  serverAheadMs: connection.serverAheadMs,
  on: {
    sounding: () => render(),
    heard: (heard) => voice.dispatch({ type: "heard", generation: heard }),
    blocked: (blocked) =>
      blocked
        ? notices.show("blocked", "The browser holds back the sound until you press a key or touch the page.", { lasting: true })
        : notices.clear("blocked"),
    missing: (missing) =>
      missing
        ? notices.show("sound", "The sound did not load. Press a key or touch the page to try again.", { lasting: true, kind: "problem" })
        : notices.clear("sound"),
  },
});
const voice = createVoice({
  unlock: sound.unlock,
  send: connection.sendCommand,
  sendAudio: connection.sendAudio,
  deviceId: () => preferences.get("microphone"),
  on: {
    changed: () => render(),
    level: showMeter,
    trouble: (text) => notices.show("microphone", text, { lasting: true, kind: "problem" }),
    muted: (muted) =>
      muted
        ? notices.show("muted", "Nothing comes from the microphone. Is it muted?", { lasting: true })
        : notices.clear("muted"),
  },
});
const panel = createSettingsPanel($("settings"), preferences, {
  patch: (patch) => connection.sendCommand({ type: "settings", settings: patch }),
  volume: sound.setVolume,
  microphone: voice.changeMicrophone,
});
const presence = startPresence($("presence"), () => ({
  mode: document.body.dataset.state,
  mic: voice.level(),
  voice: sound.level(),
}));

// What the server says.

function onReady(event, fresh) {
  pending.ready(event, fresh);
  server = "idle";
  session = { id: event.session_id, settings: event.settings, source: event.answer_source };
  generation = event.generation;
  adopt(event.settings, event.characters);
  banner.show(event.answer_source);
  if (fresh) sound.forget();
  else sound.resumed(event.generation, event.complete);
  if (everReady && !fresh) {
    const gap = event.complete ? "Connected again." : "Connected again. Something of the last moments was lost.";
    notices.show("connection", gap);
  }
  // A new session leaves what was said before it on the screen, behind a line; history knows nothing of it.
  if (!everReady || (!fresh && !event.complete)) showHistory(event.history);
  everReady = true;
  voice.dispatch({ type: "connected", fresh: fresh || !event.complete });
  if (interruptOwed) interruptOwed = !connection.sendCommand({ type: "interrupt" });
  render();
}

function adopt(settings, characters) {
  session.settings = settings;
  paint(document.documentElement, cast.enter(characters, settings.character));
  presence.recolor();
  panel.show({ settings, source: session.source, characters });
  voice.dispatch({ type: "duplex", full: settings.duplex === "full" });
}

function onCaughtUp() {
  for (const command of pending.sendAgain()) connection.sendMessage(command);
}

function onSilent(now) {
  silent = now;
  render();
}

function showHistory(history) {
  chat.showHistory(history);
  turns = history.length;
  latencies.clear();
  for (const { first_audio_ms: total, spoken = false } of history) if (total) latencies.add(total, spoken);
  latencyLine.show();
}

const HANDLERS = {
  conversation_state(event) {
    server = event.state;
  },
  stt_update: chat.userPartial,
  stt_finished(event) {
    if (!chat.userFinal(event) && !event.ignored) notices.show("unheard", "That was not understood; please say it again.");
  },
  text_stream_start(event) {
    generation = event.generation;
    chat.thinking(false);
    chat.answerStart(event);
  },
  text_chunk: chat.answerChunk,
  text_stream_stop: chat.answerStop,
  audio_stream_start(event) {
    generation = event.generation;
    sampleRate = event.sample_rate;
    chat.answerSounds(event.generation);
    voice.dispatch({ type: "audio_started", generation: event.generation });
  },
  audio_stream_stop: (event) => sound.end(event.generation),
  audio_flush: (event) => silence(event.generation),
  audio_pause: (event) => sound.hold(event.generation),
  audio_resume: (event) => sound.release(event.generation),
  turn_committed(event) {
    chat.committed(event);
    turns += 1;
    sound.end(event.generation);
  },
  turn_metrics(event) {
    chat.metrics(event);
    latencies.add(event.total_ms, event.spoken);
    latencyLine.show();
  },
  history: (event) => saveAsFile(event),
  settings_changed(event) {
    adopt(event.settings, cast.all());
  },
  reset_done(event) {
    silence(event.generation);
    chat.clear();
    turns = 0;
    latencies.clear();
    latencyLine.show();
  },
  session_lost() {
    if (!chat.isEmpty()) chat.divide("That conversation had ended. This is a new one.");
  },
  error: onError,
};

function onEvent(event) {
  for (const { text } of pending.take(event)) chat.userRefused(text);
  for (const key of mendedBy(event)) notices.clear(key);
  HANDLERS[event.type]?.(event);
  render();
}

function onError({ code, message }) {
  if (code === "worker_lost") server = "moving";
  if (code === "invalid_setting" && connectionStatus.phase !== "ready") {
    // Settings remembered from another server; without them the next hello is understood.
    preferences.set("settings", {});
  }
  if (code === "invalid_setting") {
    panel.show({ settings: session.settings, source: session.source, characters: cast.all() });
  }
  // These end the connection; what follows from them is told by its status.
  if (code in STOPPED || ["at_capacity", "no_worker", "server_draining", "session_unknown", "token_invalid"].includes(code)) return;
  notices.show(code, message, { kind: "problem" });
}

function onAudio(header, samples) {
  if (header.flags & FLAG_FLUSH) silence(header.generation);
  if (!sound.play(header.generation, sampleRate, samples)) return;
  voice.dispatch({ type: "audio_started", generation: header.generation });
  if (header.flags & FLAG_LAST) sound.end(header.generation);
}

function silence(older) {
  sound.flush(older);
  voice.dispatch({ type: "flushed", generation: older });
}

// What the connection does.

function onStatus(status) {
  connectionStatus = status;
  clearInterval(countdown);
  if (status.phase === "ready") {
    notices.clear("connection");
    notices.clear("worker_lost");
    card.hide();
  } else {
    voice.dispatch({ type: "disconnected" });
  }
  if (status.phase === "waiting") explainWaiting(status);
  if (status.phase === "stopped") explainStopped(status);
  render();
}

function explainWaiting(status) {
  if (status.code === "session_unknown" || status.code === "token_invalid") return;
  if (status.code !== "at_capacity") {
    card.hide();
    notices.show("connection", explainLoss(status, { everReady, online: navigator.onLine }), { lasting: true });
    return;
  }
  notices.clear("connection");
  const show = () => {
    const left = Math.max(1, Math.ceil((status.retryAt - performance.now()) / 1000));
    card.show({
      heading: "All places are taken",
      body: `Every conversation this server can hold is in use. Trying again in ${left}\u00a0s.`,
      button: "Try now",
      onAction: () => connection.connectNow(),
    });
  };
  show();
  countdown = setInterval(show, 1000);
}

function explainStopped({ code }) {
  // Elsewhere or later the conversation may have gone on without them.
  pending.dropAll();
  notices.clear("connection");
  const onAction = code === "unsupported_protocol" ? () => location.reload() : reconnect;
  card.show({ ...STOPPED[code], onAction });
}

function reconnect() {
  connection.connectNow({ takeBack: true });
}

// What the user does.

function press() {
  notices.clear("microphone");
  if (connectionStatus.phase !== "ready") reconnect();
  voice.toggle();
}

async function interrupt() {
  if (sound.sounding() !== null || server === "answering") {
    const next = generation + 1;
    await sound.flush(next);
    interruptOwed = !connection.sendCommand({ type: "interrupt" });
    voice.dispatch({ type: "flushed", generation: next });
  } else if (server === "thinking" || server === "user_speaking") {
    pending.dropAll();
    chat.userCancelled();
    connection.sendCommand({ type: "cancel" });
  }
  render();
}

/** Whether the message went out; otherwise it is for the caller to keep. */
function sendMessage(text) {
  if (!takesText(text)) {
    notices.show("text_too_long", TEXT_TOO_LONG, { kind: "problem" });
    return false;
  }
  const command = { type: "user_message", text, at_ms: nowMs() };
  if (!connection.sendMessage(command)) {
    reconnect();
    notices.show("unsent", "Not connected just now; your message is kept here.");
    return false;
  }
  notices.clear("text_too_long");
  notices.clear("unsent");
  pending.sent(command);
  chat.userTyped(text);
  render();
  return true;
}

$("voiceButton").addEventListener("click", press);
$("interruptButton").addEventListener("click", interrupt);
createComposer({ form: $("composer"), input: $("messageInput"), openings: $("openings"), onMessage: sendMessage });
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !$("settings").open) interrupt();
});
$("settingsButton").addEventListener("click", panel.open);
$("exportButton").addEventListener("click", () => connection.sendCommand({ type: "export_history" }));
bindConfirmed($("resetButton"), $("settings"), "Forget everything?", () => {
  pending.dropAll();
  connection.sendCommand({ type: "reset" });
});

// What is seen.

function showOpenings() {
  const empty = everReady && chat.isEmpty();
  if (empty === !$("openings").hidden) return;
  $("openings").hidden = !empty;
  $("chat").querySelector(".greeting")?.remove();
  if (empty) chat.greet(cast.onStage());
}

function render() {
  const name = cast.onStage().name;
  const listening = voice.state();
  const sounding = sound.sounding() !== null;
  const [state, words] = describe({
    connection: connectionStatus.phase,
    waitingFor: connectionStatus.code,
    everReady,
    silent,
    server,
    listening,
    opening: voice.opening(),
    sounding,
    name,
  });
  if (document.body.dataset.state !== state) document.body.dataset.state = state;
  $("characterName").textContent = everReady ? name : "\u00a0";
  if ($("stateText").textContent !== words) $("stateText").textContent = words;
  const on = listening.wanted || voice.opening();
  $("voiceButton").ariaPressed = String(on);
  $("voiceLabel").textContent = on ? "Stop listening" : "Start talking";
  const busy = state === "answering" || state === "thinking" || state === "hearing";
  $("interruptButton").hidden = !busy;
  $("interruptLabel").textContent = state === "answering" ? "Interrupt" : "Never mind";
  chat.thinking(state === "thinking" && !document.querySelector(".line-answer.live"), cast.onStage());
  showOpenings();
}

function showMeter(level) {
  const shown = Math.min(1, Math.sqrt(level * 6)).toFixed(1);
  if (shown === meter) return;
  meter = shown;
  $("meterFill").style.setProperty("--level", shown);
}

bindTheme($("themeButton"), preferences, presence.recolor);
if (microphoneObstacle()) notices.show("microphone", microphoneObstacle(), { lasting: true, kind: "problem" });
exposeForInspection({
  state: () => document.body.dataset.state,
  words: () => $("stateText").textContent,
  connection: () => ({ ...connectionStatus, ...connection.status() }),
  session: () => session.id,
  listening: voice.state,
  counters: () => ({ ...connection.counters(), ...sound.counters(), turns }),
  latencies: latencies.all,
  playedStream: sound.stream,
  sampleRate: () => sound.context()?.sampleRate ?? 0,
});
render();
connection.connect();

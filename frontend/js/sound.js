// The sound of answers: the audio context, its player, and what the server must know of what was heard.

import { createAudioPlayer } from "./audio-player.js";
import { nowMs } from "./protocol.js";

const PLAYED_EVERY_MS = 190;
const BLOCKED_AFTER_MS = 400;
// The server sends 1.5 s ahead of what was played, in frames of 100 ms: this is several answers' worth.
const MAX_WAITING = 100;
const GESTURES = ["pointerdown", "keydown"];

/**
 * `send(command)` gives playback reports to the server, false when it is not there: then they are owed until
 * `resumed`. Calls `on.sounding(generation|null)`, `on.heard(generation)`, `on.blocked(true|false)` and
 * `on.missing(true|false)`: whether the player could not be loaded. The next gesture or answer tries again.
 */
export function createSound({ volume, send, serverAheadMs, on }) {
  let context = null;
  let player = null;
  let playerReady = null;
  // What the player is to do once it is there, oldest first.
  let waiting = [];
  let currentVolume = volume;
  // Frames of older answers are of no interest any more.
  let floor = 0;
  let sounding = null;
  let playedSentAt = 0;
  let owed = [];
  // What was told last: into a connection that is dying unnoticed everything can be told, and nothing arrives.
  let lastPlayed = null;
  let blockedTimer = 0;
  let expected = false;
  const answers = new Map();
  const counters = { underruns: 0, maxGapMs: 0, playedSamples: 0, answersHeard: 0 };

  function open() {
    if (context) return;
    context = new AudioContext({ latencyHint: "interactive" });
    context.onstatechange = showBlocked;
    playerReady = createAudioPlayer(context, { volume: currentVolume, on: reports }).then(loaded, failed);
    // Whoever needs it awaits it and learns of the failure; nobody may.
    playerReady.catch(() => {});
  }

  function loaded(made) {
    player = made;
    on.missing(false);
    for (const { use } of waiting.splice(0)) use(player);
    return made;
  }

  function failed(error) {
    context.close();
    context = null;
    playerReady = null;
    on.missing(true);
    throw error;
  }

  /** A context needs a moment to run; only one that still waits after it is held back. */
  function showBlocked() {
    clearTimeout(blockedTimer);
    if (!context) return;
    if (context.state === "running") on.blocked(false);
    else blockedTimer = setTimeout(() => context && on.blocked(context.state !== "running" && expected), BLOCKED_AFTER_MS);
  }

  /** Browsers let a page sound only after a press of some key or button. Rejects when the player does not load. */
  async function unlock() {
    open();
    const opened = context;
    await Promise.all([opened.state === "running" || opened.resume(), playerReady]);
    return opened;
  }

  function onGesture() {
    if (context?.state !== "running") unlock().catch(() => {});
  }

  for (const gesture of GESTURES) document.addEventListener(gesture, onGesture, { capture: true });

  /** Now, or when the player is there, unless the answer has been flushed by then. */
  function withPlayer(generation, use) {
    if (player) use(player);
    else waiting = [...waiting, { generation, use }].slice(-MAX_WAITING);
  }

  function answerOf(generation) {
    if (!answers.has(generation)) {
      answers.set(generation, { receivedMs: 0, startedMs: 0, ended: false, played: 0, underruns: 0, maxGapMs: 0 });
      for (const old of answers.keys()) if (answers.size > 20) answers.delete(old);
    }
    return answers.get(generation);
  }

  function tell(command) {
    if (!send(command)) owed = [...owed.filter((each) => each.type !== command.type), command];
  }

  function note({ generation, played, underruns, maxGapMs }) {
    const answer = answerOf(generation);
    counters.playedSamples += Math.max(0, played - answer.played);
    counters.underruns += Math.max(0, underruns - answer.underruns);
    counters.maxGapMs = Math.max(counters.maxGapMs, maxGapMs);
    Object.assign(answer, { played, underruns, maxGapMs });
  }

  function tellPlayed({ generation, played, underruns }) {
    playedSentAt = performance.now();
    lastPlayed = { type: "played", generation, samples: played, underruns };
    tell(lastPlayed);
  }

  function setSounding(generation) {
    sounding = generation;
    expected = generation !== null;
    on.sounding(generation);
  }

  const reports = {
    started({ generation, startedMs }) {
      const answer = answerOf(generation);
      answer.startedMs = Math.max(startedMs, answer.receivedMs);
      setSounding(generation);
      tell({
        type: "playback_started",
        generation,
        received_ms: answer.receivedMs,
        started_ms: answer.startedMs,
        server_ahead_ms: serverAheadMs(),
      });
    },
    progress(report) {
      note(report);
      if (performance.now() - playedSentAt >= PLAYED_EVERY_MS) tellPlayed(report);
    },
    held(report) {
      note(report);
      if (report.played > 0) tellPlayed(report);
    },
    ended(report) {
      note(report);
      tellPlayed(report);
      counters.answersHeard += 1;
      if (sounding === report.generation) setSounding(null);
    },
    flushed(report) {
      note(report);
      if (report.played > 0) tellPlayed(report);
      if (sounding === report.generation) setSounding(null);
    },
    heard: ({ generation }) => on.heard(generation),
  };

  /** False: the frame belongs to an answer that is over. */
  function play(generation, sampleRate, samples) {
    if (generation < floor) return false;
    if (!answerOf(generation).receivedMs) open();
    answerOf(generation).receivedMs ||= nowMs();
    withPlayer(generation, (ready) => ready.play(generation, sampleRate, samples));
    expected = true;
    if (sounding === null) showBlocked();
    return true;
  }

  /** No more frames of the answer come. */
  function end(generation) {
    if (generation < floor || answerOf(generation).ended) return;
    answerOf(generation).ended = true;
    if (!answerOf(generation).receivedMs) {
      on.heard(generation);
      return;
    }
    withPlayer(generation, (ready) => {
      if (ready.holds(generation)) ready.end(generation);
      else on.heard(generation);
    });
  }

  /** Silences every answer older than `generation`; resolves when what was heard of them has been told. */
  async function flush(generation) {
    floor = Math.max(floor, generation);
    waiting = waiting.filter((each) => each.generation >= generation);
    await player?.flush(generation);
  }

  /** Falls silent within the answer, for there is a voice over it, and tells what was heard. */
  function hold(generation) {
    withPlayer(generation, (ready) => ready.hold(generation));
  }

  function release(generation) {
    withPlayer(generation, (ready) => ready.release(generation));
  }

  /** The session goes on at `generation`. Not `complete`: what is held of older answers has lost its end. */
  function resumed(generation, complete) {
    if (!complete) flush(Infinity);
    const oldest = complete ? generation + 1 : generation;
    floor = Math.min(floor, oldest);
    player?.allow(oldest);
    const late = owed.filter((each) => each.type !== "played");
    owed = [];
    late.forEach(tell);
    if (lastPlayed) tell(lastPlayed);
  }

  /** A new session: nothing of the old one sounds or is owed any more. */
  function forget() {
    floor = 0;
    owed = [];
    lastPlayed = null;
    waiting = [];
    answers.clear();
    player?.reset();
    setSounding(null);
  }

  function setVolume(value) {
    currentVolume = value;
    player?.setVolume(value);
  }

  return {
    unlock, play, end, flush, hold, release, resumed, forget, setVolume,
    sounding: () => sounding,
    level: () => (player && sounding !== null ? player.level() : 0),
    counters: () => ({ ...counters }),
    stream: async () => {
      open();
      return (await playerReady).stream();
    },
    context: () => context,
  };
}

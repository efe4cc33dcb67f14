// The sound of answers: the audio context, its player, and what the server must know of what was heard.

import { createAudioPlayer } from "./audio-player.js";
import { nowMs } from "./protocol.js";

const PLAYED_EVERY_MS = 190;
const BLOCKED_AFTER_MS = 400;
const GESTURES = ["pointerdown", "keydown"];

/**
 * `send(command)` gives playback reports to the server, false when it is not there: then they are owed until
 * `resumed`. Calls `on.sounding(generation|null)`, `on.heard(generation)` and `on.blocked(true|false)`.
 */
export function createSound({ volume, send, on }) {
  let context = null;
  let player = null;
  let playerReady = null;
  let currentVolume = volume;
  // Frames of older answers are of no interest any more.
  let floor = 0;
  let sounding = null;
  let playedSentAt = 0;
  let owed = [];
  let blockedTimer = 0;
  let expected = false;
  const answers = new Map();
  const counters = { underruns: 0, maxGapMs: 0, playedSamples: 0, answersHeard: 0 };

  function open() {
    if (context) return;
    context = new AudioContext({ latencyHint: "interactive" });
    context.onstatechange = showBlocked;
    playerReady = createAudioPlayer(context, { volume: currentVolume, on: reports }).then((made) => {
      player = made;
      return made;
    });
  }

  /** A context needs a moment to run; only one that still waits after it is held back. */
  function showBlocked() {
    clearTimeout(blockedTimer);
    if (context.state === "running") on.blocked(false);
    else blockedTimer = setTimeout(() => on.blocked(context.state !== "running" && expected), BLOCKED_AFTER_MS);
  }

  /** Browsers let a page sound only after a press of some key or button. */
  async function unlock() {
    open();
    if (context.state !== "running") await context.resume();
    await playerReady;
    return context;
  }

  for (const gesture of GESTURES) {
    document.addEventListener(gesture, () => (!context || context.state !== "running") && unlock(), { capture: true });
  }

  function withPlayer(use) {
    if (player) return use(player);
    open();
    return playerReady.then(use);
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
    tell({ type: "played", generation, samples: played, underruns });
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
      });
    },
    progress(report) {
      note(report);
      if (performance.now() - playedSentAt >= PLAYED_EVERY_MS) tellPlayed(report);
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
    answerOf(generation).receivedMs ||= nowMs();
    withPlayer((ready) => ready.play(generation, sampleRate, samples));
    expected = true;
    if (sounding === null) showBlocked();
    return true;
  }

  /** No more frames of the answer come. */
  function end(generation) {
    if (generation < floor || answerOf(generation).ended) return;
    answerOf(generation).ended = true;
    withPlayer((ready) => {
      if (ready.holds(generation)) ready.end(generation);
      else on.heard(generation);
    });
  }

  /** Silences every answer older than `generation`; resolves when what was heard of them has been told. */
  async function flush(generation) {
    floor = Math.max(floor, generation);
    await player?.flush(generation);
  }

  /** The session goes on at `generation`. Not `complete`: what is held of older answers has lost its end. */
  function resumed(generation, complete) {
    if (!complete) flush(Infinity);
    const oldest = complete ? generation + 1 : generation;
    floor = Math.min(floor, oldest);
    player?.allow(oldest);
    const late = owed;
    owed = [];
    late.forEach(tell);
  }

  /** A new session: nothing of the old one sounds or is owed any more. */
  function forget() {
    floor = 0;
    owed = [];
    answers.clear();
    player?.reset();
    setSounding(null);
  }

  function setVolume(value) {
    currentVolume = value;
    player?.setVolume(value);
  }

  return {
    unlock, play, end, flush, resumed, forget, setVolume,
    sounding: () => sounding,
    level: () => (player && sounding !== null ? player.level() : 0),
    counters: () => ({ ...counters }),
    stream: () => withPlayer((ready) => ready.stream()),
    context: () => context,
  };
}

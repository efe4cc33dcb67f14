// The player without its clock: answers queue up, `render` fills one block of samples after the other.
// Runs inside the player worklet; touches nothing but what it is given, so that tests can step it.

import { createResampler } from "./resampler.js";

const FIRST_BUFFER_SECONDS = 0.04;
const MAX_BUFFER_SECONDS = 0.32;
const REPORT_SECONDS = 0.1;
const FADE_SECONDS = 0.006;
// The sender keeps to about 1.5 s ahead; more than this is a sender without manners.
const MAX_HELD_SECONDS = 60;

/**
 * A player at `rate` samples per second.
 *
 * `receive` takes
 *   audio {generation, sampleRate, samples: Int16Array}
 *   end   {generation, tailSeconds}   no more samples follow; "heard" is posted so long after the last one
 *   flush {generation}                drop every older answer now, and what still comes of it
 *   hold {generation}                 fall silent within this answer, and say where
 *   release {generation}              go on from there
 *   allow {generation}                a server that counts from there: older than that stays dropped, the rest is taken
 *   reset {}                          forget everything
 * `post` gets
 *   started  {generation, time}       context time of the answer's first sample, seconds
 *   progress, held, ended, flushed {generation, played, underruns, maxGapMs}
 *   heard    {generation}
 * `played` counts samples of the answer at its own rate.
 */
export function createPlayer(rate, post) {
  const fadeFrames = Math.round(FADE_SECONDS * rate);
  const answers = [];
  const tails = [];
  let oldest = 0;
  let holding = null;
  let bufferSeconds = FIRST_BUFFER_SECONDS;
  let last = null;
  let nextReport = 0;
  // The value that sounded when the sound broke off; it fades out under whatever follows.
  let residue = { value: 0, left: 0, from: 0 };
  let lastValue = 0;

  function find(generation) {
    return answers.find((answer) => answer.generation === generation);
  }

  function summary(answer) {
    return {
      generation: answer.generation,
      played: answer.playedBefore + answer.resampler.consumed(),
      underruns: answer.underruns,
      maxGapMs: answer.maxGapMs,
    };
  }

  function open(generation, sampleRate) {
    // An answer that was taken up by another worker after it had run out here counts on.
    const before = last?.generation === generation ? last : null;
    const answer = {
      generation,
      sampleRate,
      resampler: createResampler(sampleRate, rate, MAX_HELD_SECONDS * sampleRate),
      playedBefore: before?.played ?? 0,
      underruns: before?.underruns ?? 0,
      maxGapMs: before?.maxGapMs ?? 0,
      started: false,
      running: false,
      dry: null,
      fadeIn: 0,
      tailFrames: 0,
    };
    answers.push(answer);
    return answer;
  }

  function takeAudio({ generation, sampleRate, samples }) {
    if (generation < oldest) return;
    const answer = find(generation) ?? open(generation, sampleRate);
    const values = new Float32Array(samples.length);
    for (let n = 0; n < samples.length; n += 1) values[n] = samples[n] / 32768;
    if (!answer.resampler.push(values)) post({ type: "overflow", generation });
  }

  function end({ generation, tailSeconds }) {
    const answer = find(generation);
    if (!answer) return;
    answer.resampler.finish();
    answer.tailFrames = Math.round(tailSeconds * rate);
  }

  function flush(generation) {
    oldest = Math.max(oldest, generation);
    // Its release may never come, and a server that counts from its checkpoint gives the number out again.
    if (holding !== null && holding < oldest) holding = null;
    if (answers[0]?.running && answers[0].generation < oldest) breakOff(0);
    for (const answer of answers.filter((each) => each.generation < oldest)) drop(answer, "flushed");
  }

  function hold(generation) {
    if (generation < oldest) return;
    holding = generation;
    const answer = find(generation);
    if (!answer) return;
    if (answer.running) breakOff(0);
    answer.running = false;
    // The silence from here on is wanted: no gap.
    answer.dry = null;
    answer.fadeIn = answer.started ? fadeFrames : 0;
    post({ type: "held", ...summary(answer) });
  }

  function release(generation) {
    if (holding === generation) holding = null;
  }

  function reset() {
    holding = null;
    if (answers[0]?.running) breakOff(0);
    answers.length = 0;
    tails.length = 0;
    oldest = 0;
    last = null;
  }

  function receive(message) {
    if (message.type === "audio") takeAudio(message);
    else if (message.type === "end") end(message);
    else if (message.type === "flush") flush(message.generation);
    else if (message.type === "hold") hold(message.generation);
    else if (message.type === "release") release(message.generation);
    else if (message.type === "allow") oldest = Math.min(oldest, message.generation);
    else if (message.type === "reset") reset();
  }

  function drop(answer, type) {
    answers.splice(answers.indexOf(answer), 1);
    last = summary(answer);
    post({ type, ...last });
  }

  function breakOff(from) {
    residue = { value: lastValue, left: fadeFrames, from };
  }

  function isReady(answer) {
    const { resampler } = answer;
    const wanted = answer.dry ? Math.min(MAX_BUFFER_SECONDS, bufferSeconds * 2) : bufferSeconds;
    return resampler.finished() || resampler.waiting() - resampler.lookahead >= wanted * answer.sampleRate;
  }

  function begin(answer, frame) {
    answer.running = true;
    if (!answer.started) {
      answer.started = true;
      post({ type: "started", generation: answer.generation, time: frame / rate });
    }
    if (!answer.dry) return;
    // Without new samples the answer was over when it ran dry, and its end merely came later: no underrun.
    if (answer.resampler.pushed() > answer.dry.pushed) {
      answer.underruns += 1;
      answer.maxGapMs = Math.max(answer.maxGapMs, ((frame - answer.dry.frame) / rate) * 1000);
      bufferSeconds = Math.min(MAX_BUFFER_SECONDS, bufferSeconds * 2);
    }
    answer.dry = null;
    answer.fadeIn = fadeFrames;
  }

  function complete(answer, frame) {
    // A whole answer without an underrun: the network is calmer than was feared.
    if (answer.underruns === 0) bufferSeconds = Math.max(FIRST_BUFFER_SECONDS, bufferSeconds * 0.75);
    drop(answer, "ended");
    tails.push({ generation: answer.generation, frame: frame + answer.tailFrames });
  }

  function pull(answer, output, from) {
    const count = answer.resampler.pull(output, from, output.length - from);
    for (let n = from; answer.fadeIn > 0 && n < from + count; n += 1) {
      output[n] *= 1 - answer.fadeIn / fadeFrames;
      answer.fadeIn -= 1;
    }
    if (count > 0) lastValue = output[from + count - 1];
    return count;
  }

  function addResidue(output) {
    for (let n = residue.from; n < output.length && residue.left > 0; n += 1) {
      residue.left -= 1;
      output[n] += residue.value * (residue.left / fadeFrames);
    }
    residue.from = 0;
  }

  /** Fills `output` with the samples from context frame `frame` on. */
  function render(output, frame) {
    let filled = 0;
    while (filled < output.length && answers.length > 0) {
      const answer = answers[0];
      // A newer answer has begun: nothing more of this one will come.
      if (answers.length > 1) answer.resampler.finish();
      else if (answer.generation === holding) break;
      if (!answer.running) {
        if (!isReady(answer)) break;
        begin(answer, frame + filled);
      }
      filled += pull(answer, output, filled);
      if (answer.resampler.exhausted()) {
        complete(answer, frame + filled);
        breakOff(filled);
      } else if (filled < output.length) {
        answer.running = false;
        answer.dry = { frame: frame + filled, pushed: answer.resampler.pushed() };
        breakOff(filled);
      }
    }
    output.fill(0, filled);
    addResidue(output);
    lastValue = output[output.length - 1];
    report(frame + output.length);
  }

  function report(frame) {
    while (tails.length > 0 && tails[0].frame <= frame) post({ type: "heard", generation: tails.shift().generation });
    const answer = answers[0];
    if (answer?.started && frame >= nextReport) {
      nextReport = frame + REPORT_SECONDS * rate;
      post({ type: "progress", ...summary(answer) });
    }
  }

  return { receive, render, bufferSeconds: () => bufferSeconds };
}

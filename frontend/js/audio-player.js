// The loudspeaker: hands answer frames to the player worklet and tells when what was heard.

import { createPlayer } from "./player-core.js";
import { nowMs } from "./protocol.js";

// After the last sample: the room's echo of it must not come back as the user's speech.
const TAIL_SECONDS = 0.15;
const FLUSH_WAIT_MS = 60;
const SCRIPT_FRAMES = 2048;

async function createWorklet(context, receive) {
  await context.audioWorklet.addModule(new URL("worklets/player-worklet.js", import.meta.url));
  const node = new AudioWorkletNode(context, "parley-player", {
    numberOfInputs: 0,
    numberOfOutputs: 1,
    outputChannelCount: [1],
  });
  node.port.onmessage = ({ data }) => receive(data);
  return { node, post: (message, transfer) => node.port.postMessage(message, transfer) };
}

/** The same player on the main thread: a page that came over plain HTTP has no worklets, but can still be heard. */
function createScriptProcessor(context, receive) {
  const node = context.createScriptProcessor(SCRIPT_FRAMES, 1, 1);
  const player = createPlayer(context.sampleRate, receive);
  node.onaudioprocess = ({ outputBuffer, playbackTime }) =>
    player.render(outputBuffer.getChannelData(0), Math.round(playbackTime * context.sampleRate));
  return { node, post: player.receive };
}

/**
 * A player on `context`; `volume` 0..1. Calls `on.started({generation, startedMs})`,
 * `on.progress`, `on.held`, `on.ended` and `on.flushed({generation, played, underruns, maxGapMs})`, `on.heard({generation})`.
 */
export async function createAudioPlayer(context, { volume, on }) {
  const { node, post } = context.audioWorklet
    ? await createWorklet(context, receive)
    : createScriptProcessor(context, receive);
  const gain = new GainNode(context, { gain: volume });
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  const waveform = new Float32Array(analyser.fftSize);
  const held = new Set();
  let recorder = null;
  let flushed = null;
  node.connect(gain).connect(context.destination);
  node.connect(analyser);

  function outputLatency() {
    return context.outputLatency || context.baseLatency || 0;
  }

  /** When a sample of that context time leaves the machine, in milliseconds since 1970. */
  function audibleAt(contextTime) {
    return nowMs() + (contextTime - context.currentTime + outputLatency()) * 1000;
  }

  function receive(data) {
    if (data.type === "ended" || data.type === "flushed") held.delete(data.generation);
    if (data.type === "started") on.started({ generation: data.generation, startedMs: audibleAt(data.time) });
    else on[data.type]?.(data);
    if (data.type === "flushed") flushed?.();
  }

  function play(generation, sampleRate, samples) {
    held.add(generation);
    post({ type: "audio", generation, sampleRate, samples }, [samples.buffer]);
  }

  /** No more frames of this answer follow. */
  function end(generation) {
    post({ type: "end", generation, tailSeconds: TAIL_SECONDS + outputLatency() });
  }

  /** Drops every answer older than `generation`. Resolves when that is done and its last report has been given. */
  function flush(generation) {
    const waits = [...held].some((each) => each < generation);
    post({ type: "flush", generation });
    if (!waits) return Promise.resolve();
    return new Promise((resolve) => {
      flushed = resolve;
      setTimeout(resolve, FLUSH_WAIT_MS);
    });
  }

  /** Falls silent within an answer. */
  function hold(generation) {
    post({ type: "hold", generation });
  }

  /** Goes on where `hold` stopped. */
  function release(generation) {
    post({ type: "release", generation });
  }

  /** The server counts its answers from `generation` on again; what an earlier flush forbade beyond it is taken. */
  function allow(generation) {
    post({ type: "allow", generation });
  }

  function reset() {
    held.clear();
    post({ type: "reset" });
  }

  /** RMS of what sounds just now, 0..1, whatever the volume. */
  function level() {
    if (held.size === 0) return 0;
    analyser.getFloatTimeDomainData(waveform);
    return Math.sqrt(waveform.reduce((sum, value) => sum + value * value, 0) / waveform.length);
  }

  function setVolume(value) {
    gain.gain.setTargetAtTime(value, context.currentTime, 0.02);
  }

  /** What really goes to the loudspeaker, as a stream that can be recorded. */
  function stream() {
    if (!recorder) {
      recorder = new MediaStreamAudioDestinationNode(context);
      gain.connect(recorder);
    }
    return recorder.stream;
  }

  return { play, end, flush, hold, release, allow, reset, level, setVolume, stream, holds: (generation) => held.has(generation) };
}

// The microphone: asking for it, its frames with the time they were spoken, and why there is none.

import { nowMs } from "./protocol.js";

// How far back the earliest arrival is looked for; long enough to meet a moment without a busy main thread.
const CLOCK_WINDOW = 100;

const EXPLANATIONS = {
  NotAllowedError:
    "The browser was not allowed to use the microphone. Press the icon at the left of the address bar, allow the microphone for this page, and press the button again. You can type meanwhile.",
  NotFoundError: "No microphone was found. Connect one and press the button again. You can type meanwhile.",
  NotReadableError:
    "The microphone is there but does not open; another program may be using it. Close that program and press the button again.",
  OverconstrainedError: "The chosen microphone is gone. Choose another one in the settings.",
};

/** Why this page cannot have a microphone at all, or "" when it can. */
export function microphoneObstacle() {
  if (navigator.mediaDevices?.getUserMedia && typeof AudioWorkletNode === "function") return "";
  if (!globalThis.isSecureContext) {
    return `Browsers give the microphone only to pages that come over HTTPS or from localhost; this one came from ${location.origin}. Open it over HTTPS to speak. You can type meanwhile.`;
  }
  return "This browser cannot record sound for a page. A current Chrome, Edge, Firefox or Safari can. You can type meanwhile.";
}

/** The sentence for an error of `openMicrophone`. */
export function explainMicrophone(error) {
  return EXPLANATIONS[error.name] ?? `The microphone did not open: ${error.message || error.name}.`;
}

/**
 * Maps context time to milliseconds since 1970. A message cannot arrive before its samples were there, so the
 * earliest of the last arrivals is the best guess; a window and not a lifetime, since a context may be suspended.
 */
export function createClock() {
  const offsets = [];
  return {
    arrived(contextTime, atMs) {
      offsets.push(atMs - contextTime * 1000);
      if (offsets.length > CLOCK_WINDOW) offsets.shift();
    },
    toMs: (contextTime) => Math.min(...offsets) + contextTime * 1000,
  };
}

/**
 * Opens a microphone on `context`. Calls `onFrame(samples, timeUs, level)` every 20 ms with 320 samples of PCM16 at
 * 16 kHz, the capture time of the first and the frame's RMS level 0..1; `onEnded()` when the device goes away.
 * Rejects with the browser's error; see `explainMicrophone`.
 */
export async function openMicrophone(context, { deviceId, onFrame, onEnded }) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: {
      channelCount: 1,
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
    },
  });
  const [track] = stream.getAudioTracks();
  await context.audioWorklet.addModule(new URL("worklets/capture-worklet.js", import.meta.url));
  const source = context.createMediaStreamSource(stream);
  const node = new AudioWorkletNode(context, "parley-capture", {
    numberOfInputs: 1,
    numberOfOutputs: 0,
    channelCount: 1,
    channelCountMode: "explicit",
  });
  const clock = createClock();
  const deviceLatencyMs = (track.getSettings().latency ?? 0) * 1000;
  node.port.onmessage = ({ data }) => {
    clock.arrived(data.until, nowMs());
    onFrame(data.samples, (clock.toMs(data.time) - deviceLatencyMs) * 1000, data.level);
  };
  track.onended = onEnded;
  source.connect(node);

  function close() {
    track.onended = null;
    node.port.onmessage = null;
    node.port.postMessage("close");
    source.disconnect();
    for (const each of stream.getTracks()) each.stop();
  }

  return { close, label: track.label, deviceId: track.getSettings().deviceId ?? "" };
}

/** The microphones of this machine; their names are known only after one has been allowed. */
export async function listMicrophones() {
  if (!navigator.mediaDevices?.enumerateDevices) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId !== "");
}

// The words of the wire, as docs/protocol.md has them: the binary header, the audio formats, the close codes.

export const PROTOCOL = 1;
export const HEADER_BYTES = 24;
export const FLAG_LAST = 1;
export const FLAG_FLUSH = 2;
export const UPLINK_RATE = 16000;
export const UPLINK_FRAME_SAMPLES = 320;
const MAX_TEXT_CHARS = 4000;
/** What the server says of a longer message. */
export const TEXT_TOO_LONG = `A message has at most ${MAX_TEXT_CHARS} characters; please shorten it.`;

const KIND_AUDIO = 1;
const HEADER_VERSION = 1;

/** Close codes that carry a meaning of ours, by the error code they stand for. */
export const CLOSE_CODES = Object.freeze({
  1009: "message_too_large",
  1012: "server_draining",
  4401: "token_invalid",
  4404: "session_unknown",
  4406: "unsupported_protocol",
  4408: "hello_timeout",
  4409: "session_superseded",
  4410: "session_idle",
  4413: "slow_client",
  4429: "at_capacity",
  4503: "no_worker",
});

/**
 * An uplink audio message: 24-byte little-endian header and PCM16.
 * `timeUs`: microseconds since 1970 at which the first sample was captured.
 */
export function packAudio({ epoch, sequence, timeUs }, samples) {
  const message = new ArrayBuffer(HEADER_BYTES + samples.length * 2);
  const view = new DataView(message);
  view.setUint8(0, KIND_AUDIO);
  view.setUint8(1, HEADER_VERSION);
  view.setUint32(4, epoch, true);
  view.setUint32(12, sequence, true);
  view.setBigUint64(16, BigInt(Math.round(timeUs)), true);
  new Int16Array(message, HEADER_BYTES).set(samples);
  return message;
}

/** The header of a downlink audio message, or null when the bytes are none of ours. */
export function unpackHeader(message) {
  if (message.byteLength < HEADER_BYTES) return null;
  const view = new DataView(message);
  if (view.getUint8(0) !== KIND_AUDIO || view.getUint8(1) !== HEADER_VERSION) return null;
  return {
    flags: view.getUint16(2, true),
    epoch: view.getUint32(4, true),
    generation: view.getUint32(8, true),
    sequence: view.getUint32(12, true),
  };
}

/** Whether a message is short enough; the server counts characters, not halves of them. */
export function takesText(text) {
  return [...text].length <= MAX_TEXT_CHARS;
}

// White space, controls and what is not drawn: a superset of what the server takes for nothing.
const VISIBLE = /[^\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Whether anything of a message can be seen. */
export function isVisible(text) {
  return VISIBLE.test(text);
}

/** Milliseconds since 1970, with fractions, on the clock that never steps back. */
export function nowMs() {
  return performance.timeOrigin + performance.now();
}

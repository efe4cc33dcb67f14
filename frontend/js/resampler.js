// Streaming sample-rate conversion by an exact rational ratio, with a windowed-sinc polyphase filter.
// The position is kept as an integer and a fraction of two integers, so that nothing drifts, ever.
// Used inside the audio worklets; imports nothing.

const ZERO_CROSSINGS = 32;
// Kaiser window with about 90 dB of stop band.
const KAISER_BETA = 9;
// The cut-off as a part of the lower Nyquist frequency: what the transition band needs to keep aliases out of speech.
const ROLLOFF = 0.92;

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function besselI0(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** One row of coefficients per phase; row p interpolates at p/up of the way from one input sample to the next. */
function designFilter(up, down) {
  const cutoff = ROLLOFF * Math.min(1, up / down);
  const half = Math.ceil(ZERO_CROSSINGS / cutoff);
  const taps = 2 * half;
  const rows = new Float32Array(up * taps);
  const row = new Float64Array(taps);
  for (let phase = 0; phase < up; phase += 1) {
    let sum = 0;
    for (let tap = 0; tap < taps; tap += 1) {
      const distance = tap - half + 1 - phase / up;
      const angle = Math.PI * cutoff * distance;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      const edge = 1 - (distance / half) ** 2;
      row[tap] = edge <= 0 ? 0 : sinc * besselI0(KAISER_BETA * Math.sqrt(edge));
      sum += row[tap];
    }
    for (let tap = 0; tap < taps; tap += 1) rows[phase * taps + tap] = row[tap] / sum;
  }
  return { rows, taps, half };
}

/**
 * A converter from `inputRate` to `outputRate` (samples per second, whole numbers).
 * Output sample n lies exactly at input time n * inputRate / outputRate: the filter adds no shift, only a wait of
 * `lookahead` input samples. Holds at most `maxSamples` of input.
 */
export function createResampler(inputRate, outputRate, maxSamples) {
  const divisor = greatestCommonDivisor(inputRate, outputRate);
  const up = outputRate / divisor;
  const down = inputRate / divisor;
  const { rows, taps, half } = designFilter(up, down);
  const padding = new Float32Array(half);
  let buffer = new Float32Array(Math.min(maxSamples, 16384) + 2 * taps);
  let cursor = half - 1;
  let end = half - 1;
  let phase = 0;
  let pushed = 0;
  let consumed = 0;
  let finished = false;

  function makeRoom(count) {
    const keepFrom = cursor - half + 1;
    if (keepFrom > 0) {
      buffer.copyWithin(0, keepFrom, end);
      cursor -= keepFrom;
      end -= keepFrom;
    }
    if (end + count > buffer.length) {
      const larger = new Float32Array(2 * (end + count));
      larger.set(buffer.subarray(0, end));
      buffer = larger;
    }
  }

  /** Takes input samples; false when they do not fit and were dropped. */
  function push(samples) {
    if (finished || end - cursor + samples.length > maxSamples) return false;
    if (end + samples.length > buffer.length) makeRoom(samples.length);
    buffer.set(samples, end);
    end += samples.length;
    pushed += samples.length;
    return true;
  }

  /** Writes up to `count` output samples at `offset`; returns how many the input sufficed for. */
  function pull(output, offset, count) {
    let written = 0;
    while (written < count && cursor + half < end && !(finished && consumed >= pushed)) {
      const first = cursor - half + 1;
      const row = phase * taps;
      let sum = 0;
      for (let tap = 0; tap < taps; tap += 1) sum += buffer[first + tap] * rows[row + tap];
      output[offset + written] = sum;
      written += 1;
      phase += down;
      const step = Math.floor(phase / up);
      phase -= step * up;
      cursor += step;
      consumed += step;
    }
    return written;
  }

  /** No more input comes: the last `lookahead` samples can be pulled as well. */
  function finish() {
    if (finished) return;
    if (end + half > buffer.length) makeRoom(half);
    buffer.set(padding, end);
    end += half;
    finished = true;
  }

  return {
    push,
    pull,
    finish,
    lookahead: half,
    /** Input samples whose output has been pulled. */
    consumed: () => Math.min(consumed, pushed),
    /** Input samples taken and not yet pulled. */
    waiting: () => Math.max(0, pushed - consumed),
    pushed: () => pushed,
    finished: () => finished,
    exhausted: () => finished && consumed >= pushed,
  };
}

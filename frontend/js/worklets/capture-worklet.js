// Microphone to wire frames: the context's rate down to 16 kHz, PCM16, 20 ms each, with the frame's level.
// A class, since the platform takes nothing else.

import { createResampler } from "../resampler.js";

const UPLINK_RATE = 16000;
const FRAME_SAMPLES = 320;
const QUANTUM = 128;

class CaptureProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = createResampler(sampleRate, UPLINK_RATE, sampleRate);
    this.silence = new Float32Array(QUANTUM);
    this.frame = new Float32Array(FRAME_SAMPLES);
    this.filled = 0;
    this.frames = 0;
    this.startedAt = null;
    this.open = true;
    this.port.onmessage = () => {
      this.open = false;
    };
  }

  process(inputs) {
    if (this.startedAt === null) this.startedAt = currentTime;
    // A track that pauses delivers no channel; silence keeps the frames' times true.
    this.resampler.push(inputs[0][0] ?? this.silence);
    for (;;) {
      this.filled += this.resampler.pull(this.frame, this.filled, FRAME_SAMPLES - this.filled);
      if (this.filled < FRAME_SAMPLES) return this.open;
      this.filled = 0;
      this.emit();
    }
  }

  emit() {
    const samples = new Int16Array(FRAME_SAMPLES);
    let energy = 0;
    for (let n = 0; n < FRAME_SAMPLES; n += 1) {
      const value = Math.max(-1, Math.min(1, this.frame[n]));
      energy += value * value;
      samples[n] = Math.round(value * 32767);
    }
    const message = {
      samples,
      level: Math.sqrt(energy / FRAME_SAMPLES),
      /** Context time of the first sample, seconds. */
      time: this.startedAt + (this.frames * FRAME_SAMPLES) / UPLINK_RATE,
      /** Context time up to which input had been taken when this frame was complete, seconds. */
      until: currentTime + QUANTUM / sampleRate,
    };
    this.frames += 1;
    this.port.postMessage(message, [samples.buffer]);
  }
}

registerProcessor("parley-capture", CaptureProcessor);

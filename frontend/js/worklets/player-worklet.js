// Wire frames to the loudspeaker: a queue of answers, each resampled as one continuous stream on the audio clock.
// A class, since the platform takes nothing else; what it does is in player-core.js, where tests reach it.

import { createPlayer } from "../player-core.js";

class PlayerProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.player = createPlayer(sampleRate, (message) => this.port.postMessage(message));
    this.port.onmessage = ({ data }) => this.player.receive(data);
  }

  process(_inputs, outputs) {
    this.player.render(outputs[0][0], currentFrame);
    return true;
  }
}

registerProcessor("parley-player", PlayerProcessor);

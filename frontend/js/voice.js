// The voice button: the microphone, the user's wish to be listened to, and the gate that half duplex puts before it.

import { explainMicrophone, listMicrophones, microphoneObstacle, openMicrophone } from "./audio-capture.js";
import { INITIAL, step } from "./listening.js";
import { createMutedWatch } from "./muted.js";

/**
 * `unlock()` gives the audio context, `send(command)` and `sendAudio(samples, timeUs)` go to the server. Calls
 * `on.changed()` after each change of state, `on.level(0..1)` with each frame, `on.trouble(text)` and `on.muted(true|false)`.
 */
export function createVoice({ unlock, send, sendAudio, deviceId, on }) {
  let state = INITIAL;
  let microphone = null;
  let opening = false;
  let requests = 0;
  let gateOpen = false;
  let level = 0;
  let isMuted = createMutedWatch();
  let muted = false;

  function dispatch(event) {
    const result = step(state, event);
    state = result.state;
    for (const action of result.actions) perform(action);
    on.changed();
  }

  function perform(action) {
    if (action === "open_gate") gateOpen = true;
    else if (action === "close_gate") gateOpen = false;
    else send({ type: action });
  }

  function onFrame(samples, timeUs, frameLevel) {
    level = frameLevel;
    showMuted(isMuted(level, gateOpen));
    on.level(gateOpen ? level : 0);
    if (gateOpen) sendAudio(samples, timeUs);
  }

  function closeMicrophone() {
    microphone?.close();
    microphone = null;
    level = 0;
    isMuted = createMutedWatch();
    on.level(0);
    showMuted(false);
  }

  function showMuted(now) {
    if (now === muted) return;
    muted = now;
    on.muted(muted);
  }

  async function openIt() {
    const context = await unlock();
    return openMicrophone(context, {
      deviceId: await knownDevice(),
      onFrame,
      onEnded() {
        stop();
        on.trouble("The microphone was disconnected. Connect it again, or choose another one in the settings.");
      },
    });
  }

  async function knownDevice() {
    const wanted = deviceId();
    if (!wanted) return "";
    return (await listMicrophones()).some((each) => each.deviceId === wanted) ? wanted : "";
  }

  async function start() {
    const obstacle = microphoneObstacle();
    if (obstacle) {
      on.trouble(obstacle);
      return;
    }
    opening = true;
    requests += 1;
    const mine = requests;
    on.changed();
    try {
      const opened = await openIt();
      if (mine !== requests) {
        opened.close();
        return;
      }
      microphone = opened;
      opening = false;
      dispatch({ type: "pressed", wanted: true });
    } catch (error) {
      if (mine !== requests) return;
      opening = false;
      on.changed();
      on.trouble(explainMicrophone(error));
    }
  }

  function stop() {
    opening = false;
    requests += 1;
    closeMicrophone();
    dispatch({ type: "pressed", wanted: false });
  }

  /** Another microphone was chosen; takes effect at once when one is open. */
  async function changeMicrophone() {
    if (!microphone) return;
    closeMicrophone();
    try {
      microphone = await openIt();
    } catch (error) {
      stop();
      on.trouble(explainMicrophone(error));
    }
  }

  return {
    dispatch,
    changeMicrophone,
    toggle: () => (state.wanted || opening ? stop() : start()),
    state: () => state,
    opening: () => opening,
    level: () => (gateOpen ? level : 0),
  };
}

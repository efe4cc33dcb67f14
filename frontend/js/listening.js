// When the page's microphone is sent and when it is not, as a pure machine.
//
// The user's wish (`wanted`) changes by the voice button only. The gate is open while it is wanted, the server is
// there, and, in half duplex, no answer is being heard. `start_listening` is said when the gate opens, `stop_listening` when the user
// closes it: an answer closes it without a word, since what was said so far has been answered already.
// Each `ready` may come from a worker that knows nothing of the listening before it, and so opens the gate anew.

export const INITIAL = Object.freeze({ wanted: false, connected: false, full: false, answers: Object.freeze([]), open: false });

/**
 * The next state and what to do, for one event:
 *   pressed {wanted}               the voice button
 *   connected {fresh}, disconnected   fresh: a new session, whose answers are none of the old ones
 *   audio_started {generation}     an answer's sound has begun to arrive
 *   heard {generation}             its last frame has been played, and the tail after it
 *   flushed {generation}           every older answer is over
 *   duplex {full}                  the setting: is the user heard while an answer sounds?
 * Actions: "start_listening", "stop_listening" (commands), "open_gate", "close_gate".
 */
export function step(state, event) {
  const next = advance(state, event);
  const open = next.wanted && next.connected && (next.full || next.answers.length === 0);
  const was = event.type === "connected" ? false : state.open;
  const actions = [];
  if (open && !was) actions.push("start_listening", "open_gate");
  if (!open && was) actions.push("close_gate");
  if (event.type === "pressed" && !event.wanted && state.wanted && next.connected) actions.push("stop_listening");
  return { state: Object.freeze({ ...next, open }), actions };
}

function advance(state, event) {
  switch (event.type) {
    case "pressed":
      return { ...state, wanted: event.wanted };
    case "connected":
      return { ...state, connected: true, answers: event.fresh ? [] : state.answers };
    case "disconnected":
      return { ...state, connected: false };
    case "audio_started":
      return state.answers.includes(event.generation)
        ? state
        : { ...state, answers: [...state.answers, event.generation] };
    case "heard":
      return { ...state, answers: state.answers.filter((generation) => generation !== event.generation) };
    case "duplex":
      return { ...state, full: event.full };
    case "flushed":
      return { ...state, answers: state.answers.filter((generation) => generation >= event.generation) };
    default:
      throw new Error(`the listening machine knows no event "${event.type}"`);
  }
}

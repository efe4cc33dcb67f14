"""The conversation: `step(state, event) -> (state, actions)`.

Pure: frozen data in, frozen data out; time arrives in events, in seconds on the worker's clock. It joins three
smaller machines: `endpointing` (when is the user's turn over), `answer` (what is written, spoken, heard) and
`cast` (who answers). The shell around it reads: receive, step, perform.

Every answer has a generation. Interrupting is `generation + 1`; an event of an older generation changes nothing.
"""

from dataclasses import replace

from services.contracts import commands
from services.contracts import events as out
from services.contracts.errors import Code
from services.contracts.moments import Moment
from services.contracts.settings import SettingsPatch, apply
from services.dialogue import actions as do
from services.dialogue import answer as answers
from services.dialogue import answering, attending, endpointing, inputs
from services.dialogue.actions import Action
from services.dialogue.conversation import (
    MAX_TURN_CHARS,
    STALL_SECONDS,
    TYPED,
    Conversation,
    Step,
    Utterance,
    deadline,
    hearing,
    mood,
    mood_event,
    open_text,
)
from services.dialogue.inputs import Event
from services.dialogue.memory import Memory
from services.telemetry.ledger import Ledger


def step(state: Conversation, event: Event) -> Step:
    """What the conversation is after the event, and what must be done about it."""
    before = mood(state)
    state, actions = _take(state, event)
    state, more = answering.advance(state, event.at)
    actions += more
    after = mood(state)
    if after != before:
        actions.append(do.Send(mood_event(state, after)))
    wake_at = deadline(state)
    if wake_at != state.wake_at:
        state = replace(state, wake_at=wake_at)
        actions.append(do.WakeAt(wake_at))
    return state, actions


def _take(state: Conversation, event: Event) -> Step:
    match event:
        case inputs.Commanded():
            return _command(state, event.command, event.at)
        case inputs.Restored():
            return _typed(state, event.user, at_ms=0, at=event.at)
        case inputs.ConnectionLost():
            return attending.sever(state, event.at)
        case inputs.ConnectionBack():
            # The loss of the connection before may never have been told: nobody could while NATS was away.
            state, actions = attending.sever(state, event.at)
            actions.append(do.ForgetVoice())
            if not event.fresh:
                return replace(state, progress_at=event.at), actions
            # Who loads the page anew has turned away, perhaps in the middle of a word.
            turn = tuple(replace(one, abandoned=True) for one in state.turn)
            state, more = answering.interrupt(replace(state, turn=turn, listening=False), event.at)
            return state, actions + more
        case inputs.Woken():
            return _woken(state, event.at)
        case inputs.VoiceStarted():
            return attending.voice_started(state, event)
        case inputs.VoiceStopped():
            return attending.voice_stopped(state, event)
        case inputs.PartialTranscript() | inputs.FinalTranscript() | inputs.RecognitionFailed():
            return attending.recognised(state, event)
        case _:
            answer = state.answer
            if answer is None or event.generation != answer.generation:
                return state, []
            return answering.take(state, answer, event)


def _command(state: Conversation, command: commands.AnyCommand, at: float) -> Step:
    match command:
        case commands.StartListening():
            if hearing(state):
                return state, []
            return replace(state, listening=True, ear=endpointing.QUIET, echo_known=False), [do.ForgetVoice()]
        case commands.StopListening():
            state = replace(state, speech_end_ms=state.speech_end_ms or at * 1000)
            state, actions = attending.finish(state, at)
            return replace(state, listening=False), actions
        case commands.UserMessage():
            return _typed(state, command.text.strip(), command.at_ms, at)
        case commands.Interrupt():
            return answering.interrupt(state, at)
        case commands.Cancel():
            dropped, actions = _drop_turn(state)
            answer = dropped.answer
            if answer and not answering.reached(dropped, answer):
                dropped, more = answering.withdraw(dropped, answer, at)
                return dropped, actions + more
            dropped, more = answering.interrupt(dropped, at)
            return dropped, actions + more
        case commands.Reset():
            dropped, actions = _drop_turn(state)
            answer = dropped.answer
            more: list[Action] = []
            if answer and answer.prepared:
                dropped, more = answering.withdraw(dropped, answer, at)
            elif answer:
                dropped, more = answering.stop(dropped, answer, "interrupted")
            dropped = replace(dropped, memory=Memory(), number=0)
            done = do.Send(out.ResetDone(generation=dropped.generation))
            return dropped, [*actions, *more, done, do.Checkpoint()]
        case commands.Settings():
            return _settings(state, command.settings, at)
        case commands.PlaybackStarted():
            return answering.playback_started(state, command, at)
        case commands.Played():
            answer = state.answer
            if answer is None or command.generation != answer.generation or command.samples <= answer.played:
                return state, []
            known = sum(slot.samples for slot in answer.slots)
            played = replace(answer, played=min(command.samples, known))
            return replace(state, answer=played, progress_at=at), []
        case commands.ExportHistory():
            turns = list(state.memory.turns)
            return state, [do.Send(out.History(exported_at=at, settings=state.settings, turns=turns))]
        case commands.Hello() | commands.Ping():
            return state, []


def _woken(state: Conversation, at: float) -> Step:
    # The timer is spent, even if it came a moment early: `step` asks for the next one.
    state = replace(state, wake_at=None)
    state, actions = attending.woken(state, at)
    answer = state.answer
    stalled = answer and not answer.paused and answers.waits_for_listener(answer)
    if stalled and at >= state.progress_at + STALL_SECONDS:
        state, more = answering.interrupt(state, at)
        actions += more
    return state, actions


def _typed(state: Conversation, text: str, at_ms: float, at: float) -> Step:
    """A typed message joins what the user said and was not answered; an answer that sounds is interrupted.

    Somebody who speaks meanwhile is not cut off: what is typed stands after their sentence.
    """
    actions: list[Action] = []
    got = state.answer is not None and answering.reached(state, state.answer)
    if len(open_text(state)) + len(text) > MAX_TURN_CHARS and not got:
        message = f"What waits for an answer has at most {MAX_TURN_CHARS} characters; please wait for it first."
        return state, [do.Send(out.error(Code.TEXT_TOO_LONG, message))]
    if state.answer and not got:
        state, actions = answering.unsay(state, state.answer, at)
    elif state.answer:
        state, actions = answering.interrupt(state, at)
    times = Ledger(client_end_ms=at_ms).stamp(Moment.TURN_ENDED, at).stamp(Moment.TRANSCRIBED, at)
    turn = (*state.turn, Utterance(TYPED, text, spoken=False, over_at=at))
    return replace(state, turn=turn, ledger=times), actions


def _settings(state: Conversation, patch: SettingsPatch, at: float) -> Step:
    settings = apply(state.settings, patch)
    if settings.character not in state.cast.characters:
        known = ", ".join(sorted(state.cast.characters))
        message = f"There is no character {settings.character!r}; known are {known}."
        return state, [do.Send(out.error(Code.INVALID_SETTING, message))]
    if settings.response_mode == "llm" and not state.can_ask:
        message = "No language model is connected, so response_mode takes template or echo."
        return state, [do.Send(out.error(Code.INVALID_SETTING, message))]
    actions: list[Action] = []
    if state.answer and state.answer.prepared:
        state, actions = answering.withdraw(state, state.answer, at)  # it was prepared with the settings before
    heard, cast = hearing(state), replace(state.cast, on_stage=settings.character)
    state = replace(state, settings=settings, cast=cast)
    if heard and not hearing(state):
        state, more = attending.finish(state, at)
        actions += more
    return state, [*actions, do.Send(out.SettingsChanged(settings=settings)), do.Checkpoint()]


def _drop_turn(state: Conversation) -> Step:
    """What is being said is neither answered nor kept."""
    if not state.turn and state.ear is endpointing.QUIET:
        return state, []
    return replace(state, turn=(), ear=endpointing.QUIET), [do.DropUtterances(), do.ForgetVoice()]

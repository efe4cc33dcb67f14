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
from services.dialogue import answering, endpointing, inputs
from services.dialogue.actions import Action
from services.dialogue.conversation import (
    MAX_TURN_CHARS,
    STALL_SECONDS,
    Conversation,
    Step,
    Utterance,
    deadline,
    hearing,
    mood,
    mood_event,
    open_text,
    patience,
)
from services.dialogue.endpointing import Phase
from services.dialogue.inputs import Event
from services.dialogue.ledger import Ledger
from services.dialogue.memory import Memory


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
            return _severed(state, event.at)
        case inputs.ConnectionBack():
            # The loss of the connection before may never have been told: nobody could while NATS was away.
            state, actions = _severed(state, event.at)
            actions.append(do.ForgetVoice())
            if not event.fresh:
                return replace(state, progress_at=event.at), actions
            state, more = answering.interrupt(replace(state, listening=False))
            return state, actions + more
        case inputs.Woken():
            return _woken(state, event.at)
        case inputs.VoiceStarted():
            if not hearing(state):
                return state, []
            if state.ear.phase is Phase.QUIET:
                state = replace(state, speech_start_ms=event.client_ms)
            ear, decisions = endpointing.voice(state.ear, event.at, patience(state.settings))
            return _decided(replace(state, ear=ear), decisions, event.at)
        case inputs.VoiceStopped():
            if not hearing(state):
                return state, []
            ear, decisions = endpointing.quiet(state.ear, event.at, patience(state.settings))
            return _decided(replace(state, ear=ear, speech_end_ms=event.client_ms), decisions, event.at)
        case inputs.PartialTranscript() | inputs.FinalTranscript() | inputs.RecognitionFailed():
            return _recognised(state, event)
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
            return replace(state, listening=True, ear=endpointing.QUIET), [do.ForgetVoice()]
        case commands.StopListening():
            ear, decisions = endpointing.finish(state.ear, at)
            state = replace(state, ear=ear, speech_end_ms=state.speech_end_ms or at * 1000)
            state, actions = _decided(state, decisions, at)
            return replace(state, listening=False), actions
        case commands.UserMessage():
            ear, decisions = endpointing.finish(state.ear, at)
            state, actions = _decided(replace(state, ear=ear), decisions, at)
            state, more = _typed(state, command.text.strip(), command.at_ms, at)
            return state, actions + more
        case commands.Interrupt():
            return answering.interrupt(state)
        case commands.Cancel():
            dropped, actions = _drop_turn(state)
            answer = dropped.answer
            if answer and not answer.audible:
                dropped, more = answering.withdraw(dropped, answer)
                return dropped, actions + more
            dropped, more = answering.interrupt(dropped)
            return dropped, actions + more
        case commands.Reset():
            dropped, actions = _drop_turn(state)
            answer = dropped.answer
            dropped, more = answering.stop(dropped, answer, "interrupted") if answer else (dropped, [])
            dropped = replace(dropped, memory=Memory(), number=0)
            done = do.Send(out.ResetDone(generation=dropped.generation))
            return dropped, [*actions, *more, done, do.Checkpoint()]
        case commands.Settings():
            return _settings(state, command.settings)
        case commands.PlaybackStarted():
            return answering.playback_started(state, command)
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
    ear, decisions = endpointing.elapsed(state.ear, at, patience(state.settings))
    state, actions = _decided(replace(state, ear=ear), decisions, at)
    if state.answer and answers.waits_for_listener(state.answer) and at >= state.progress_at + STALL_SECONDS:
        state, more = answering.interrupt(state)
        actions += more
    return state, actions


def _severed(state: Conversation, at: float) -> Step:
    """No more of the speech comes: its words stand as they are, and what is typed later is not joined to them."""
    if state.ear.phase is Phase.ONSET:
        state = replace(state, ear=endpointing.QUIET)
    times = state.ledger
    typed = any(not one.spoken for one in state.turn)
    ear, decisions = endpointing.finish(state.ear, at)
    state, actions = _decided(replace(state, ear=ear), decisions, at)
    return replace(state, severed=state.utterances, ledger=times if typed else state.ledger), actions


def _decided(state: Conversation, decisions: list[endpointing.Decision], at: float) -> Step:
    actions: list[Action] = []
    for decision in decisions:
        match decision:
            case endpointing.Began():
                answer = state.answer
                if answer and not answer.audible:
                    # The user goes on before anything was heard: the answer never happened, the turn continues.
                    said = Utterance(state.utterances, answer.user, spoken=answer.ledger.spoken)
                    state, withdrawn = answering.withdraw(state, answer)
                    state = replace(state, turn=(said, *state.turn))
                    actions += withdrawn
                number = state.utterances + 1
                state = replace(state, utterances=number, turn=(*state.turn, Utterance(number)))
                actions.append(do.OpenUtterance(number))
            case endpointing.Hesitated():
                actions.append(do.PauseUtterance(state.utterances))
            case endpointing.Resumed():
                actions.append(do.ResumeUtterance(state.utterances))
            case endpointing.Ended():
                times = Ledger(spoken=True, client_end_ms=state.speech_end_ms)
                times = times.stamp(Moment.SPEECH_ENDED, decision.speech_end).stamp(Moment.TURN_ENDED, at)
                state = replace(state, ledger=times)
                actions += [do.CloseUtterance(state.utterances), do.ExpectVoice()]
    return state, actions


def _recognised(
    state: Conversation, event: inputs.PartialTranscript | inputs.FinalTranscript | inputs.RecognitionFailed
) -> Step:
    waiting = [utterance for utterance in state.turn if utterance.number == event.utterance and utterance.text is None]
    if not waiting:
        return state, []
    name = f"{state.prefix}{event.utterance}"
    actions: list[Action] = []
    match event:
        case inputs.PartialTranscript():
            result = event.result
            return state, [do.Send(out.SttUpdate(utterance=name, text=result.text, committed=result.committed))]
        case inputs.FinalTranscript():
            text = event.result.text.strip()
            finished = out.SttFinished(
                utterance=name,
                text=text,
                segments=event.result.segments,
                words=event.result.words,
                language=event.result.language,
            )
            actions.append(do.Send(finished))
        case inputs.RecognitionFailed():
            text = ""
            actions.append(do.Send(out.error(Code.RECOGNITION_UNAVAILABLE, event.message)))
            actions.append(do.Send(out.SttFinished(utterance=name, text="")))
    if state.ear.phase not in (Phase.QUIET, Phase.ONSET) and event.utterance == state.utterances:
        # Recognition gave up in the middle of speech: the ear starts over, so that it is never deaf.
        state = replace(state, ear=endpointing.QUIET)
        actions.append(do.ForgetVoice())
    turn = tuple(replace(one, text=text) if one in waiting else one for one in state.turn)
    return replace(state, turn=turn, ledger=state.ledger.stamp(Moment.TRANSCRIBED, event.at)), actions


def _typed(state: Conversation, text: str, at_ms: float, at: float) -> Step:
    """A typed message joins what the user said and was not answered; an answer that sounds is interrupted."""
    actions: list[Action] = []
    if len(open_text(state)) + len(text) > MAX_TURN_CHARS and not (state.answer and state.answer.audible):
        message = f"What waits for an answer has at most {MAX_TURN_CHARS} characters; please wait for it first."
        return state, [do.Send(out.error(Code.TEXT_TOO_LONG, message))]
    if state.answer and not state.answer.audible:
        said = Utterance(state.utterances, state.answer.user, spoken=state.answer.ledger.spoken)
        state, actions = answering.withdraw(state, state.answer)
        state = replace(state, turn=(said, *state.turn))
    elif state.answer:
        state, actions = answering.interrupt(state)
    number = state.utterances + 1
    times = Ledger(client_end_ms=at_ms).stamp(Moment.TURN_ENDED, at).stamp(Moment.TRANSCRIBED, at)
    turn = (*state.turn, Utterance(number, text, spoken=False))
    return replace(state, utterances=number, turn=turn, ledger=times), actions


def _settings(state: Conversation, patch: SettingsPatch) -> Step:
    settings = apply(state.settings, patch)
    if settings.character not in state.cast.characters:
        known = ", ".join(sorted(state.cast.characters))
        message = f"There is no character {settings.character!r}; known are {known}."
        return state, [do.Send(out.error(Code.INVALID_SETTING, message))]
    if settings.response_mode == "llm" and not state.can_ask:
        message = "No language model is connected, so response_mode takes template or echo."
        return state, [do.Send(out.error(Code.INVALID_SETTING, message))]
    cast = replace(state.cast, on_stage=settings.character)
    state = replace(state, settings=settings, cast=cast)
    return state, [do.Send(out.SettingsChanged(settings=settings)), do.Checkpoint()]


def _drop_turn(state: Conversation) -> Step:
    """What is being said is neither answered nor kept."""
    if not state.turn and state.ear is endpointing.QUIET:
        return state, []
    return replace(state, turn=(), ear=endpointing.QUIET), [do.DropUtterances(), do.ForgetVoice()]

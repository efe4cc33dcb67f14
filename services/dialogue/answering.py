"""The half of the conversation's machine that answers: begins, speaks, is interrupted, is committed.

Pure, as all of it; called by `machine`.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from services.contracts import commands
from services.contracts import events as out
from services.contracts.audio import DOWNLINK
from services.contracts.errors import Code
from services.contracts.moments import Moment
from services.dialogue import actions as do
from services.dialogue import answer as answers
from services.dialogue import endpointing, inputs
from services.dialogue.actions import Action
from services.dialogue.answer import Answer, SlotState
from services.dialogue.cast import speakers
from services.dialogue.conversation import MAX_TURN_CHARS, Conversation, Step, Utterance, echo_known
from services.dialogue.endpointing import Phase
from services.dialogue.wording import alike
from services.telemetry import ledger
from services.telemetry.ledger import Heard, Ledger

OfAnswer = (
    inputs.Token
    | inputs.AnswerWritten
    | inputs.AnswerFailed
    | inputs.AnswerReplaced
    | inputs.SpeechChunk
    | inputs.SpeechDone
    | inputs.SpeechFailed
    | inputs.SpeechRefused
    | inputs.AudioSent
    | inputs.Relayed
    | inputs.AudioDrained
)


def take(state: Conversation, answer: Answer, event: OfAnswer) -> Step:
    """An event of the answer that is under way."""
    actions: list[Action] = []
    match event:
        case inputs.Token() if not answer.writing:
            return state, []  # its end has been told
        case inputs.Token():
            if not answer.text:
                actions.append(do.Send(_text_start(answer)))
            times = answer.ledger.stamp(Moment.FIRST_TOKEN, event.at)
            grown = answers.written(replace(answer, ledger=times), event.text)
            actions.append(do.Send(out.TextChunk(generation=answer.generation, text=event.text)))
            actions += _skips(answer, grown)
        case inputs.AnswerWritten():
            grown = answers.complete(answer)
            actions.append(do.Send(out.TextStreamStop(generation=answer.generation, reason="complete")))
            actions += _skips(answer, grown)
        case inputs.AnswerFailed():
            if answer.prepared:
                return withdraw(state, answer, event.at)  # asked again when the turn has ended
            grown = answers.complete(answer, broken=True)
            actions.append(do.Send(out.error(event.code, event.message)))
            if answer.text:
                actions.append(do.Send(out.TextStreamStop(generation=answer.generation, reason="failed")))
            actions += _skips(answer, grown)
        case inputs.AnswerReplaced():
            notice = out.error(event.code, event.message)
            grown = replace(answer, notice=notice)
            actions.append(do.Send(notice))
        case inputs.SpeechChunk():
            first = event.slot == answers.head(answer)
            times = answer.ledger.stamp(Moment.FIRST_CHUNK, event.at) if first else answer.ledger
            if not answers.waits_for_listener(answer):
                # All of it was heard and the model took its time: the listener's clock begins with what is new.
                state = replace(state, progress_at=event.at)
            grown = answers.chunk(replace(answer, ledger=times), event.slot, event.samples)
        case inputs.SpeechDone():
            seconds = answer.slots[event.slot].samples / DOWNLINK.sample_rate
            state = replace(state, rate=seconds / max(event.seconds, 1e-3))
            grown = answers.spoken(answer, event.slot)
        case inputs.SpeechRefused():
            grown = answers.refuse(answer, event.slot)
        case inputs.SpeechFailed():
            if not state.voice_failed:
                actions.append(do.Send(out.error(Code.SYNTHESIS_UNAVAILABLE, event.message)))
            state = replace(state, voice_failed=True)
            grown = answers.spoken(answer, event.slot)
        case inputs.AudioSent():
            times = answer.ledger.stamp(Moment.FIRST_CHUNK, event.at)  # of a later sentence, where the first has none
            grown = replace(answer, ledger=times.stamp(Moment.AUDIO_SENT, event.at))
        case inputs.Relayed():
            times = answer.ledger if event.heard is None else answer.ledger.stamp(Moment.EDGE_HEARD, event.heard)
            times = times.stamp(Moment.EDGE_TOOK, event.took).stamp(Moment.EDGE_SENT, event.sent)
            grown = replace(answer, ledger=times)
        case inputs.AudioDrained():
            grown = replace(answer, sent=event.samples)
            if answer.audible:
                stop = out.AudioStreamStop(
                    generation=answer.generation, last_sequence=event.last_sequence, samples=event.samples
                )
                actions.append(do.Send(stop))
    if answer.prepared:
        actions = [action for action in actions if not isinstance(action, do.Send)]
    return replace(state, answer=grown), actions


def _text_start(answer: Answer) -> out.TextStreamStart:
    return out.TextStreamStart(turn=answer.number, generation=answer.generation, character=answer.character.id)


def _skips(before: Answer, after: Answer) -> list[Action]:
    """Slots that were cut just now and have nothing to be said aloud."""
    new = range(len(before.slots), len(after.slots))
    return [do.SkipSlot(after.generation, index) for index in new if after.slots[index].state is SlotState.SILENT]


def advance(state: Conversation, at: float) -> Step:
    """All that a conversation does as soon as it can: answer, speak, let it sound, commit."""
    state, actions = _keep_abandoned(state, at)
    answer = state.answer
    if state.turn and _turn_is_complete(state):
        more: list[Action] = []
        if answer is None:
            state, more = _begin(state, at)
        elif answer.prepared:
            state, more = _confirm(state, answer, at)
        actions += more
    elif answer and answer.prepared and not state.turn:
        state, more = withdraw(state, answer, at)  # in the end nothing understandable was said
        actions += more
    answer = state.answer
    if answer is None:
        return state, actions

    answer, chosen = answers.dispatch(answer, state.pacing, state.rate)
    if chosen:
        answer = replace(answer, ledger=answer.ledger.stamp(Moment.FIRST_SENTENCE, at))
    actions += [
        do.Synthesise(answer.generation, index, answer.slots[index].text, answer.character, answer.prepared)
        for index in chosen
    ]
    if answer.prepared:
        return replace(state, answer=answer), actions
    if not answer.audible and answers.sounds(answer):
        answer = replace(answer, audible=True, echoes_from=at)
        start = out.AudioStreamStart(
            generation=answer.generation, character=answer.character.id, sample_rate=DOWNLINK.sample_rate
        )
        state = replace(state, progress_at=at)
        if state.settings.duplex == "half":
            # From here on the client's audio is the answer's echo, not the user.
            state = replace(state, ear=endpointing.QUIET)
            actions.append(do.ForgetVoice())
        actions.append(do.Send(start))
    if not answer.closed and answers.all_spoken(answer):
        answer = replace(answer, closed=True)
        actions.append(do.CloseAudio(answer.generation, len(answer.slots)))
    state = replace(state, answer=answer)
    if answers.is_over(answer):
        state, more = _commit(state, answer, cut=False)
        actions += more
        if state.turn:
            state, more = advance(state, at)  # what was said over its end waits for it
            actions += more
    return state, actions


def _turn_is_complete(state: Conversation) -> bool:
    return state.ear.phase in (Phase.QUIET, Phase.ONSET) and all(one.text is not None for one in state.turn)


def _user_text(turn: Iterable[Utterance]) -> str:
    return " ".join(one.text for one in turn if one.text)[-MAX_TURN_CHARS:]


def _begin(state: Conversation, at: float) -> Step:
    """What the user said is complete: have it answered, if it was anything."""
    apart = _apart(state)
    turn = tuple(one for one in state.turn if one not in apart)
    state, kept = _keep(state, apart, at)
    user = _user_text(turn)
    state = replace(state, turn=(), guesses=0)
    if not user:
        return state, kept
    times = state.ledger
    if times.spoken and not any(one.spoken for one in turn):
        times = Ledger().stamp(Moment.TURN_ENDED, at).stamp(Moment.TRANSCRIBED, at)
    answer = _new_answer(state, user, at, times.stamp(Moment.ASKED, at))
    state = replace(state, answer=answer, generation=answer.generation, number=answer.number, voice_failed=False)
    return state, [*kept, do.Ask(answer.generation, user, answer.character), do.Checkpoint()]


def _apart(state: Conversation) -> tuple[Utterance, ...]:
    """Words that a lost connection cut off, where something was typed: the two are not joined."""
    if all(one.spoken for one in state.turn):
        return ()
    return tuple(one for one in state.turn if one.spoken and one.number <= state.severed)


def _keep_abandoned(state: Conversation, at: float) -> Step:
    """What was said to a page that is gone is a turn without an answer, as soon as all of it is transcribed."""
    abandoned = tuple(one for one in state.turn if one.abandoned)
    if not abandoned or any(one.text is None for one in abandoned):
        return state, []
    rest = tuple(one for one in state.turn if not one.abandoned)
    return _keep(replace(state, turn=rest), abandoned, at)


def _keep(state: Conversation, said: tuple[Utterance, ...], at: float) -> Step:
    """A turn without an answer: words that a lost connection or page cut off were said all the same."""
    user = _user_text(said)
    if not user:
        return state, []
    generation, number = state.generation + 1, state.number + 1
    turn = out.Turn(
        number=number,
        user=user,
        assistant="",
        character=speakers(state.cast)[0].id,
        spoken=any(one.spoken for one in said),
        cut=True,
        at=at,
    )
    state = replace(state, generation=generation, number=number, memory=state.memory.commit(turn))
    return state, [do.Send(out.TurnCommitted(generation=generation, turn=turn)), do.Checkpoint()]


def _new_answer(state: Conversation, user: str, at: float, times: Ledger) -> Answer:
    return Answer(
        generation=state.generation + 1,
        number=state.number + 1,
        character=speakers(state.cast)[0],
        user=user,
        at=at,
        asked_at=at,
        ledger=times,
    )


def prepare(state: Conversation, text: str, at: float) -> Step:
    """The user pauses and may be done: have the answer to what they said so far begun. `text`: of the utterance."""
    turn = [replace(one, text=text) if one.number == state.utterances else one for one in state.turn]
    user = _user_text(turn)
    if state.answer or not user or any(one.text is None for one in turn):
        return state, []
    answer = replace(_new_answer(state, user, at, Ledger(spoken=True)), prepared=True)
    state = replace(state, answer=answer, generation=answer.generation, voice_failed=False, guesses=state.guesses + 1)
    return state, [do.Ask(answer.generation, user, answer.character, prepared=True)]


def _confirm(state: Conversation, answer: Answer, at: float) -> Step:
    """The turn has ended: what was prepared is the answer, if it was prepared for these words."""
    user = _user_text(state.turn)
    if not alike(user, answer.user) or _apart(state):
        state, actions = withdraw(state, answer, at)
        state, more = _begin(state, at)
        return state, actions + more
    times = state.ledger.stamp(Moment.ASKED, at)
    for moment in answer.ledger.moments:
        times = times.stamp(moment, at)  # what was over before the turn was took none of its time
    won = answer.ledger.moments.get(Moment.FIRST_CHUNK, at) - answer.asked_at
    actions: list[Action] = [do.Confirm(answer.generation), do.Speculated("kept", won, len(answer.text))]
    if answer.text:
        actions.append(do.Send(_text_start(answer)))
        actions.append(do.Send(out.TextChunk(generation=answer.generation, text=answer.text)))
        if not answer.writing:
            actions.append(do.Send(out.TextStreamStop(generation=answer.generation, reason="complete")))
    if answer.notice:
        actions.append(do.Send(answer.notice))
    if state.voice_failed:
        actions.append(do.Send(out.error(Code.SYNTHESIS_UNAVAILABLE)))
    kept = replace(answer, user=user, prepared=False, refused=False, at=at, ledger=times, prepared_ms=won * 1000)
    return replace(state, answer=kept, number=kept.number, turn=(), guesses=0), [*actions, do.Checkpoint()]


def interrupt(state: Conversation, at: float) -> Step:
    """Silence at once; history keeps what was heard."""
    answer = state.answer
    if answer is None:
        return state, []
    if answer.prepared:
        return withdraw(state, answer, at)
    state, actions = stop(state, answer, "interrupted")
    state, more = _commit(state, answer, cut=True)
    return state, actions + more


def reached(state: Conversation, answer: Answer) -> bool:
    """The listener has got some of the answer: heard, or read where the voice fails."""
    if answer.prepared:
        return False
    return answer.audible or (state.voice_failed and bool(answers.heard_text(answer).strip()))


def withdraw(state: Conversation, answer: Answer, at: float) -> Step:
    """The answer, of which nothing was heard, never happened."""
    state, actions = stop(state, answer, "withdrawn")
    over = do.TurnOver("withdrawn")
    if answer.prepared:
        resumed = state.ear.phase is Phase.SPEAKING
        over = do.Speculated("resumed" if resumed else "changed", at - answer.asked_at, len(answer.text))
    return replace(state, number=answer.number - 1), [*actions, over]


def unsay(state: Conversation, answer: Answer, at: float) -> Step:
    """Withdraws the answer; what it was to answer waits again."""
    prepared = answer.prepared
    state, actions = withdraw(state, answer, at)
    if not prepared:
        number = next((one.number - 1 for one in state.turn if one.spoken), state.utterances)
        said = Utterance(number, answer.user, spoken=answer.ledger.spoken)
        state = replace(state, turn=(said, *state.turn))
    return state, actions


def stop(state: Conversation, answer: Answer, reason: Literal["interrupted", "withdrawn"]) -> Step:
    """Everything of this answer is stale from now on, wherever it is."""
    generation = state.generation + 1
    actions: list[Action] = [do.StopAnswer(generation)]
    if answer.audible:
        actions.append(do.Send(out.AudioFlush(generation=generation)))
    if answer.text and not answer.prepared and (answer.writing or reason == "withdrawn"):
        actions.append(do.Send(out.TextStreamStop(generation=answer.generation, reason=reason)))
    return replace(state, generation=generation, answer=None), actions


def pause(state: Conversation, answer: Answer) -> Step:
    """There is a voice over the answer."""
    if answer.paused or not answer.audible:
        return state, []
    return replace(state, answer=replace(answer, paused=True)), [do.Send(out.AudioPause(generation=answer.generation))]


def resume(state: Conversation, answer: Answer, at: float) -> Step:
    """It was nothing."""
    if not answer.paused:
        return state, []
    again = replace(answer, paused=False, false_alarms=answer.false_alarms + 1, echoes_from=at)
    return replace(state, answer=again, progress_at=at), [do.Send(out.AudioResume(generation=answer.generation))]


def cut_in(state: Conversation, answer: Answer, at: float) -> Step:
    """The user speaks over the answer: it stops, and if nothing of it was heard, it never happened."""
    if answers.heard_text(answer).strip():
        return interrupt(state, at)
    return unsay(state, answer, at)


def _commit(state: Conversation, answer: Answer, cut: bool) -> Step:
    turn = out.Turn(
        number=answer.number,
        user=answer.user,
        assistant=answers.heard_text(answer).rstrip(),
        character=answer.character.id,
        spoken=answer.ledger.spoken,
        cut=cut or (answer.broken and bool(answer.text)),
        at=answer.at,
        first_audio_ms=answer.first_audio_ms,
        parts=list(answer.parts),
    )
    state = replace(
        state, answer=None, memory=state.memory.commit(turn), echo_known=echo_known(replace(state, answer=answer))
    )
    outcome = "interrupted" if cut else "answered" if turn.assistant and not answer.broken else "failed"
    committed = do.Send(out.TurnCommitted(generation=answer.generation, turn=turn))
    return state, [committed, do.TurnOver(outcome), do.Checkpoint()]


def playback_started(state: Conversation, command: commands.PlaybackStarted, at: float) -> Step:
    """The listener hears the first sample: the turn's time is known."""
    answer = state.answer
    if answer is None or command.generation != answer.generation or not answer.audible:
        return state, []
    if answer.first_audio_ms is not None:
        return state, []
    total, parts = ledger.parts(answer.ledger, Heard(command.received_ms, command.started_ms, command.server_ahead_ms))
    metrics = out.TurnMetrics(
        turn=answer.number,
        generation=answer.generation,
        total_ms=total,
        spoken=answer.ledger.spoken,
        parts=parts,
        prepared_ms=answer.prepared_ms,
    )
    measured = replace(answer, first_audio_ms=total, parts=tuple(parts), echoes_from=at)
    return replace(state, answer=measured), [do.Send(metrics), do.Measure(metrics, answer.ledger)]

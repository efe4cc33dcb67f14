"""The half of the conversation's machine that listens: voice and transcripts, and what they mean for an answer.

Pure, as all of it; called by `machine`.
"""

from dataclasses import replace

from services.contracts import events as out
from services.contracts.errors import MEANINGS, Code
from services.contracts.moments import Moment
from services.dialogue import actions as do
from services.dialogue import answer as answers
from services.dialogue import answering, barge_in, endpointing, inputs
from services.dialogue.actions import Action
from services.dialogue.answer import Answer
from services.dialogue.barge_in import Verdict
from services.dialogue.conversation import (
    Conversation,
    Step,
    Utterance,
    hearing,
    overdue,
    patience,
    prepares,
    speculates,
)
from services.dialogue.endpointing import Phase
from services.dialogue.wording import Wording, wording
from services.telemetry.ledger import Ledger

OfRecognition = inputs.PartialTranscript | inputs.FinalTranscript | inputs.RecognitionFailed


def voice_started(state: Conversation, event: inputs.VoiceStarted) -> Step:
    if not hearing(state):
        return state, []
    if state.ear.phase is Phase.QUIET:
        state = replace(state, speech_start_ms=event.client_ms, speech_end_ms=0.0)
    ear, decisions = endpointing.voice(state.ear, event.at, patience(state))
    return _decided(replace(state, ear=ear), decisions, event.at)


def voice_stopped(state: Conversation, event: inputs.VoiceStopped) -> Step:
    if not hearing(state):
        return state, []
    ear, decisions = endpointing.quiet(state.ear, event.at, patience(state))
    return _decided(replace(state, ear=ear, speech_end_ms=event.client_ms), decisions, event.at)


def woken(state: Conversation, at: float) -> Step:
    ear, decisions = endpointing.elapsed(state.ear, at, patience(state))
    state, actions = _decided(replace(state, ear=ear), decisions, at)
    answer = state.answer
    goes_on = state.ear.phase is Phase.SPEAKING and at >= state.ear.counted_from + barge_in.SPEECH_S
    if answer and answer.paused and goes_on:
        state, more = _cut_in(state, answer, state.utterances, at)
        actions += more
    while (due := overdue(state)) is not None and at >= due:
        state, more = _give_up(state, at)
        actions += more
    return state, actions


def _give_up(state: Conversation, at: float) -> Step:
    """The utterance that has waited longest for its transcript gets none."""
    late = min((one for one in state.turn if one.text is None and one.over_at is not None), key=lambda one: one.number)
    message = MEANINGS[Code.RECOGNITION_UNAVAILABLE].message
    state, actions = recognised(state, inputs.RecognitionFailed(at=at, utterance=late.number, message=message))
    return state, [do.AbandonUtterance(late.number), *actions]


def finish(state: Conversation, at: float) -> Step:
    """Nobody is listened to any more: what was said so far is a turn."""
    ear, decisions = endpointing.finish(state.ear, at)
    return _decided(replace(state, ear=ear), decisions, at)


def sever(state: Conversation, at: float) -> Step:
    """No more of the speech comes: its words stand as they are, and what is typed later is not joined to them."""
    if state.ear.phase is Phase.ONSET:
        state = replace(state, ear=endpointing.QUIET)
    times = state.ledger
    typed = any(not one.spoken for one in state.turn)
    state, actions = finish(state, at)
    return replace(state, severed=state.utterances, ledger=times if typed else state.ledger), actions


def _decided(state: Conversation, decisions: list[endpointing.Decision], at: float) -> Step:
    actions: list[Action] = []
    for decision in decisions:
        match decision:
            case endpointing.Began():
                state, more = _began(state, at)
                actions += more
            case endpointing.Hesitated() if prepares(state):
                actions.append(do.PauseUtterance(state.utterances))
            case endpointing.Hesitated():
                pass
            case endpointing.Resumed():
                actions.append(do.ResumeUtterance(state.utterances))
                answer = state.answer
                if answer and answer.prepared:
                    state, more = answering.withdraw(state, answer, at)
                    actions += more
                elif answer and answer.audible:
                    state, more = answering.pause(state, answer)
                    actions += more
            case endpointing.Ended():
                times = Ledger(spoken=True, client_end_ms=state.speech_end_ms)
                times = times.stamp(Moment.SPEECH_ENDED, decision.speech_end).stamp(Moment.TURN_ENDED, at)
                turn = tuple(
                    replace(one, voiced_s=decision.voiced_s, over_at=at) if one.number == state.utterances else one
                    for one in state.turn
                )
                state = replace(state, ledger=times, turn=turn)
                if decision.forced:
                    actions.append(do.CutUtterance(state.utterances))
                else:
                    actions += [do.CloseUtterance(state.utterances), do.ExpectVoice()]
    return state, actions


def _began(state: Conversation, at: float) -> Step:
    actions: list[Action] = []
    answer = state.answer
    over = False
    if answer and not answering.reached(state, answer):
        # The user goes on before anything was heard: the answer never happened, the turn continues.
        state, actions = answering.unsay(state, answer, at)
    elif answer:
        over = not answers.nearly_over(answer, barge_in.NEAR_END_S)
        state, actions = answering.pause(state, answer)
    number = state.utterances + 1
    state = replace(state, utterances=number, turn=(*state.turn, Utterance(number, over=over)))
    return state, [*actions, do.OpenUtterance(number)]


def recognised(state: Conversation, event: OfRecognition) -> Step:
    utterance = next((one for one in state.turn if one.number == event.utterance and one.text is None), None)
    if utterance is None:
        return state, []
    if isinstance(event, inputs.PartialTranscript):
        return _partly(state, utterance, event)
    name = f"{state.prefix}{event.utterance}"
    actions: list[Action] = []
    text = event.result.text.strip() if isinstance(event, inputs.FinalTranscript) else ""
    state, cut = _weigh(state, utterance, text, event.at, complete=True)
    utterance = next(one for one in state.turn if one.number == event.utterance and one.text is None)
    unbelieved = _voiced_s(state, utterance, event.at) < barge_in.SHORTEST_WORD_S
    if utterance.over and (unbelieved or barge_in.backchannel(text)):
        text = ""  # a listener's "mm-hm" is neither a turn nor part of one
    match event:
        case inputs.FinalTranscript() if text:
            result = event.result
            finished = out.SttFinished(
                utterance=name, text=text, segments=result.segments, words=result.words, language=result.language
            )
        case inputs.FinalTranscript():
            finished = out.SttFinished(utterance=name, text="", ignored=utterance.over)
        case inputs.RecognitionFailed():
            actions.append(do.Send(out.error(Code.RECOGNITION_UNAVAILABLE, event.message)))
            finished = out.SttFinished(utterance=name, text="")
    actions.append(do.Send(finished))
    if state.ear.phase not in (Phase.QUIET, Phase.ONSET) and event.utterance == state.utterances:
        # Recognition gave up in the middle of speech: the ear starts over, so that it is never deaf.
        state = replace(state, ear=endpointing.QUIET)
        actions.append(do.ForgetVoice())
    turn = tuple(
        replace(one, text=text) if one.number == event.utterance and one.text is None else one for one in state.turn
    )
    if not any(one.text is None or one.text for one in turn):
        turn = ()
    return replace(state, turn=turn, ledger=state.ledger.stamp(Moment.TRANSCRIBED, event.at)), [*actions, *cut]


def _partly(state: Conversation, utterance: Utterance, event: inputs.PartialTranscript) -> Step:
    text = event.result.text
    update = out.SttUpdate(utterance=f"{state.prefix}{event.utterance}", text=text, committed=event.result.committed)
    actions: list[Action] = [do.Send(update)] if text.strip() else []
    current = event.utterance == state.utterances
    state, more = _weigh(state, utterance, text, event.at, complete=event.whole and current)
    actions += more
    if event.whole and current and state.ear.phase is Phase.PAUSING:
        ends = wording(text, event.result.language or state.settings.language)
        state = replace(state, ear=endpointing.said(state.ear, ends, patience(state)))
        if ends is not Wording.UNFINISHED and speculates(state):
            state, more = answering.prepare(state, text.strip(), event.at)
            actions += more
    return state, actions


def _weigh(state: Conversation, utterance: Utterance, text: str, at: float, complete: bool) -> Step:
    """What a voice over an answer has said by now, and what becomes of the answer."""
    answer: Answer | None = state.answer
    if answer is None or not answering.reached(state, answer):
        return state, []
    match barge_in.judge(text, _voiced_s(state, utterance, at), complete, reply=not utterance.over):
        case Verdict.SPEECH:
            return _cut_in(state, answer, utterance.number, at)
        case Verdict.NOTHING if utterance.number == state.utterances:
            state, actions = answering.resume(state, answer, at)
            if state.ear.phase is Phase.PAUSING and barge_in.backchannel(text):
                # What comes next is a voice of its own, with an onset of its own.
                state, more = finish(state, at)
                actions += more
            return state, actions
        case Verdict.NOTHING | Verdict.UNCLEAR:
            return state, []


def _cut_in(state: Conversation, answer: Answer, utterance: int, at: float) -> Step:
    """This utterance stops the answer, and is no listener's "mm-hm" from now on, whatever its words turn out to be."""
    turn = tuple(replace(one, over=False) if one.number == utterance else one for one in state.turn)
    return answering.cut_in(replace(state, turn=turn), answer, at)


def _voiced_s(state: Conversation, utterance: Utterance, at: float) -> float:
    """How much voice there is in the utterance, by now if it is still being said."""
    if utterance.number != state.utterances or state.ear.phase not in (Phase.SPEAKING, Phase.PAUSING):
        return utterance.voiced_s
    end = state.ear.last_speech_at if state.ear.phase is Phase.PAUSING else at
    return max(0.0, end - state.ear.counted_from)

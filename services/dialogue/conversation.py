"""What a conversation is at one moment, and what can be read off it. Frozen data."""

from dataclasses import dataclass, replace

from services.contracts import events as out
from services.contracts.audio import DOWNLINK
from services.contracts.commands import MAX_TEXT_CHARS
from services.contracts.settings import SessionSettings, Speculation
from services.dialogue import barge_in, endpointing
from services.dialogue.actions import Action
from services.dialogue.answer import Answer, Pacing, waits_for_listener
from services.dialogue.cast import Cast
from services.dialogue.endpointing import Endpointing, Patience, Phase
from services.dialogue.memory import Memory
from services.telemetry.ledger import Ledger

MAX_TURN_CHARS = 2 * MAX_TEXT_CHARS
"""What a user may say, all in all, before an answer sounds."""
MAX_GUESSES = 8
"""Answers prepared for one turn: who speaks with so many pauses is not about to be done."""
TYPED = 0
TYPED_WAITS_SECONDS = 2.5
"""So long a typed message waits for the transcript of what was said before it."""
STALL_SECONDS = 20.0
"""A client that has audio and acknowledges none of it for so long is not listening."""


@dataclass(frozen=True)
class Utterance:
    """A stretch of the user's turn: spoken between two ends of turn, or typed."""

    number: int
    """Counts what is spoken; TYPED otherwise."""
    text: str | None = None
    """None until it is transcribed."""
    spoken: bool = True
    over: bool = False
    """Spoken over an answer: "mm-hm" is no turn then."""
    voiced_s: float = 0.0
    """How much voice there was in it, once it has ended."""
    over_at: float | None = None
    """When it ended, or was typed; None while it is being said."""
    abandoned: bool = False
    """Said to a page that has been loaded anew since: history keeps it, and nobody answers it."""


@dataclass(frozen=True)
class Conversation:
    settings: SessionSettings
    cast: Cast
    memory: Memory = Memory()
    prefix: str = ""
    """Makes utterance ids unique over the sessions and their restarts."""
    can_ask: bool = True
    """A language model is configured."""
    costly: bool = False
    """Its answers cost money."""
    speculation: Speculation = "auto"
    """What the operator allows: as the setting of the session; `on` is needed from both where answers cost money."""
    guesses: int = 0
    """Answers prepared for the turn that is being said."""
    pacing: Pacing = Pacing()
    listening: bool = False
    ear: Endpointing = endpointing.QUIET
    turn: tuple[Utterance, ...] = ()
    """What the user has said and has no answer yet."""
    utterances: int = 0
    """Utterances so far, for their numbers."""
    severed: int = 0
    """Speech up to this utterance came over a connection that was lost: it is kept apart from what is typed."""
    ledger: Ledger = Ledger()
    """Of the turn being said."""
    speech_start_ms: float = 0.0
    speech_end_ms: float = 0.0
    answer: Answer | None = None
    progress_at: float = 0.0
    """When the listener last acknowledged audio of the answer, or it began."""
    voice_failed: bool = False
    """This answer's listener has been told that the voice is not available."""
    generation: int = 0
    number: int = 0
    """Turns answered so far."""
    echo_known: bool = False
    """See `echo_known`; from an answer that is over, since the client listens."""
    rate: float = 1.0
    """Seconds of speech that synthesis makes in a second, as last seen."""
    wake_at: float | None = None


Step = tuple[Conversation, list[Action]]


def mood(state: Conversation) -> out.State:
    """The conversation in one word, as the page shows it."""
    answer = state.answer
    if answer and answer.audible and not answer.paused:
        return "answering"
    if state.ear.phase in (Phase.SPEAKING, Phase.PAUSING):
        return "user_speaking"
    if answer or state.turn:
        return "thinking"
    return "listening" if state.listening else "idle"


def hearing(state: Conversation) -> bool:
    """Audio from the client is the user's speech. In half duplex it is not while an answer sounds."""
    return state.listening and (state.settings.duplex == "full" or not (state.answer and state.answer.audible))


def patience(state: Conversation) -> Patience:
    settings = state.settings
    silence = settings.silence_ms / 1000
    adaptive = settings.adaptive_silence
    usual = Patience(
        hesitation_s=min(0.2, max(0.05, silence / 5)),
        silence_s=silence,
        finished_s=max(0.2, 0.7 * silence) if adaptive else silence,
        unfinished_s=silence + min(1.0, max(0.6, silence)) if adaptive else silence,
    )
    answer = state.answer
    if answer is None or not answer.audible:
        return usual
    settling = barge_in.SETTLING_S if echo_known(state) else barge_in.ADAPTING_S
    return replace(usual, onset_s=barge_in.onset_s(answer.false_alarms), deaf_until=answer.echoes_from + settling)


def echo_known(state: Conversation) -> bool:
    """Full duplex: the client's echo canceller has heard enough of our voice to know its echo."""
    answer = state.answer
    heard = answer.played / DOWNLINK.sample_rate if answer else 0.0
    return state.echo_known or (state.listening and heard >= barge_in.ADAPTING_S)


def prepares(state: Conversation) -> bool:
    """The transcript is made in the user's pauses: for an answer in the pause, for the length of the silence to come,
    or to know what a voice over an answer has said."""
    over = state.answer is not None and state.answer.audible
    return state.settings.speculation != "off" or state.settings.adaptive_silence or over


def speculates(state: Conversation) -> bool:
    """Answers are prepared in the user's pauses, at the price of those for nothing."""
    wishes = (state.settings.speculation, state.speculation)
    if "off" in wishes or state.guesses >= MAX_GUESSES:
        return False
    return wishes == ("on", "on") or not (state.settings.response_mode == "llm" and state.costly)


def open_text(state: Conversation) -> str:
    """What the user has said and has not been answered to the end; a worker that takes over owes it."""
    said = [state.answer.user] if state.answer and not state.answer.prepared else []
    return " ".join([*said, *(one.text for one in state.turn if one.text)])


def mood_event(state: Conversation, word: out.State) -> out.ConversationState:
    return out.ConversationState(
        state=word,
        turn=state.number,
        speech_start_ms=state.speech_start_ms if word == "user_speaking" else None,
        speech_end_ms=(state.speech_end_ms or None) if word == "thinking" and state.ledger.spoken else None,
    )


def overdue(state: Conversation) -> float | None:
    """When speech that has no transcript yet is given up, so that what was typed is answered."""
    typed = [one.over_at for one in state.turn if not one.spoken and one.over_at is not None]
    ended = [one.over_at for one in state.turn if one.text is None and one.over_at is not None]
    return max(min(typed), min(ended)) + TYPED_WAITS_SECONDS if typed and ended else None


def deadline(state: Conversation) -> float | None:
    """When the conversation wants to be woken."""
    times = [state.ear.deadline] if state.ear.deadline is not None else []
    if state.answer and state.answer.paused:
        if state.ear.phase is Phase.SPEAKING:
            times.append(state.ear.counted_from + barge_in.SPEECH_S)
    elif state.answer and waits_for_listener(state.answer):
        times.append(state.progress_at + STALL_SECONDS)
    given_up = overdue(state)
    if given_up is not None:
        times.append(given_up)
    return min(times, default=None)

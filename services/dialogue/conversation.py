"""What a conversation is at one moment, and what can be read off it. Frozen data."""

from dataclasses import dataclass

from services.contracts import events as out
from services.contracts.commands import MAX_TEXT_CHARS
from services.contracts.settings import SessionSettings
from services.dialogue import endpointing
from services.dialogue.actions import Action
from services.dialogue.answer import Answer, Pacing, waits_for_listener
from services.dialogue.cast import Cast
from services.dialogue.endpointing import Endpointing, Patience, Phase
from services.dialogue.ledger import Ledger
from services.dialogue.memory import Memory

MAX_TURN_CHARS = 2 * MAX_TEXT_CHARS
"""What a user may say, all in all, before an answer sounds."""
STALL_SECONDS = 20.0
"""A client that has audio and acknowledges none of it for so long is not listening."""


@dataclass(frozen=True)
class Utterance:
    """A stretch of the user's turn: spoken between two ends of turn, or typed."""

    number: int
    text: str | None = None
    """None until it is transcribed."""
    spoken: bool = True


@dataclass(frozen=True)
class Conversation:
    settings: SessionSettings
    cast: Cast
    memory: Memory = Memory()
    prefix: str = ""
    """Makes utterance ids unique over the sessions and their restarts."""
    can_ask: bool = True
    """A language model is configured."""
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
    rate: float = 1.0
    """Seconds of speech that synthesis makes in a second, as last seen."""
    wake_at: float | None = None


Step = tuple[Conversation, list[Action]]


def mood(state: Conversation) -> out.State:
    """The conversation in one word, as the page shows it."""
    answer = state.answer
    if answer and answer.audible:
        return "answering"
    if state.ear.phase in (Phase.SPEAKING, Phase.PAUSING):
        return "user_speaking"
    if answer or state.turn:
        return "thinking"
    return "listening" if state.listening else "idle"


def hearing(state: Conversation) -> bool:
    """Audio from the client is the user's speech. In half duplex it is not while an answer sounds."""
    return state.listening and not (state.answer and state.answer.audible)


def patience(settings: SessionSettings) -> Patience:
    return Patience(silence_s=settings.silence_ms / 1000)


def open_text(state: Conversation) -> str:
    """What the user has said and has not been answered to the end; a worker that takes over owes it."""
    said = [state.answer.user] if state.answer else []
    return " ".join([*said, *(one.text for one in state.turn if one.text)])


def mood_event(state: Conversation, word: out.State) -> out.ConversationState:
    return out.ConversationState(
        state=word,
        turn=state.number,
        speech_start_ms=state.speech_start_ms if word == "user_speaking" else None,
        speech_end_ms=state.speech_end_ms if word == "thinking" and state.ledger.spoken else None,
    )


def deadline(state: Conversation) -> float | None:
    """When the conversation wants to be woken."""
    times = [state.ear.deadline] if state.ear.deadline is not None else []
    if state.answer and waits_for_listener(state.answer):
        times.append(state.progress_at + STALL_SECONDS)
    return min(times, default=None)

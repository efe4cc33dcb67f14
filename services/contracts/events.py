"""What the server says in JSON. Each is a message `{"type": <tag>, "sequence": n, ...}`.

`sequence` counts every message to the client, audio frames included; a client that reconnects
names the last one it saw.
"""

from typing import Literal

import msgspec

from services.contracts.characters import Character
from services.contracts.errors import MEANINGS, Code
from services.contracts.moments import Part
from services.contracts.settings import SessionSettings


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """The base of all events."""

    sequence: int = 0


class AnswerSource(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes the answers, in words that a page can show."""

    mode: Literal["llm", "template", "echo"]
    model: str = ""
    detail: str = ""
    """How to connect a language model, when none is."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange as history keeps it: what was said and what was heard."""

    number: int
    user: str
    assistant: str = ""
    """Only what was heard (or shown, when the voice failed)."""
    character: str = ""
    spoken: bool = False
    """The user's part was spoken, not typed."""
    cut: bool = False
    """The answer was interrupted, and `assistant` ends where the listener stopped hearing; or its writing broke off."""
    at: float = 0.0
    """Seconds since 1970 when the user's part was complete."""
    first_audio_ms: float | None = None
    """End of the user's speech to the first sample played, as the listener felt it."""
    parts: list[Part] = []
    """Where that time went; they sum to it."""


class Ready(Event, tag="ready", frozen=True, kw_only=True):
    """The session can be used."""

    protocol: int
    session_id: str
    token: str
    """Takes the session up again after a lost connection; keep it secret."""
    epoch: int
    """Goes into every audio frame's header."""
    generation: int
    resumed: bool
    complete: bool = True
    """When resumed: everything after `last_sequence` follows. False: something was lost; `history` is what remains."""
    settings: SessionSettings
    characters: list[Character]
    answer_source: AnswerSource
    history: list[Turn]


State = Literal["idle", "listening", "user_speaking", "thinking", "answering"]


class ConversationState(Event, tag="conversation_state", frozen=True, kw_only=True):
    state: State
    turn: int
    speech_start_ms: float | None = None
    """With `user_speaking`: when the speech began, on the client's clock (from its frames' times)."""
    speech_end_ms: float | None = None
    """With `thinking` after speech: when it ended, on the client's clock."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    start: float
    """Seconds from the start of the utterance."""
    end: float


class Word(msgspec.Struct, frozen=True, kw_only=True):
    word: str
    start: float
    end: float
    probability: float = 1.0


class SttUpdate(Event, tag="stt_update", frozen=True, kw_only=True):
    """A partial transcript; replaces the one before of the same utterance."""

    utterance: str
    text: str
    committed: int = 0
    """So many leading characters will not change any more."""


class SttFinished(Event, tag="stt_finished", frozen=True, kw_only=True):
    """The final transcript of an utterance, once."""

    utterance: str
    text: str
    """Empty: nothing understandable was said, and no answer follows."""
    ignored: bool = False
    """Empty because it was a noise or an "mm-hm" over an answer: there is nothing to be said again."""
    segments: list[Segment] = []
    words: list[Word] = []
    language: str = ""


class TextStreamStart(Event, tag="text_stream_start", frozen=True, kw_only=True):
    turn: int
    generation: int
    character: str


class TextChunk(Event, tag="text_chunk", frozen=True, kw_only=True):
    """Tokens of the answer as they come."""

    generation: int
    text: str


class TextStreamStop(Event, tag="text_stream_stop", frozen=True, kw_only=True):
    generation: int
    reason: Literal["complete", "interrupted", "failed", "withdrawn"]
    """withdrawn: the user went on speaking before the answer was heard; it never happened, and another follows."""


class AudioStreamStart(Event, tag="audio_stream_start", frozen=True, kw_only=True):
    """Audio of this generation follows. A half-duplex page stops listening."""

    generation: int
    character: str
    sample_rate: int


class AudioStreamStop(Event, tag="audio_stream_stop", frozen=True, kw_only=True):
    """The answer's last frame has been sent. The page listens again when that frame has been *played*."""

    generation: int
    last_sequence: int
    """The last audio frame's sequence number."""
    samples: int
    """Samples of the whole answer."""


class AudioFlush(Event, tag="audio_flush", frozen=True, kw_only=True):
    """Drop queued audio of every generation older than this one, now."""

    generation: int


class AudioPause(Event, tag="audio_pause", frozen=True, kw_only=True):
    """Full duplex: there is a voice over the answer. Hold its audio, fall silent, say in `played` where; it is either
    flushed (someone talks) or resumed (it was a cough, or an "mm-hm")."""

    generation: int


class AudioResume(Event, tag="audio_resume", frozen=True, kw_only=True):
    """Play on from where `audio_pause` held."""

    generation: int


class TurnCommitted(Event, tag="turn_committed", frozen=True, kw_only=True):
    """The turn as history keeps it."""

    generation: int
    turn: Turn


class TurnMetrics(Event, tag="turn_metrics", frozen=True, kw_only=True):
    """Where the time of a turn went. The parts sum to `total_ms`."""

    turn: int
    generation: int
    total_ms: float
    """End of the user's speech (or the typed message) to the first sample played."""
    spoken: bool
    parts: list[Part]
    prepared_ms: float = 0.0
    """So much of the work was done before the turn was over, in the pause; it is in no part."""
    trace_id: str = ""
    """Of the turn's trace, 32 hex digits; empty where nobody records it."""


class History(Event, tag="history", frozen=True, kw_only=True):
    exported_at: float
    """Seconds since 1970."""
    settings: SessionSettings
    turns: list[Turn]


class SettingsChanged(Event, tag="settings_changed", frozen=True, kw_only=True):
    settings: SessionSettings


class ResetDone(Event, tag="reset_done", frozen=True, kw_only=True):
    """Context and history are forgotten."""

    generation: int


class Pong(Event, tag="pong", frozen=True, kw_only=True):
    at_ms: float
    """As it came in `ping`."""
    server_ms: float
    """Milliseconds since 1970 on the server's clock."""


class Error(Event, tag="error", frozen=True, kw_only=True):
    """Something did not work; see `errors.MEANINGS`."""

    code: Code
    message: str
    recoverable: bool
    retry_after_ms: int | None = None


def error(code: Code, message: str = "", retry_after_ms: int | None = None) -> Error:
    """The error event of a code, with its own sentence or a more exact one."""
    meaning = MEANINGS[code]
    return Error(
        code=code,
        message=message or meaning.message,
        recoverable=meaning.recoverable,
        retry_after_ms=retry_after_ms,
    )


AnyEvent = (
    Ready
    | ConversationState
    | SttUpdate
    | SttFinished
    | TextStreamStart
    | TextChunk
    | TextStreamStop
    | AudioStreamStart
    | AudioStreamStop
    | AudioFlush
    | AudioPause
    | AudioResume
    | TurnCommitted
    | TurnMetrics
    | History
    | SettingsChanged
    | ResetDone
    | Pong
    | Error
)
_decoder = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    return msgspec.json.encode(event)


def decode(message: bytes | str) -> AnyEvent:
    """The event in a JSON message, for clients written in Python. Raises msgspec.DecodeError."""
    return _decoder.decode(message)

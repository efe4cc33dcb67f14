"""What happens to a conversation. `at` is always in seconds on the worker's clock.

An utterance is known by its number within the session, an answer by its generation, a sentence of it by its slot.
"""

from dataclasses import dataclass

from services.contracts.commands import AnyCommand
from services.contracts.errors import Code
from services.contracts.speech import RecognitionResult


@dataclass(frozen=True, kw_only=True)
class Input:
    at: float


@dataclass(frozen=True, kw_only=True)
class Commanded(Input):
    """The client said something."""

    command: AnyCommand


@dataclass(frozen=True, kw_only=True)
class Restored(Input):
    """The session was taken over from another worker, which still owed the answer to this."""

    user: str


@dataclass(frozen=True, kw_only=True)
class ConnectionLost(Input):
    """No audio and no commands come for now; the session goes on."""


@dataclass(frozen=True, kw_only=True)
class ConnectionBack(Input):
    """The client is there again."""

    fresh: bool
    """It remembers nothing (the page was loaded anew): what was playing there has stopped."""


@dataclass(frozen=True, kw_only=True)
class Woken(Input):
    """The time asked for with `WakeAt` has come."""


@dataclass(frozen=True, kw_only=True)
class VoiceStarted(Input):
    """The detector hears voice. `at`: its first sample."""

    client_ms: float
    """The same sample on the client's clock, ms since 1970."""


@dataclass(frozen=True, kw_only=True)
class VoiceStopped(Input):
    """The detector hears voice no more. `at`: its last sample."""

    client_ms: float


@dataclass(frozen=True, kw_only=True)
class PartialTranscript(Input):
    utterance: int
    result: RecognitionResult
    whole: bool = False
    """It is of all that was said before a pause that still lasts."""


@dataclass(frozen=True, kw_only=True)
class FinalTranscript(Input):
    utterance: int
    result: RecognitionResult


@dataclass(frozen=True, kw_only=True)
class RecognitionFailed(Input):
    utterance: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Token(Input):
    generation: int
    text: str


@dataclass(frozen=True, kw_only=True)
class AnswerWritten(Input):
    generation: int


@dataclass(frozen=True, kw_only=True)
class AnswerFailed(Input):
    generation: int
    code: Code
    message: str


@dataclass(frozen=True, kw_only=True)
class AnswerReplaced(Input):
    """Another source than the chosen one writes this answer, for the chosen one failed before its first word."""

    generation: int
    code: Code
    message: str


@dataclass(frozen=True, kw_only=True)
class SpeechChunk(Input):
    generation: int
    slot: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class SpeechDone(Input):
    generation: int
    slot: int
    seconds: float
    """Wall time that synthesis took, for the pacing."""


@dataclass(frozen=True, kw_only=True)
class SpeechFailed(Input):
    generation: int
    slot: int
    message: str


@dataclass(frozen=True, kw_only=True)
class SpeechRefused(Input):
    """Synthesis has no room for a slot that is only prepared."""

    generation: int
    slot: int


@dataclass(frozen=True, kw_only=True)
class AudioSent(Input):
    """The first frame of the answer has left."""

    generation: int


@dataclass(frozen=True, kw_only=True)
class Relayed(Input):
    """The edge says when the turn passed it; times as `at`, as well as its clock is known."""

    generation: int
    heard: float | None
    """It got the last of the user's speech, or the typed message; None: it does not know."""
    took: float
    """It got the first audio frame of the answer."""
    sent: float
    """It had written that to the client's connection."""


@dataclass(frozen=True, kw_only=True)
class AudioDrained(Input):
    """The last frame of the answer has left."""

    generation: int
    last_sequence: int
    samples: int
    """Of the whole answer."""


Event = (
    Commanded
    | Restored
    | ConnectionLost
    | ConnectionBack
    | Woken
    | VoiceStarted
    | VoiceStopped
    | PartialTranscript
    | FinalTranscript
    | RecognitionFailed
    | Token
    | AnswerWritten
    | AnswerFailed
    | AnswerReplaced
    | SpeechChunk
    | SpeechDone
    | SpeechFailed
    | SpeechRefused
    | AudioSent
    | Relayed
    | AudioDrained
)

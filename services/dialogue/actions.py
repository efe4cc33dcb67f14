"""What a conversation wants done. The shell performs actions in order and never decides."""

from dataclasses import dataclass
from typing import Literal

from services.contracts.characters import Character
from services.contracts.events import AnyEvent, TurnMetrics
from services.telemetry.ledger import Ledger


@dataclass(frozen=True)
class Send:
    """To the client."""

    event: AnyEvent


@dataclass(frozen=True)
class WakeAt:
    """Give `Woken` at this time; replaces the time asked for before. None: not at all."""

    at: float | None


@dataclass(frozen=True)
class ForgetVoice:
    """What the detector and the pre-roll hold belongs to another moment."""


@dataclass(frozen=True)
class ExpectVoice:
    """A turn has ended; voice that goes on without a pause is the beginning of another."""


@dataclass(frozen=True)
class OpenUtterance:
    """Give the pre-roll and what follows to recognition."""

    utterance: int


@dataclass(frozen=True)
class PauseUtterance:
    """The turn may be over: have the transcript prepared, hold back what follows."""

    utterance: int


@dataclass(frozen=True)
class ResumeUtterance:
    """It was only a pause: give on what was held back."""

    utterance: int


@dataclass(frozen=True)
class CloseUtterance:
    """The turn is over: have the final transcript."""

    utterance: int


@dataclass(frozen=True)
class CutUtterance:
    """It is as long as it may be: it ends where it was quietest of late, and the voice goes on from there."""

    utterance: int


@dataclass(frozen=True)
class AbandonUtterance:
    """Nobody waits for this transcript any longer."""

    utterance: int


@dataclass(frozen=True)
class DropUtterances:
    """Nobody wants the transcript of what is open."""


@dataclass(frozen=True)
class Ask:
    """Have the answer written. `prepared`: the user may go on; none of its audio leaves before `Confirm`."""

    generation: int
    user: str
    character: Character
    prepared: bool = False


@dataclass(frozen=True)
class Confirm:
    """The turn has ended as it was expected to: the prepared answer is the answer."""

    generation: int


@dataclass(frozen=True)
class Synthesise:
    generation: int
    slot: int
    text: str
    character: Character
    prepared: bool = False
    """Only if there is room besides answers that are waited for."""


@dataclass(frozen=True)
class SkipSlot:
    """This slot has no audio."""

    generation: int
    slot: int


@dataclass(frozen=True)
class CloseAudio:
    """The answer has so many slots."""

    generation: int
    slots: int


@dataclass(frozen=True)
class StopAnswer:
    """All work for generations older than this one is stale."""

    generation: int


@dataclass(frozen=True)
class Measure:
    """A turn's time was measured."""

    metrics: TurnMetrics
    ledger: Ledger


@dataclass(frozen=True)
class Speculated:
    """An answer was prepared; for the counters. `seconds`: what it won, or took for nothing."""

    outcome: Literal["kept", "resumed", "changed"]
    seconds: float
    characters: int
    """Of text that was written by then."""


@dataclass(frozen=True)
class TurnOver:
    """A turn was committed to memory, or lost its answer; for the counters."""

    outcome: str


@dataclass(frozen=True)
class Checkpoint:
    """A milestone: what the conversation holds now must outlive this worker."""


Action = (
    Send
    | WakeAt
    | ForgetVoice
    | ExpectVoice
    | OpenUtterance
    | PauseUtterance
    | ResumeUtterance
    | CloseUtterance
    | CutUtterance
    | AbandonUtterance
    | DropUtterances
    | Ask
    | Confirm
    | Synthesise
    | SkipSlot
    | CloseAudio
    | StopAnswer
    | Measure
    | Speculated
    | TurnOver
    | Checkpoint
)

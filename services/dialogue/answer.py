"""One answer on its way to the listener: text as it is written, slots as they are spoken, what was heard.

Pure. The text is cut into pieces; each piece gets a slot; slots are synthesised a few at a time and
played strictly in order. A slot that fails becomes text, never a stall.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from services.contracts.audio import DOWNLINK
from services.contracts.characters import Character
from services.contracts.events import Error
from services.contracts.moments import Part
from services.dialogue.sentences import Cutter, Piece, feed, finish
from services.dialogue.speakable import heard, speakable
from services.telemetry.ledger import Ledger

_SAMPLES_PER_CHARACTER = int(0.065 * DOWNLINK.sample_rate)
"""A usual pace of speech, to judge how far into a sentence the listener is before its length is known."""


class SlotState(Enum):
    WAITING = auto()
    SPEAKING = auto()
    """Synthesis has it."""
    SPOKEN = auto()
    """All of its samples are known."""
    SILENT = auto()
    """Nothing in it can be said aloud, or its synthesis failed: it is read, not heard."""


@dataclass(frozen=True)
class Slot:
    raw: str
    """Its part of the answer's text, as shown."""
    text: str
    """What the voice says."""
    state: SlotState
    samples: int = 0


@dataclass(frozen=True)
class Pacing:
    concurrent: int = 3
    """Sentences in synthesis at once."""
    ahead_s: float = 5.0
    """No further sentence is given to synthesis while more than this waits to be played."""
    sequential_rate: float = 3.0
    """Where synthesis is so many times faster than speech, one sentence at a time keeps up and each can
    hear the last."""


@dataclass(frozen=True)
class Answer:
    generation: int
    number: int
    """The turn's."""
    character: Character
    user: str
    at: float
    """When the user's turn was complete, seconds since 1970."""
    ledger: Ledger
    text: str = ""
    """All that was written so far."""
    cutter: Cutter = field(default_factory=Cutter)
    notice: Error | None = None
    """Who else writes it, to be said once the listener may know of the answer."""
    writing: bool = True
    broken: bool = False
    """Its writing failed: what there is of it is not the whole."""
    slots: tuple[Slot, ...] = ()
    prepared: bool = False
    """Made in a pause of the user, who may go on: nobody is told of it until the turn has ended."""
    refused: bool = False
    """Synthesis has no room for what is only prepared; it is asked again when the turn has ended."""
    asked_at: float = 0.0
    """When it was begun, on the worker's clock."""
    audible: bool = False
    """The listener has been told that audio comes."""
    echoes_from: float = 0.0
    """Its sound began, or went on: for a moment now the client's microphone may hear it."""
    paused: bool = False
    """Held while there is a voice over it."""
    false_alarms: int = 0
    """So often it was paused for nothing."""
    prepared_ms: float = 0.0
    """So much of its making was over before the turn was."""
    closed: bool = False
    """Playout knows that no more slots come."""
    sent: int | None = None
    """Samples of the whole answer, once the last frame was sent."""
    played: int = 0
    """Samples that the listener has heard."""
    first_audio_ms: float | None = None
    parts: tuple[Part, ...] = ()
    """Where that time went."""


def written(answer: Answer, text: str) -> Answer:
    """Tokens came."""
    cutter, pieces = feed(answer.cutter, text)
    return replace(answer, cutter=cutter, text=answer.text + text, slots=answer.slots + _slots(pieces))


def complete(answer: Answer, broken: bool = False) -> Answer:
    """The last token has come."""
    return replace(answer, writing=False, broken=broken, slots=answer.slots + _slots(finish(answer.cutter)))


def _slots(pieces: Sequence[Piece]) -> tuple[Slot, ...]:
    slots: list[Slot] = []
    for piece in pieces:
        text = "" if piece.code else speakable(piece.text)
        slots.append(Slot(piece.raw, text, SlotState.WAITING if text else SlotState.SILENT))
    return tuple(slots)


def dispatch(answer: Answer, pacing: Pacing, rate: float) -> tuple[Answer, list[int]]:
    """The slots to give to synthesis now. `rate`: seconds of speech that synthesis makes in a second."""
    limit = 1 if rate >= pacing.sequential_rate else pacing.concurrent
    speaking = sum(slot.state is SlotState.SPEAKING for slot in answer.slots)
    if answer.prepared:
        # The first sentence is all that an answer that may never be heard is worth.
        limit = 1 if head(answer) == _first_spoken(answer) and not answer.refused else 0
    waiting_s = unheard_s(answer)
    chosen: list[int] = []
    if waiting_s <= pacing.ahead_s:
        for index, slot in enumerate(answer.slots):
            if speaking + len(chosen) >= limit:
                break
            if slot.state is SlotState.WAITING:
                chosen.append(index)
    for index in chosen:
        answer = _with(answer, index, replace(answer.slots[index], state=SlotState.SPEAKING))
    return answer, chosen


def chunk(answer: Answer, index: int, samples: int) -> Answer:
    """Samples of a slot came from synthesis."""
    slot = answer.slots[index]
    return _with(answer, index, replace(slot, samples=slot.samples + samples))


def spoken(answer: Answer, index: int) -> Answer:
    """The last samples of a slot have come, or its synthesis failed after some."""
    slot = answer.slots[index]
    return _with(answer, index, replace(slot, state=SlotState.SPOKEN if slot.samples else SlotState.SILENT))


def refuse(answer: Answer, index: int) -> Answer:
    """Synthesis did not take a slot of a prepared answer."""
    return _with(replace(answer, refused=True), index, replace(answer.slots[index], state=SlotState.WAITING))


def head(answer: Answer) -> int:
    """The first slot whose audio is not all there yet; the number of slots when there is none."""
    for index, slot in enumerate(answer.slots):
        if slot.state in (SlotState.WAITING, SlotState.SPEAKING):
            return index
    return len(answer.slots)


def sounds(answer: Answer) -> bool:
    """The first audio of the answer, in order, is there."""
    first = _first_spoken(answer)
    return first < len(answer.slots) and answer.slots[first].samples > 0


def _first_spoken(answer: Answer) -> int:
    """The first slot with something to be said aloud; the number of slots when there is none."""
    for index, slot in enumerate(answer.slots):
        if slot.state is not SlotState.SILENT:
            return index
    return len(answer.slots)


def unheard_s(answer: Answer) -> float:
    """Seconds of its audio that are there and were not heard yet."""
    return (sum(slot.samples for slot in answer.slots) - answer.played) / DOWNLINK.sample_rate


def nearly_over(answer: Answer, seconds: float) -> bool:
    """At most so much of it is left."""
    return all_spoken(answer) and unheard_s(answer) <= seconds


def waits_for_listener(answer: Answer) -> bool:
    """There is audio that the listener has not acknowledged."""
    return answer.audible and answer.played < sum(slot.samples for slot in answer.slots)


def all_spoken(answer: Answer) -> bool:
    """Everything is written and synthesised."""
    return not answer.writing and head(answer) == len(answer.slots)


def is_over(answer: Answer) -> bool:
    """The listener has got all of it: heard where there is audio, read where there is none."""
    if not all_spoken(answer):
        return False
    if not answer.audible:
        return True
    return answer.sent is not None and answer.played >= answer.sent


def heard_text(answer: Answer) -> str:
    """The part of the text that the listener has got, to the word. Nothing is added to it."""
    if is_over(answer) or _silent_so_far(answer):
        return answer.text
    left = answer.played
    said: list[str] = []
    for slot in answer.slots:
        match slot.state:
            case SlotState.SILENT:
                said.append(slot.raw)
                continue
            case SlotState.SPOKEN:
                whole = slot.samples
            case SlotState.SPEAKING:
                whole = max(slot.samples + 1, len(slot.text) * _SAMPLES_PER_CHARACTER)
            case SlotState.WAITING:
                break
        if left < whole:
            said.append(heard(slot.raw, left / whole))
            break
        said.append(slot.raw)
        left -= whole
    return "".join(said)


def _silent_so_far(answer: Answer) -> bool:
    """Nothing of it was or will be spoken: it is read as it is written."""
    return bool(answer.slots) and all(slot.state is SlotState.SILENT for slot in answer.slots)


def _with(answer: Answer, index: int, slot: Slot) -> Answer:
    return replace(answer, slots=(*answer.slots[:index], slot, *answer.slots[index + 1 :]))

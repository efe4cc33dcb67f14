"""When does the user's turn begin, pause and end? A pure machine over voice decisions, words and one timer.

    quiet ── voice ──> onset ── held for `onset_s` ──> speaking ── quiet ──> pausing
      ^                  │ quiet: a click, forgotten       ^ ── voice ──────────┘ │
      └──────────────────┴───────────── silence held: the turn has ended ─────────┘

All times are seconds on the worker's clock and belong to samples, not to the moment of deciding: the silence
that ends a turn is counted from the last speech sample, however late the detector was. How long it must be is
a matter of what was said: "and then I" is waited for.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from services.dialogue.wording import Wording


class Phase(Enum):
    QUIET = auto()
    ONSET = auto()
    """There is voice, but not yet enough of it to be speech."""
    SPEAKING = auto()
    PAUSING = auto()


@dataclass(frozen=True)
class Patience:
    """The settings of endpointing, in seconds."""

    onset_s: float = 0.09
    """Voice shorter than this is a click or a breath."""
    deaf_until: float = 0.0
    """Voice before this time counts from this time on: an answer's first moments, which echo."""
    hesitation_s: float = 0.2
    """Silence after which the transcript may be prepared."""
    silence_s: float = 0.5
    """Silence after the last speech sample that ends the turn."""
    finished_s: float = 0.5
    """The same after words that plainly end."""
    unfinished_s: float = 0.5
    """The same after words that plainly do not."""
    long_s: float = 44.0
    """A turn that has lasted so long ends with its next pause, however short: better there than in a word."""
    longest_s: float = 50.0
    """A turn is ended by force after so long; recognition takes utterances of up to 60 s."""

    def silence(self, wording: Wording) -> float:
        match wording:
            case Wording.FINISHED:
                return self.finished_s
            case Wording.UNFINISHED:
                return self.unfinished_s
            case Wording.OPEN:
                return self.silence_s


@dataclass(frozen=True)
class Endpointing:
    phase: Phase = Phase.QUIET
    started_at: float = 0.0
    """First speech sample of the turn."""
    counted_from: float = 0.0
    """From here on the voice counts: `started_at`, or the end of the moments in which it could be an echo. Moved on by
    every pause, so that the time since then is the voice's."""
    last_speech_at: float = 0.0
    """Last speech sample heard; valid from PAUSING on."""
    hesitated: bool = False
    """In PAUSING: `Hesitated` has been said for this pause."""
    wording: Wording = Wording.OPEN
    """In PAUSING: how what was said so far ends, as far as it is known."""
    deadline: float | None = None
    """When the machine wants `elapsed` to be called."""


@dataclass(frozen=True)
class Began:
    """The user speaks. `at`: the first speech sample."""

    at: float


@dataclass(frozen=True)
class Hesitated:
    """A pause long enough to prepare for the end of the turn."""


@dataclass(frozen=True)
class Resumed:
    """The pause after `Hesitated` was only a pause."""


@dataclass(frozen=True)
class Ended:
    """The user is done. `speech_end`: the last speech sample; `voiced_s`: of voice that counts, without its pauses."""

    speech_end: float
    voiced_s: float
    forced: bool = False
    """They are not done: the turn is as long as it may be."""


Decision = Began | Hesitated | Resumed | Ended
QUIET = Endpointing()


def voice(state: Endpointing, at: float, patience: Patience) -> tuple[Endpointing, list[Decision]]:
    """The detector hears voice; `at` is the first sample of it."""
    match state.phase:
        case Phase.QUIET:
            counted = max(at, patience.deaf_until)
            onset = Endpointing(Phase.ONSET, started_at=at, counted_from=counted, deadline=counted + patience.onset_s)
            return onset, []
        case Phase.PAUSING:
            decisions: list[Decision] = [Resumed()] if state.hesitated else []
            counted = state.counted_from + max(0.0, at - state.last_speech_at)
            speaking = _speaking(replace(state, counted_from=counted), patience)
            return replace(speaking, hesitated=False, wording=Wording.OPEN), decisions
        case Phase.ONSET | Phase.SPEAKING:
            return state, []


def quiet(state: Endpointing, at: float, patience: Patience) -> tuple[Endpointing, list[Decision]]:
    """The detector hears voice no more; `at` is the last sample of it."""
    match state.phase:
        case Phase.ONSET:
            if at - state.counted_from < patience.onset_s:
                return QUIET, []
            # The decision came late, in one burst of frames: it was speech all the same.
            return _pause(state, at, patience), [Began(state.started_at)]
        case Phase.SPEAKING if at >= state.started_at + patience.long_s:
            return QUIET, [_ended(state, at)]
        case Phase.SPEAKING:
            return _pause(state, at, patience), []
        case Phase.QUIET | Phase.PAUSING:
            return state, []


def said(state: Endpointing, wording: Wording, patience: Patience) -> Endpointing:
    """The transcript of all that was said before this pause is there, and ends like this."""
    if state.phase is not Phase.PAUSING or not state.hesitated:
        return state
    return replace(state, wording=wording, deadline=state.last_speech_at + patience.silence(wording))


def elapsed(state: Endpointing, now: float, patience: Patience) -> tuple[Endpointing, list[Decision]]:
    """Time has reached `now`. Does nothing before the deadline, so a stale timer is harmless."""
    if state.deadline is None or now < state.deadline:
        return state, []
    match state.phase:
        case Phase.ONSET:
            return _speaking(state, patience), [Began(state.started_at)]
        case Phase.SPEAKING:
            return QUIET, [replace(_ended(state, now), forced=True)]
        case Phase.PAUSING:
            end = state.last_speech_at + patience.silence(state.wording)
            if now >= end:
                return QUIET, [_ended(state, state.last_speech_at)]
            return replace(state, hesitated=True, deadline=end), [] if state.hesitated else [Hesitated()]
        case Phase.QUIET:
            return state, []


def finish(state: Endpointing, now: float) -> tuple[Endpointing, list[Decision]]:
    """The user pressed stop: what was said so far is a turn."""
    match state.phase:
        case Phase.QUIET:
            return state, []
        case Phase.ONSET:
            return QUIET, [Began(state.started_at), _ended(state, now)]
        case Phase.SPEAKING:
            return QUIET, [_ended(state, now)]
        case Phase.PAUSING:
            return QUIET, [_ended(state, state.last_speech_at)]


def _speaking(state: Endpointing, patience: Patience) -> Endpointing:
    return replace(state, phase=Phase.SPEAKING, deadline=state.started_at + patience.longest_s)


def _pause(state: Endpointing, at: float, patience: Patience) -> Endpointing:
    deadline = at + min(patience.hesitation_s, patience.silence_s)
    return replace(
        state, phase=Phase.PAUSING, last_speech_at=at, hesitated=False, wording=Wording.OPEN, deadline=deadline
    )


def _ended(state: Endpointing, speech_end: float) -> Ended:
    return Ended(speech_end, max(0.0, speech_end - state.counted_from))

"""When does the user's turn begin, pause and end? A pure machine over voice decisions and one timer.

    quiet ── voice ──> onset ── held for `onset_s` ──> speaking ── quiet ──> pausing
      ^                  │ quiet: a click, forgotten       ^ ── voice ──────────┘ │
      └──────────────────┴───────────── silence held: the turn has ended ─────────┘

All times are seconds on the worker's clock and belong to samples, not to the moment of deciding: the silence
that ends a turn is counted from the last speech sample, however late the detector was.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto


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
    hesitation_s: float = 0.2
    """Silence after which recognition may start preparing the transcript."""
    silence_s: float = 0.5
    """Silence after the last speech sample that ends the turn."""
    longest_s: float = 50.0
    """A turn is ended by force after so long; recognition takes utterances of up to 60 s."""


@dataclass(frozen=True)
class Endpointing:
    phase: Phase = Phase.QUIET
    started_at: float = 0.0
    """First speech sample of the turn."""
    last_speech_at: float = 0.0
    """Last speech sample heard; valid from PAUSING on."""
    hesitated: bool = False
    """In PAUSING: `Hesitated` has been said for this pause."""
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
    """The user is done. `speech_end`: the last speech sample."""

    speech_end: float


Decision = Began | Hesitated | Resumed | Ended
QUIET = Endpointing()


def voice(state: Endpointing, at: float, patience: Patience) -> tuple[Endpointing, list[Decision]]:
    """The detector hears voice; `at` is the first sample of it."""
    match state.phase:
        case Phase.QUIET:
            return Endpointing(Phase.ONSET, started_at=at, deadline=at + patience.onset_s), []
        case Phase.PAUSING:
            decisions: list[Decision] = [Resumed()] if state.hesitated else []
            speaking = replace(
                state, phase=Phase.SPEAKING, hesitated=False, deadline=state.started_at + patience.longest_s
            )
            return speaking, decisions
        case Phase.ONSET | Phase.SPEAKING:
            return state, []


def quiet(state: Endpointing, at: float, patience: Patience) -> tuple[Endpointing, list[Decision]]:
    """The detector hears voice no more; `at` is the last sample of it."""
    match state.phase:
        case Phase.ONSET:
            if at - state.started_at < patience.onset_s:
                return QUIET, []
            # The decision came late, in one burst of frames: it was speech all the same.
            return _pause(state, at, patience), [Began(state.started_at)]
        case Phase.SPEAKING:
            return _pause(state, at, patience), []
        case Phase.QUIET | Phase.PAUSING:
            return state, []


def _pause(state: Endpointing, at: float, patience: Patience) -> Endpointing:
    deadline = at + min(patience.hesitation_s, patience.silence_s)
    return replace(state, phase=Phase.PAUSING, last_speech_at=at, hesitated=False, deadline=deadline)


def elapsed(state: Endpointing, now: float, patience: Patience) -> tuple[Endpointing, list[Decision]]:
    """Time has reached `now`. Does nothing before the deadline, so a stale timer is harmless."""
    if state.deadline is None or now < state.deadline:
        return state, []
    match state.phase:
        case Phase.ONSET:
            speaking = replace(state, phase=Phase.SPEAKING, deadline=state.started_at + patience.longest_s)
            return speaking, [Began(state.started_at)]
        case Phase.SPEAKING:
            return QUIET, [Ended(now)]
        case Phase.PAUSING:
            end = state.last_speech_at + patience.silence_s
            if now >= end:
                return QUIET, [Ended(state.last_speech_at)]
            return replace(state, hesitated=True, deadline=end), [] if state.hesitated else [Hesitated()]
        case Phase.QUIET:
            return state, []


def finish(state: Endpointing, now: float) -> tuple[Endpointing, list[Decision]]:
    """The user pressed stop: what was said so far is a turn."""
    match state.phase:
        case Phase.QUIET:
            return state, []
        case Phase.ONSET:
            return QUIET, [Began(state.started_at), Ended(now)]
        case Phase.SPEAKING:
            return QUIET, [Ended(now)]
        case Phase.PAUSING:
            return QUIET, [Ended(state.last_speech_at)]

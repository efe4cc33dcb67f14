"""What to start, restart and end, and when: a pure core without processes or clock.

`step(state, event, now) -> (state, actions)`. Time is seconds on any steady clock and only ever comes in as
`now`; `wake_at(state)` says when the core wants to be stepped with `Tick` at the latest.

The life of a part: WAITING (for the parts it is `after`) → STARTING → READY → ENDED. A part that dies, or
that is ended because it answers no more, is RESTING before it is started again: half a second at first, twice
that after each further failure, ten seconds at most, and half a second again once it was ready for a minute.
While the stack has not been ready once, a part that keeps failing ends everything instead: nobody is helped
by a start that never comes to an end. So does exit status 2, a part's word for a wrong configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

FIRST_REST = 0.5
LONGEST_REST = 10.0
HEALTHY_AFTER = 60.0
ATTEMPTS_BEFORE_FIRST_READY = 3
MISSES_ALLOWED = 2
"""A part that misses one check more than this in a row is restarted: a busy machine alone must not do that."""
STOP_WITHIN = 4.5
"""Everything is gone so many seconds after a stop was asked for, in order or by force."""
CONFIGURATION_STATUS = 2


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    after: tuple[str, ...] = ()
    """Started when these are ready; on a stop, ended before they are."""
    ready_within: float = 30.0
    stop_within: float = 1.0
    """Killed when it is still there so many seconds after it was asked to end."""


class Phase(Enum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    KILLED = "killed"
    RESTING = "resting"
    ENDED = "ended"


RUNNING = frozenset({Phase.STARTING, Phase.READY, Phase.STOPPING, Phase.KILLED})
"""A process is there."""


@dataclass(frozen=True, slots=True)
class Life:
    phase: Phase = Phase.WAITING
    since: float = 0.0
    rest: float = 0.0
    """With RESTING: how long."""
    failures: int = 0
    """In a row."""
    misses: int = 0
    """Checks missed in a row."""
    was_ready: bool = False


@dataclass(frozen=True, slots=True)
class State:
    parts: tuple[Part, ...]
    lives: Mapping[str, Life] = field(default_factory=dict[str, Life])
    up: bool = False
    """All parts were ready at once, once."""
    stopping_since: float | None = None
    status: int = 0
    """What the launcher will exit with."""

    @property
    def finished(self) -> bool:
        return self.stopping_since is not None and all(life.phase is Phase.ENDED for life in self.lives.values())


# Events
@dataclass(frozen=True, slots=True)
class Tick:
    """Time went by."""


@dataclass(frozen=True, slots=True)
class Ready:
    part: str


@dataclass(frozen=True, slots=True)
class Exited:
    part: str
    status: int
    """As subprocess has it: negative when a signal ended it."""


@dataclass(frozen=True, slots=True)
class CheckPassed:
    part: str


@dataclass(frozen=True, slots=True)
class CheckMissed:
    part: str
    why: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The first ends everything in order, the second at once."""


Event = Tick | Ready | Exited | CheckPassed | CheckMissed | StopAsked


# Actions
@dataclass(frozen=True, slots=True)
class Start:
    part: str


@dataclass(frozen=True, slots=True)
class Terminate:
    part: str


@dataclass(frozen=True, slots=True)
class Kill:
    part: str


@dataclass(frozen=True, slots=True)
class Say:
    part: str
    text: str
    trouble: bool = False


@dataclass(frozen=True, slots=True)
class ShowLastWords:
    """Print what the part said before it ended and was not shown: it may explain why everything ends now."""

    part: str


@dataclass(frozen=True, slots=True)
class AllReady:
    """Every part is ready for the first time."""


Action = Start | Terminate | Kill | Say | ShowLastWords | AllReady


def begin(parts: tuple[Part, ...]) -> State:
    """The state before anything runs. Raises ValueError when a part is after one that comes later or is unknown."""
    seen: set[str] = set()
    for part in parts:
        unknown = [name for name in part.after if name not in seen]
        if unknown or part.name in seen:
            raise ValueError(f"{part.name} must come once, and after {', '.join(unknown) or 'no other of its name'}")
        seen.add(part.name)
    return State(parts=parts, lives={part.name: Life() for part in parts})


def step(state: State, event: Event, now: float) -> tuple[State, list[Action]]:
    """The state after an event, and what is to be done now, in order."""
    actions: list[Action] = []
    match event:
        case Ready(part):
            state = _ready(state, part, now, actions)
        case Exited(part, status):
            state = _exited(state, part, status, now, actions)
        case CheckPassed(part):
            if state.lives[part].misses:
                state = _with(state, part, misses=0)
        case CheckMissed(part, why):
            state = _missed(state, part, why, now, actions)
        case StopAsked():
            state = _stop(state, now, actions)
        case Tick():
            pass
    state = _due(state, now, actions)
    return state, actions


def wake_at(state: State) -> float | None:
    """When the next step is due by time alone; None: only an event can change anything."""
    return min((at for part in state.parts if (at := _deadline(state, part)) is not None), default=None)


def _with(state: State, name: str, **changes: object) -> State:
    life = replace(state.lives[name], **changes)  # type: ignore[arg-type]
    return replace(state, lives={**state.lives, name: life})


def _enter(state: State, name: str, phase: Phase, now: float, **changes: object) -> State:
    return _with(state, name, phase=phase, since=now, misses=0, **changes)


def _deadline(state: State, part: Part) -> float | None:
    life = state.lives[part.name]
    match life.phase:
        case Phase.STARTING:
            return life.since + part.ready_within
        case Phase.STOPPING:
            whole = float("inf") if state.stopping_since is None else state.stopping_since + STOP_WITHIN
            return min(life.since + part.stop_within, whole)
        case Phase.READY if state.stopping_since is not None:
            return state.stopping_since + STOP_WITHIN
        case Phase.RESTING:
            return life.since + life.rest
        case _:
            return None


def _ready(state: State, name: str, now: float, actions: list[Action]) -> State:
    life = state.lives[name]
    if life.phase is not Phase.STARTING:
        return state
    again = " again" if life.was_ready else ""
    actions.append(Say(name, f"ready{again} after {now - life.since:.1f} s"))
    state = _enter(state, name, Phase.READY, now, was_ready=True)
    if not state.up and all(life.phase is Phase.READY for life in state.lives.values()):
        state = replace(state, up=True)
        actions.append(AllReady())
    return state


def _exited(state: State, name: str, status: int, now: float, actions: list[Action]) -> State:
    life = state.lives[name]
    if life.phase not in RUNNING:
        return state
    if state.stopping_since is not None:
        return _enter(state, name, Phase.ENDED, now)
    expected = life.phase in (Phase.STOPPING, Phase.KILLED)
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    if not life.was_ready and status == CONFIGURATION_STATUS and not expected:
        actions += [Say(name, "does not take its configuration", trouble=True), ShowLastWords(name)]
        return _give_up(_enter(state, name, Phase.ENDED, now), CONFIGURATION_STATUS, now, actions)
    healthy = life.phase is Phase.READY and now - life.since >= HEALTHY_AFTER
    failures = 1 if healthy else life.failures + 1
    if not state.up and failures >= ATTEMPTS_BEFORE_FIRST_READY:
        actions += [Say(name, f"{how}; it does not start", trouble=True), ShowLastWords(name)]
        return _give_up(_enter(state, name, Phase.ENDED, now), 1, now, actions)
    rest = min(FIRST_REST * 2 ** (failures - 1), LONGEST_REST)
    actions.append(Say(name, f"{how}; starting it again in {rest:g} s", trouble=True))
    return _enter(state, name, Phase.RESTING, now, rest=rest, failures=failures)


def _missed(state: State, name: str, why: str, now: float, actions: list[Action]) -> State:
    life = state.lives[name]
    if life.phase is not Phase.READY or state.stopping_since is not None:
        return state
    if life.misses < MISSES_ALLOWED:
        return _with(state, name, misses=life.misses + 1)
    healthy = now - life.since >= HEALTHY_AFTER
    # Killed, not asked: what answers no more has nothing to lose, and a Triton whose model has died would wait for it.
    actions += [Say(name, f"answers no more ({why}); ending it to start it again", trouble=True), Kill(name)]
    return _enter(state, name, Phase.KILLED, now, failures=0 if healthy else life.failures)


def _stop(state: State, now: float, actions: list[Action]) -> State:
    if state.stopping_since is None:
        state = replace(state, stopping_since=now)
        for part in state.parts:
            if state.lives[part.name].phase not in RUNNING:
                state = _enter(state, part.name, Phase.ENDED, now)
        return state
    for part in state.parts:
        state = _kill(state, part.name, now, actions)
    return state


def _give_up(state: State, status: int, now: float, actions: list[Action]) -> State:
    return _stop(replace(state, status=status), now, actions) if state.stopping_since is None else state


def _kill(state: State, name: str, now: float, actions: list[Action]) -> State:
    if state.lives[name].phase not in RUNNING or state.lives[name].phase is Phase.KILLED:
        return state
    actions.append(Kill(name))
    return _enter(state, name, Phase.KILLED, now)


def _due(state: State, now: float, actions: list[Action]) -> State:
    for part in state.parts:
        deadline = _deadline(state, part)
        if deadline is not None and now >= deadline:
            state = _overdue(state, part, now, actions)
    return _stop_next(state, now, actions) if state.stopping_since is not None else _start_next(state, now, actions)


def _overdue(state: State, part: Part, now: float, actions: list[Action]) -> State:
    if state.lives[part.name].phase is Phase.RESTING:
        actions.append(Start(part.name))
        return _enter(state, part.name, Phase.STARTING, now)
    if state.lives[part.name].phase is Phase.STARTING and state.stopping_since is None:
        actions += [
            Say(part.name, f"not ready after {part.ready_within:g} s; ending it", trouble=True),
            Terminate(part.name),
        ]
        return _enter(state, part.name, Phase.STOPPING, now)
    return _kill(state, part.name, now, actions)


def _start_next(state: State, now: float, actions: list[Action]) -> State:
    for part in state.parts:
        before = [state.lives[name].phase for name in part.after]
        if state.lives[part.name].phase is Phase.WAITING and all(phase is Phase.READY for phase in before):
            actions.append(Start(part.name))
            state = _enter(state, part.name, Phase.STARTING, now)
    return state


def _stop_next(state: State, now: float, actions: list[Action]) -> State:
    needed = {name for part in state.parts if state.lives[part.name].phase in RUNNING for name in part.after}
    for part in state.parts:
        if part.name not in needed and state.lives[part.name].phase in (Phase.STARTING, Phase.READY):
            actions.append(Terminate(part.name))
            state = _enter(state, part.name, Phase.STOPPING, now)
    return state

"""One session's traces: which turn a piece of work belongs to, and the spans of a turn once its time is known.

A turn has one trace, from the first sound of it to the end of its answer, however often an answer was withdrawn in
between because the user went on. What is said over an answer that sounds begins the next one.
"""

from services.contracts import events, subjects
from services.contracts.moments import NETWORK, PARTS, Moment, Owner, Part
from services.contracts.trace import TraceContext
from services.dialogue.conversation import Conversation
from services.telemetry import names
from services.telemetry.clocks import Clock
from services.telemetry.ledger import Ledger
from services.telemetry.tracing import Kind, Span, Tracer, Value

_GENERATIONS = 4
"""Answers whose trace is still wanted: the one that sounds, and those that were withdrawn since."""
_MOMENTS = list(Moment)
_AFTER_SENT = {NETWORK} | {
    name for name, _, start, _ in PARTS if _MOMENTS.index(start) >= _MOMENTS.index(Moment.AUDIO_SENT)
}
"""Parts of the way back."""
_SUBJECTS = {Moment.EDGE_HEARD: subjects.uplink("{sid}"), Moment.AUDIO_SENT: subjects.downlink("{sid}")}
_OVER_NATS = {name: _SUBJECTS[start] for name, _, start, _ in PARTS if start in _SUBJECTS}
"""Parts of a turn that are a message's way, and its subject."""


class TurnTrace:
    """The trace of one turn, for whoever works for it."""

    def __init__(self, session: "SessionTrace", at: float) -> None:
        self._session = session
        self.begun = at
        self.context = session.tracer.begin()
        self.heard_at: float | None = None
        """When the first sample of its answer was heard."""
        self.told = False
        """Its root span is complete."""

    @property
    def log(self) -> dict[str, str]:
        """What a log line of its work carries."""
        return {"session": self._session.sid, "trace": self.context.trace_id}

    def begin(self, name: str, attributes: dict[str, Value], kind: Kind = "client") -> Span:
        """Work begins now; give it to `end` whatever happens."""
        known: dict[str, Value] = {names.SESSION_ID: self._session.sid, **attributes}
        return Span(name, self.context.child(), self._session.clock(), self.context, kind, known)

    def end(self, span: Span, error: str = "") -> None:
        self._session.tracer.end(span, self._session.clock(), error)


class SessionTrace:
    def __init__(self, tracer: Tracer, clock: Clock, sid: str, parent: TraceContext | None) -> None:
        """`parent`: what the session's opening was part of."""
        self.tracer = tracer
        self.clock = clock
        self.sid = sid
        context = parent.child() if parent else tracer.begin()
        self._span = Span(names.SESSION, context, clock(), parent, attributes={names.SESSION_ID: sid})
        self._turns = 0
        self._current: TurnTrace | None = None
        self._asked: dict[int, TurnTrace] = {}

    def turn(self) -> TurnTrace:
        """Of what the user says now."""
        if self._current is None:
            self._current = TurnTrace(self, self.clock())
        return self._current

    def asked(self, generation: int) -> TurnTrace:
        """Of the answer to that, which has this generation from now on."""
        turn = self.turn()
        self._asked[generation] = turn
        for old in sorted(self._asked)[:-_GENERATIONS]:
            del self._asked[old]
        return turn

    def of(self, generation: int) -> TurnTrace:
        """Of an answer that was asked for."""
        return self._asked.get(generation) or self.turn()

    def trace_id(self, generation: int) -> str:
        """Empty where nobody keeps the trace."""
        turn = self._asked.get(generation)
        return turn.context.trace_id if turn and turn.context.sampled else ""

    def settle(self, state: Conversation) -> None:
        """After each step: a turn whose answer sounds is not added to any more, one that nobody answers is over."""
        turn, answer = self._current, state.answer
        answered = self._asked.get(answer.generation) if answer is not None else None
        if self._asked:
            for lost in {*self._asked.values()} - {turn, answered}:
                self._drop(lost)
                self._over(lost, {names.OUTCOME: "abandoned"})
        if turn is None or state.turn or (answer is not None and not answer.audible):
            return
        self._current = None
        if answered is not turn:
            self._drop(turn)
            self._root(turn, turn.begun, self.clock(), {names.OUTCOME: "ignored"})

    def _drop(self, turn: TurnTrace) -> None:
        self._asked = {generation: other for generation, other in self._asked.items() if other is not turn}

    def measured(self, metrics: events.TurnMetrics, ledger: Ledger) -> None:
        """The first sample of an answer was heard: the turn's root span, and one for each part of its time."""
        turn = self._asked.get(metrics.generation)
        sent = ledger.moments.get(Moment.AUDIO_SENT)
        if turn is None or sent is None or turn.told:
            return
        at = begun = sent - before_sent(metrics.parts) / 1000
        for part in metrics.parts:
            end = at + max(0.0, part.ms) / 1000
            span = Span(part.name, turn.context.child(), at, turn.context, attributes=self._part(part))
            self.tracer.end(span, end)
            at = end
        turn.heard_at = at
        if metrics.spoken:
            speech = Span(names.SPEECH, turn.context.child(), min(turn.begun, begun), turn.context)
            self.tracer.end(speech, begun)
        attributes: dict[str, Value] = {
            names.TURN_NUMBER: metrics.turn,
            names.GENERATION: metrics.generation,
            names.SPOKEN: metrics.spoken,
            names.FIRST_AUDIO_MS: metrics.total_ms,
            names.PREPARED_MS: metrics.prepared_ms,
        }
        self._root(turn, min(turn.begun, begun), at, attributes)

    def committed(self, committed: events.TurnCommitted) -> None:
        """The turn is history."""
        turn = self._asked.get(committed.generation)
        if turn is None:
            return
        self._drop(turn)
        if self._current is turn:
            self._current = None  # an answer that was only read; what comes next is another turn
        self._turns += 1
        kept = committed.turn
        outcome = "failed" if not kept.assistant else "interrupted" if kept.cut else "answered"
        known: dict[str, Value] = {
            names.TURN_NUMBER: kept.number,
            names.GENERATION: committed.generation,
            names.OUTCOME: outcome,
            names.CHARACTER: kept.character,
            names.CHARACTERS: len(kept.assistant),
        }
        error = outcome if outcome == "failed" else ""
        self._over(turn, {**known, names.SPOKEN: kept.spoken}, error)

    def close(self) -> None:
        """The session ends here, and with it what is under way."""
        under_way = {*self._asked.values(), *([self._current] if self._current else [])}
        for turn in under_way:
            self._over(turn, {names.OUTCOME: "abandoned"})
        self._span.attributes[names.TURNS] = self._turns
        self.tracer.end(self._span, self.clock())

    def _over(self, turn: TurnTrace, known: dict[str, Value], error: str = "") -> None:
        """Its answer has been heard as far as it is; the root span tells of turns whose answer never sounded."""
        now = self.clock()
        if turn.heard_at is not None:
            heard = {names.SESSION_ID: self.sid, **known}
            span = Span(names.ANSWER_HEARD, turn.context.child(), turn.heard_at, turn.context, attributes=heard)
            self.tracer.end(span, now, error)
        self._root(turn, turn.begun, now, known, error)

    def _root(self, turn: TurnTrace, start: float, end: float, known: dict[str, Value], error: str = "") -> None:
        """Once: where the answer was heard, the turn's time ended with its first sample."""
        if turn.told:
            return
        turn.told = True
        attributes = {names.SESSION_ID: self.sid, names.CONVERSATION: self.sid, **known}
        links = (self._span.context,)
        self.tracer.end(Span(names.TURN, turn.context, start, None, "server", attributes, links=links), end, error)

    def _part(self, part: Part) -> dict[str, Value]:
        owner: Owner = part.owner
        known: dict[str, Value] = {names.SESSION_ID: self.sid, names.PART_OWNER: owner}
        if part.name in _OVER_NATS:
            known |= {
                names.MESSAGING_SYSTEM: names.NATS,
                names.MESSAGING_OPERATION: "send",
                names.MESSAGING_TEMPLATE: _OVER_NATS[part.name],
                names.MESSAGING_CONVERSATION: self.sid,
            }
        return known


def before_sent(parts: list[Part]) -> float:
    """Milliseconds from the beginning of a turn's time to when the worker sent the first audio frame."""
    total = 0.0
    for part in parts:
        if part.name in _AFTER_SENT:
            break
        total += part.ms
    return total

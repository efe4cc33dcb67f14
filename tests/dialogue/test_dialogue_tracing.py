"""Which spans become of a turn, whatever happens to it: the machine decides, as in a session without its shell."""

from dataclasses import dataclass, field

import pytest
from conversations import QUESTION, TEXT, Talk
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import commands, events, trace
from services.contracts.moments import Part
from services.contracts.trace import TraceContext
from services.dialogue import actions as do
from services.dialogue.tracing import SessionTrace, before_sent
from services.telemetry import names
from services.telemetry.tracing import Span


@dataclass
class Keeper:
    """Keeps spans as they end."""

    ended: list[tuple[Span, float, str]] = field(default_factory=list)

    def begin(self) -> TraceContext:
        return trace.new()

    def end(self, span: Span, at: float, error: str = "") -> None:
        self.ended.append((span, at, error))

    def close(self) -> None:
        pass

    def roots(self) -> list[Span]:
        return [span for span, _, _ in self.ended if span.name == names.TURN]


class Traced:
    """A conversation and its traces, joined as `Session` joins them."""

    def __init__(self, **settings):
        self.talk = Talk(**settings)
        self.keeper = Keeper()
        self.trace = SessionTrace(self.keeper, lambda: self.talk.now, "sid", None)
        give = self.talk.give

        def given(event):
            actions = give(event)
            for action in actions:
                match action:
                    case do.OpenUtterance():
                        self.trace.turn()
                    case do.Ask(generation=generation):
                        self.trace.asked(generation)
                    case do.Measure(metrics=measured, ledger=ledger):
                        self.trace.measured(measured, ledger)
                    case do.Send(event=events.TurnCommitted() as committed):
                        self.trace.committed(committed)
            self.trace.settle(self.talk.state)
            return actions

        self.talk.give = given

    def outcomes(self) -> list[object]:
        return [root.attributes.get(names.OUTCOME, "heard") for root in self.keeper.roots()]


def test_a_typed_turn_that_is_heard_has_one_root_and_one_end():
    traced = Traced()
    talk = traced.talk
    talk.type_in(QUESTION)
    assert len(traced.keeper.roots()) == 0
    talk.client(commands.Interrupt())
    assert traced.outcomes() == ["failed"], "nothing of its answer was heard"
    talk.type_in(QUESTION)
    traced.trace.close()
    assert traced.outcomes() == ["failed", "abandoned"]


def test_the_session_links_what_it_held():
    traced = Traced()
    traced.talk.type_in(QUESTION)
    traced.trace.close()
    session, _, _ = traced.keeper.ended[-1]
    assert session.name == names.SESSION
    assert traced.keeper.roots()[0].links == (session.context,)
    assert session.attributes[names.TURNS] == 0


def test_a_session_is_part_of_what_opened_it():
    parent = trace.new()
    keeper = Keeper()
    SessionTrace(keeper, lambda: 1.0, "sid", parent).close()
    [(session, _, _)] = keeper.ended
    assert (session.parent, session.context.trace_id) == (parent, parent.trace_id)


def test_what_is_before_the_first_frame_of_the_answer():
    def part(name, ms):
        return Part(name=name, owner="parley", ms=ms)

    whole = [part("to the edge", 5), part("end of turn", 500), part("sending", 2), part("edge", 1), part("player", 9)]
    assert before_sent(whole) == pytest.approx(507)
    assert before_sent([part("end of turn", 500), part("network", 7), part("player", 9)]) == pytest.approx(500)
    assert before_sent([]) == 0


MOVES = [
    lambda talk: talk.type_in(QUESTION),
    lambda talk: talk.say("one two"),
    lambda talk: talk.say(""),
    lambda talk: talk.answer(TEXT),
    lambda talk: talk.client(commands.Interrupt()),
    lambda talk: talk.client(commands.Cancel()),
    lambda talk: talk.client(commands.Reset()),
]


def test_a_withdrawn_answers_turn_is_over_once():
    traced = Traced()
    talk = traced.talk
    talk.type_in(QUESTION)
    talk.type_in("and tell me more")  # the answer so far never happened; the turn goes on
    talk.answer(TEXT)
    talk.client(commands.Interrupt())
    assert len(traced.outcomes()) == 1
    traced.trace.close()
    assert len(traced.outcomes()) == 1
    assert [span.name for span, _, _ in traced.keeper.ended].count(names.ANSWER_HEARD) == 0


def test_a_reset_while_an_answer_sounds_ends_its_turn():
    traced = Traced()
    traced.talk.type_in(QUESTION)
    traced.talk.answer(TEXT)
    traced.talk.client(commands.Reset())
    assert traced.outcomes() == ["abandoned"]


@given(st.lists(st.sampled_from(MOVES), max_size=12))
def test_every_trace_has_one_root_whatever_happens(moves):
    traced = Traced()
    talk = traced.talk
    for move in moves:
        talk.now += 0.1
        move(talk)
    traced.trace.close()
    roots = traced.keeper.roots()
    assert len({root.context.trace_id for root in roots}) == len(roots)
    assert len(roots) <= len(moves)
    asked = {action.generation for action in talk.actions if isinstance(action, do.Ask)}
    assert bool(roots) == bool(asked)

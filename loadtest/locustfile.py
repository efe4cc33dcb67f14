"""Voice sessions for Locust: `locust -f loadtest/locustfile.py --headless -u 50 -r 10 -t 5m --host wss://host`.

A Locust user is not one person but a place that one person fills on average: people come to it by a Poisson process,
each with a session of their own, whether the one before has left or not. So a slow server does not slow the arrivals.
"""

import gc
import json
import random
import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent.pool import Group
from locust import User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

sys.path.insert(0, str(Path(__file__).parents[1]))  # Locust puts only this file's own folder there

from loadtest import people
from loadtest.collecting import Collector
from loadtest.people import KINDS
from loadtest.person import Person, Surroundings
from loadtest.samples import SessionSample, TurnSample
from loadtest.sentences import Script
from loadtest.wires import ParleyWire
from services.contracts.settings import SettingsPatch

KIND = {kind.name: kind for kind in KINDS}
COLLECTOR = Collector()
PEOPLE = Group()
"""Everybody in this process."""


class Test:
    """What the people of this process have in common while a test runs."""

    shared: Surroundings
    began: float
    """When the test began, and when the load does: on `time.perf_counter`."""
    load_from: float
    sources = 0


@events.init_command_line_parser.add_listener
def _options(parser: LocustArgumentParser) -> None:
    weights = ",".join(f"{kind.name}={kind.weight}" for kind in KINDS)

    def mix(text: str) -> str:
        try:
            people.mix(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None
        return text

    group = parser.add_argument_group("Parley", "Voice sessions")
    group.add_argument("--mix", type=mix, default=weights, help=f"kinds of users and their weights (default {weights})")
    group.add_argument("--turns", type=float, default=6, help="of a session, on average (default 6)")
    group.add_argument("--pauses", type=float, default=0.25, help="share of utterances with a pause inside")
    group.add_argument("--silence-ms", type=int, default=500, help="silence that ends a turn (default 500)")
    group.add_argument("--settings", default="{}", help="further settings of each session, JSON")
    group.add_argument("--seed", type=int, default=1)
    group.add_argument("--report", default="", help="folder for turns.csv, sessions.csv, summary.json, report.html")
    group.add_argument("--note", default="", help="stands among the conditions")
    group.add_argument("--first-audio-p95", type=float, default=2.0, help="seconds allowed (default 2)")
    group.add_argument("--failed", type=float, default=0.01, help="share of turns and of sessions (default 0.01)")
    group.add_argument("--refused", type=float, default=0.01, help="share of sessions (default 0.01)")
    group.add_argument("--late-ms", type=float, default=10.0, help="lateness of the generator, p99 (default 10)")
    group.add_argument("--refusal-ms", type=float, help="refusals are wanted, and within this time")
    group.add_argument("--alone", type=float, default=0.0, help="seconds with one session, before the load")
    group.add_argument("--alone-within-ms", type=float, help="how much p95 may be over that of the one session")


@events.init.add_listener
def _init(environment: Environment, **_: Any) -> None:
    COLLECTOR.attach(environment, lambda: PEOPLE.kill())
    options = environment.parsed_options
    if not isinstance(environment.runner, WorkerRunner):
        assert options is not None
        weights = people.mix(options.mix)
        for user_class in (Talking, Interrupting, Reconnecting, Slow, Typing):
            user_class.weight = weights.get(user_class.kind, 0)
        wanted = [user_class for user_class in environment.user_classes if user_class.weight > 0]
        environment.user_classes[:] = wanted


@events.test_start.add_listener
def _test_start(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    assert options is not None
    given = {"silence_ms": options.silence_ms, **json.loads(options.settings)}
    Test.shared = Surroundings(
        address=_address(environment.host or ""),
        script=Script(options.pauses, options.seed),
        settings=msgspec.convert(given, SettingsPatch),
        full_duplex=msgspec.convert({**given, "duplex": "full"}, SettingsPatch),
        late=COLLECTOR.late,
        turned=lambda turn: _turned(environment, turn),
        ended=lambda session: _ended(environment, session),
    )
    # What is there by now stays; a collection that looks at all of it makes everybody late.
    gc.collect()
    gc.freeze()
    Test.began = time.perf_counter()
    Test.load_from = Test.began + options.alone
    Test.sources = 0
    runner = environment.runner
    if options.alone and getattr(runner, "worker_index", 0) == 0 and not hasattr(runner, "clients"):
        one = Person(KIND["talking"], Test.shared, random.Random(options.seed), 10**9, Test.began, alone=True)
        greenlet = PEOPLE.spawn(one.run)
        gevent.spawn_later(options.alone, greenlet.kill)


def _address(host: str) -> str:
    """The conversation's WebSocket of a page or a server."""
    address = host if "://" in host else f"ws://{host}"
    if address.startswith("http"):
        address = "ws" + address.removeprefix("http")
    return address.rstrip("/").removesuffix(ParleyWire.path) + ParleyWire.path


def _turned(environment: Environment, turn: TurnSample) -> None:
    COLLECTOR.turned(turn)
    if not turn.unfinished:
        environment.events.request.fire(
            request_type="turn",
            name=turn.kind,
            response_time=turn.latency_ms,
            response_length=round(turn.audio_s * 1000),
            exception=RuntimeError(turn.failure) if turn.failure else None,
            context={},
        )


def _ended(environment: Environment, session: SessionSample) -> None:
    COLLECTOR.ended(session)
    environment.events.request.fire(
        request_type="session",
        name=session.kind,
        response_time=session.answer_ms,
        response_length=session.turns,
        exception=RuntimeError(session.reason) if session.outcome in ("refused", "failed") else None,
        context={},
    )


class Source(User):
    """People of one kind, of whom one is there on average."""

    abstract = True
    kind: str

    @task
    def arrive(self) -> None:
        options = self.environment.parsed_options
        assert options is not None
        place = (getattr(self.environment.runner, "worker_index", 0), Test.sources)
        Test.sources += 1
        choose = random.Random(f"{options.seed}/{place}")
        mine: list[gevent.Greenlet] = []
        # Those who are ready before the load is to come keep their distance from each other.
        origin = time.perf_counter() + Test.load_from - Test.began
        try:
            for after in people.arrivals(options.turns, choose):
                due = origin + after
                gevent.sleep(max(0.0, due - time.perf_counter()))
                turns = people.turns(options.turns, choose)
                person = Person(KIND[self.kind], Test.shared, random.Random(choose.random()), turns, due)
                mine = [greenlet for greenlet in mine if not greenlet.dead]
                mine.append(PEOPLE.spawn(person.run))
        finally:
            gevent.killall(mine)


class Talking(Source):
    kind = "talking"


class Interrupting(Source):
    kind = "interrupting"


class Reconnecting(Source):
    kind = "reconnecting"


class Slow(Source):
    kind = "slow"


class Typing(Source):
    kind = "typing"

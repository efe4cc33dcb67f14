"""The doorkeeper's decisions, without a network."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from nats.errors import SlowConsumerError
from pydantic import SecretStr
from starlette.datastructures import Headers

from services.contracts import subjects
from services.contracts.assignment import Beat
from services.contracts.errors import Code
from services.edge import app
from services.edge.app import Edge
from services.edge.config import EdgeConfiguration


@pytest.fixture
async def edge() -> Edge:
    configuration = EdgeConfiguration(
        _env_file=None,  # pyright: ignore[reportCallIssue]
        session_secret=SecretStr("a secret of the tests"),
        connect_rate=1.0,
        connect_burst=2,
        max_connections=1,
    )
    return Edge(configuration)


def knock(address: str = "192.0.2.1", **headers: str) -> Any:
    return SimpleNamespace(client=SimpleNamespace(host=address), headers=Headers({"host": "voice.example", **headers}))


async def test_a_draining_edge_takes_nobody_and_says_so(edge: Edge):
    assert edge.refusal(knock()) is None
    await edge.drain()
    assert edge.refusal(knock()) is Code.SERVER_DRAINING
    assert edge.unready() == "draining"


async def test_the_order_of_refusals(edge: Edge):
    edge.connections.add(object())  # type: ignore[arg-type]
    assert edge.refusal(knock(origin="https://evil.example")) is Code.ORIGIN_REFUSED
    assert edge.refusal(knock(origin="https://voice.example")) is Code.AT_CAPACITY
    assert edge.refusal(knock(origin="https://evil.example")) is Code.TOO_MANY_CONNECTIONS
    assert edge.refusal(knock("192.0.2.2")) is Code.AT_CAPACITY


async def test_ready_needs_nats_and_a_worker(edge: Edge, monkeypatch: pytest.MonkeyPatch):
    assert edge.unready() == "not connected to NATS"
    monkeypatch.setattr(type(edge.bus), "connected", True)
    assert edge.unready() == "no dialogue worker is heard"
    edge.roster.heard(Beat(wid="w", slots=1, active=1), edge.clock())
    assert edge.unready() == "", "a full system is ready: it refuses in words"


async def test_words_lost_at_this_edge_end_only_that_connection(edge: Edge):
    class Talking:
        def __init__(self) -> None:
            self.sid = subjects.new_id()
            self.ended = False

        def too_slow(self) -> None:
            self.ended = True

    hit, other, before_hello = Talking(), Talking(), Talking()
    before_hello.sid = ""
    edge.connections |= {hit, other, before_hello}  # type: ignore[arg-type]
    lost: Any = SlowConsumerError(subject=subjects.downlink(hit.sid), reply="", sid=1, sub=None)  # type: ignore[arg-type]
    await edge.bus._failed(lost)
    assert (hit.ended, other.ended, before_hello.ended) == (True, False, False)


async def test_connections_are_looked_after_one_by_one(edge: Edge, monkeypatch: pytest.MonkeyPatch):
    """A fault with one ends that one; the others are checked, and their workers told that they are there."""
    monkeypatch.setattr(app, "CHECK_SECONDS", 0)
    told, ended = asyncio.Event(), asyncio.Event()

    class Talking:
        sid = ""
        downlink, link = SimpleNamespace(bytes=0), SimpleNamespace(held=0)
        said: list[str]

        def __init__(self, fault: Exception | None = None) -> None:
            self.fault = fault
            self.said = []

        def check(self, now: float) -> None:
            self.said.append("check")

        async def present(self, now: float) -> None:
            if self.fault:
                raise self.fault
            self.said.append("present")
            told.set()

        def finish(self, code: Code) -> None:
            self.said.append(code)
            edge.connections.discard(self)  # type: ignore[arg-type]
            ended.set()

    well, ill = Talking(), Talking(ZeroDivisionError("ours"))
    edge.connections |= {ill, well}  # type: ignore[arg-type]
    checking = asyncio.create_task(edge._check())
    await asyncio.wait_for(asyncio.gather(told.wait(), ended.wait()), 5)
    checking.cancel()
    assert well.said[:2] == ["check", "present"]
    assert ill.said == ["check", Code.INTERNAL_ERROR]


async def test_a_turn_that_is_none_is_ignored(edge: Edge):
    edge._turn(b"junk")
    edge._turn(b'{"at": "noon"}')
    assert b'"total":null' in edge.turns.encoded(now=0.0, wall=0.0)


async def test_a_beat_that_is_none_is_ignored(edge: Edge):
    edge._beat(b"junk")
    edge._beat(b'{"wid": 5}')
    assert len(edge.roster) == 0

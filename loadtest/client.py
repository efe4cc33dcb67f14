"""Many talkers in one process: `python -m loadtest.client --port N --sessions 10 ...`.

Prints JSON lines: {"at": ...} when something begins or ends, so that whoever started it can look at the server's
processes just then, and at last {"report": ...}. One timer serves all; the talkers' frames are spread evenly over
its 20 ms, as those of independent people are.
"""

import argparse
import asyncio
import json
import random
import resource
import time
from collections.abc import Callable
from typing import Any

import msgspec
import uvloop

from loadtest import known, wires
from loadtest.lean_websocket import Connection, connect
from loadtest.models import latencies
from loadtest.models.language import REPLY
from loadtest.models.synthesis import SECONDS_PER_CHARACTER
from loadtest.peers.pipecat.wire import PipecatWire
from loadtest.sentences import Script
from loadtest.talking import Barge, Phase, Talker
from loadtest.wires import Message, ParleyWire, Wire
from services.contracts.audio import UPLINK
from services.contracts.settings import SettingsPatch

HOST = "127.0.0.1"
PHASES = 10
"""Frames leave at so many different moments within 20 ms."""
CONNECTS_PER_SECOND = 20.0
CYCLE_S = 8.0
"""About what one turn takes: the talkers' first words are spread over it."""
PROBE_EVERY_S = 1.0
PROBE_WITHIN_S = 10.0
WARM_WITHIN_S = 30.0
LEFT_WITHIN_S = 1.0
"""The server knows then that somebody has left, and gives the place to whoever comes."""
LONGEST_S = 240.0


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def process_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def probe(port: int, wire: Wire, within: float = PROBE_WITHIN_S) -> dict[str, object]:
    """What a session is told that nobody has room for: an error's code, "" if it is taken, or what went wrong; and
    after how many seconds."""
    begun, answer = time.perf_counter(), asyncio.get_running_loop().create_future()
    connection: Connection | None = None

    def answered(code: str) -> None:
        if not answer.done():
            answer.set_result(code)

    def hear(message: Message) -> None:
        for heard in wire.hear(message):
            if isinstance(heard, wires.Ready | wires.Trouble):
                answered(heard.code if isinstance(heard, wires.Trouble) else "")

    try:
        async with asyncio.timeout(within):
            connection = await connect(HOST, port, wire.path, hear, answered)
            for message in wire.opening():
                connection.send(message.encode() if isinstance(message, str) else message, isinstance(message, bytes))
            code = await answer
    except OSError as error:  # Refused and TimeoutError are among them
        code = f"{type(error).__name__} {str(error)[:60]}".strip()
    finally:
        if connection is not None:
            connection.close()
    return {"code": code, "seconds": time.perf_counter() - begun}


class Load:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._script = Script(options.pauses, options.seed)
        self._talkers: list[Talker] = []
        self._connections: list[Connection] = []
        self._ended: list[str] = []
        self._late: list[float] = []
        self._probes: list[dict[str, object]] = []
        self._told: set[str] = set()

    def _wire(self) -> Wire:
        options = self._options
        if options.wire == "pipecat":
            return PipecatWire()
        given: dict[str, Any] = json.loads(options.settings)
        settings = msgspec.convert({"silence_ms": options.silence_ms, **given}, SettingsPatch)
        return ParleyWire(settings, half_duplex=given.get("duplex") != "full")

    async def _open(self, wire: Wire, talker: Callable[[Callable[[Message], None]], Talker]) -> Talker:
        """A talker on a connection of its own."""
        connection: Connection | None = None

        def send(message: Message) -> None:
            assert connection is not None
            if isinstance(message, bytes):
                connection.send(message, binary=True)
            else:
                connection.send(message.encode(), binary=False)

        made = talker(send)
        connection = await connect(HOST, self._options.port, wire.path, made.hear, self._ended.append)
        self._connections.append(connection)
        for message in wire.opening():
            send(message)
        if not wire.opening():
            made.start()
        return made

    async def _connect_all(self, turns: int, barge: Barge, sessions: int) -> None:
        begin_at = time.perf_counter() + sessions / CONNECTS_PER_SECOND + 0.5
        for number in range(sessions):
            wire = self._wire()
            choose = random.Random(f"{self._options.seed}/{number}")
            speak_at = begin_at + CYCLE_S * number / sessions

            def talker(
                send: Callable[[Message], None],
                wire: Wire = wire,
                choose: random.Random = choose,
                at: float = speak_at,
            ) -> Talker:
                return Talker(wire, send, self._script, choose, turns, at, barge)

            self._talkers.append(await self._open(wire, talker))
            await asyncio.sleep(1 / CONNECTS_PER_SECOND)

    async def _warm(self) -> None:
        """One short conversation before anything is measured: what a server loads on first use is loaded then."""
        await self._connect_all(1, "", 1)
        [first] = self._talkers
        over = time.perf_counter() + WARM_WITHIN_S
        answered = (Phase.HEARING, Phase.DONE)
        await self._tick(lambda: first.phase in answered or time.perf_counter() > over)
        self._leave()
        await asyncio.sleep(LEFT_WITHIN_S)
        failures = [turn.failure for turn in first.turns if turn.failure]
        if failures or first.phase not in answered:
            raise RuntimeError(f"one talker alone is not answered ({first.phase.name}): {failures} {first.troubles}")
        self._talkers.clear()
        self._late.clear()
        self._ended.clear()

    def _leave(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    async def _tick(self, over: Callable[[], bool]) -> None:
        """Real time, until `over` or too long."""
        period = UPLINK.frame_seconds / PHASES
        wall_offset = time.time() - time.perf_counter()
        due = time.perf_counter()
        number, last = 0, due + LONGEST_S
        while not over():
            due += period
            number += 1
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            elif number % PHASES == 0:
                await asyncio.sleep(0)
            self._late.append(time.perf_counter() - due)
            for talker in self._talkers[number % PHASES :: PHASES]:
                talker.tick(due, wall_offset)
            if due > last:
                raise RuntimeError(f"the talkers were not done within {LONGEST_S:g} s")

    def _all_done(self) -> bool:
        talkers, sessions = self._talkers, self._options.sessions
        if len(talkers) == sessions and all(one.began for one in talkers):
            self._tell("ramped")
        if any(one.phase is Phase.DONE for one in talkers):
            self._tell("first_done")
        return len(talkers) == sessions and all(one.phase is Phase.DONE for one in talkers)

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            say(at=what)

    async def _probe(self) -> None:
        """One session more than there is room for, a few times: how soon is it told so?"""
        for _ in range(self._options.past):
            while "ramped" not in self._told:  # noqa: ASYNC110 - set by the ticking of the same thread
                await asyncio.sleep(0.05)
            await asyncio.sleep(PROBE_EVERY_S)
            self._probes.append(await probe(self._options.port, self._wire()))

    async def run(self) -> None:
        options = self._options
        await self._warm()
        say(at="begin")
        begun, used = time.perf_counter(), process_seconds()
        connecting = asyncio.create_task(self._connect_all(options.turns, options.barge, options.sessions))
        probing = asyncio.create_task(self._probe())
        await self._tick(lambda: self._all_done() or (connecting.done() and connecting.exception() is not None))
        await connecting
        say(at="end")
        wall, used = time.perf_counter() - begun, process_seconds() - used
        await probing
        ended = list(self._ended)
        self._leave()
        late = sorted(self._late)
        report = {
            "sessions": [one.report() for one in self._talkers],
            "late_p99_s": late[int(len(late) * 0.99)],
            "late_max_s": late[-1],
            "cpu": used / wall,
            "ended": ended,
            "probes": self._probes,
            "known_ms": known.parts(options.silence_ms, latencies.from_environment(), self._wire().tokens),
            "reply": {"text": REPLY, "character_s": SECONDS_PER_CHARACTER, "sample_rate": wires.SAMPLE_RATE},
        }
        say(report=report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--pauses", type=float, default=0.25, help="share of utterances with a pause inside")
    parser.add_argument("--silence-ms", type=int, default=200)
    parser.add_argument("--settings", default="{}", help="further settings of each session, JSON")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wire", choices=("parley", "pipecat"), default="parley")
    parser.add_argument("--barge", choices=("", "voice", "command"), default="")
    parser.add_argument("--past", type=int, default=0, help="sessions that are tried beyond")
    options = parser.parse_args()
    uvloop.run(Load(options).run())


if __name__ == "__main__":
    main()

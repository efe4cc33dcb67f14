"""One person of a load test, on gevent: a talker, the WebSocket of its session, and the clock that drives both.

Imported only where Locust has patched the standard library.
"""

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from socket import SO_RCVBUF, SOL_SOCKET

import gevent
import websocket
from gevent.event import Event
from websocket import ABNF, WebSocketBadStatusException, WebSocketException

from loadtest import people, samples
from loadtest.people import Kind
from loadtest.samples import Lateness, SessionSample, TurnSample
from loadtest.sentences import Script
from loadtest.talking import Phase, Talker
from loadtest.typist import Typist
from loadtest.wires import Message, ParleyWire
from services.contracts.audio import UPLINK
from services.contracts.errors import Code
from services.contracts.settings import SettingsPatch

READY_WITHIN_S = 10.0
FIRST_WORD_S = (0.3, 2.0)
"""After the session is there."""
REFUSALS = frozenset({Code.AT_CAPACITY.value, Code.TOO_MANY_CONNECTIONS.value})
STATUSES = {429: Code.TOO_MANY_CONNECTIONS.value, 503: Code.AT_CAPACITY.value}
WALL_OFFSET = time.time() - time.perf_counter()


@dataclass(frozen=True)
class Surroundings:
    """What all people of a process share."""

    address: str
    """The conversation's WebSocket."""
    script: Script
    settings: SettingsPatch
    full_duplex: SettingsPatch
    """Of those who interrupt."""
    late: Lateness
    turned: Callable[[TurnSample], None]
    ended: Callable[[SessionSample], None]


class Person:
    def __init__(
        self, kind: Kind, shared: Surroundings, choose: random.Random, turns: int, wanted_at: float, alone: bool = False
    ) -> None:
        """`wanted_at`: when the session is wanted, on `time.perf_counter`."""
        self._kind = kind
        self._shared = shared
        self._choose = choose
        self._wanted_at = wanted_at
        self._alone = alone
        settings = shared.full_duplex if kind.full_duplex else shared.settings
        self._wire = ParleyWire(settings, half_duplex=not kind.full_duplex, listens=True)
        speak_at = wanted_at + choose.uniform(*FIRST_WORD_S)
        self._talker = (Typist if kind.types else Talker)(
            self._wire, self._send, shared.script, choose, turns, speak_at, kind.barge
        )
        self._socket: websocket.WebSocket | None = None
        self._answered = Event()
        """The server has said whether there is a session."""
        self._answered_at = 0.0
        self._outcome = ""
        self._reason = ""
        self._reconnects = 0
        self._told = 0
        """Turns that are counted already."""
        self._drop_drawn = -1
        self._drop_after_s: float | None = None
        self._stalled = -1

    def run(self) -> None:
        """From wanting a session to its end."""
        line = gevent.spawn(self._keep_connected)
        try:
            if not self._answered.wait(READY_WITHIN_S):
                self._fail(f"no session within {READY_WITHIN_S:g} s")
            self._talk()
            self._outcome = self._outcome or "done"
        except gevent.GreenletExit:
            self._talker.stop()
            self._outcome = self._outcome or "stopped"
            raise
        finally:
            line.kill()
            self._leave()
            self._tell()
            self._shared.ended(self._sample())

    # --- Time ------------------------------------------------------------------------------------------------

    def _talk(self) -> None:
        """A deadline every 20 ms, counted from the first: one that is missed is not put off."""
        talker, late, frame = self._talker, self._shared.late, UPLINK.frame_seconds
        due = time.perf_counter()
        while talker.phase is not Phase.DONE and not self._outcome:
            due += frame
            gevent.sleep(max(0.0, due - time.perf_counter()))
            late.add(time.perf_counter() - due)
            talker.tick(due, WALL_OFFSET)
            self._tell()
            if self._kind.drops:
                self._maybe_drop()

    def _tell(self) -> None:
        turns = self._talker.turns
        while self._told < len(turns):
            turn = turns[self._told]
            self._told += 1
            self._shared.turned(
                samples.turn_sample(turn, self._told, self._talker.session, self._kind.name, self._alone)
            )

    def _maybe_drop(self) -> None:
        number = len(self._talker.turns)
        if number != self._drop_drawn:
            self._drop_drawn = number
            drops = self._choose.random() < people.DROP_SHARE
            self._drop_after_s = self._choose.uniform(*people.DROP_AFTER_S) if drops else None
        if self._drop_after_s is not None and self._talker.heard_s > self._drop_after_s and self._socket is not None:
            self._drop_after_s = None
            self._socket.shutdown()

    # --- The connection --------------------------------------------------------------------------------------

    def _keep_connected(self) -> None:
        """Connects, and again where the line was lost on purpose or this client is too slow by nature."""
        while True:
            why = self._connection()
            if not self._answered.is_set():
                self._fail(why)
            elif not (self._kind.drops or (self._kind.slow and Code.SLOW_CLIENT.value in why)):
                self._fail(f"connection: {why}")
            if self._outcome:
                return
            self._reconnects += 1
            gevent.sleep(self._choose.uniform(*people.AWAY_S))

    def _connection(self) -> str:
        """One connection from its beginning to its end, and why it ended."""
        options = [(SOL_SOCKET, SO_RCVBUF, people.RECEIVE_BUFFER_BYTES)] if self._kind.slow else []
        try:
            opened = websocket.create_connection(
                self._shared.address,
                timeout=READY_WITHIN_S,
                sockopt=options,
                # Two greenlets send, and a frame must not begin within another.
                enable_multithread=True,
                skip_utf8_validation=True,
            )
        except WebSocketBadStatusException as refused:
            code = STATUSES.get(refused.status_code, f"status {refused.status_code}")
            self._refused(code)
            return code
        except (WebSocketException, OSError) as error:
            return f"{type(error).__name__}: {error}"
        self._socket = opened
        try:
            opened.settimeout(None)
            for message in self._wire.opening():
                self._send(message)
            return self._read(opened)
        except (WebSocketException, OSError) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            self._socket = None
            opened.shutdown()

    def _read(self, opened: websocket.WebSocket) -> str:
        while True:
            opcode, data = opened.recv_data()
            if opcode == ABNF.OPCODE_CLOSE:
                return f"{int.from_bytes(data[:2], 'big')} {data[2:].decode(errors='replace')}".strip()
            self._hear(data if opcode == ABNF.OPCODE_BINARY else data.decode())
            if self._kind.slow:
                self._dawdle(len(data))

    def _dawdle(self, size: int) -> None:
        """A weak line: little comes at a time, and once within an answer nothing."""
        number = len(self._talker.turns)
        if self._talker.heard_s > 1.0 and self._stalled != number:
            self._stalled = number
            gevent.sleep(people.STALL_S)
        gevent.sleep(size / people.READ_BYTES_PER_S)

    def _hear(self, message: Message) -> None:
        if self._answered.is_set():
            self._talker.hear(message)
            return
        before = len(self._talker.troubles)
        self._talker.hear(message)
        if self._talker.ready:
            self._answer()
        elif len(self._talker.troubles) > before:
            code = self._talker.troubles.pop().partition(":")[0]
            self._refused(code)

    def _send(self, message: Message) -> None:
        """Nothing while there is no connection; its end is noticed where it is read."""
        if self._socket is None:
            return
        try:
            if isinstance(message, bytes):
                self._socket.send_binary(message)
            else:
                self._socket.send(message)
        except (WebSocketException, OSError):
            pass

    def _leave(self) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            with contextlib.suppress(WebSocketException, OSError):
                opened.send_close()
            opened.shutdown()

    # --- What came of it -------------------------------------------------------------------------------------

    def _answer(self) -> None:
        self._answered_at = time.perf_counter()
        self._answered.set()

    def _refused(self, code: str) -> None:
        if not self._answered.is_set():
            self._outcome, self._reason = ("refused" if code in REFUSALS else "failed"), code
            self._answer()

    def _fail(self, why: str) -> None:
        if not self._outcome:
            self._outcome, self._reason = "failed", why
            self._talker.lost(why)
        self._answered.set()

    def _sample(self) -> SessionSample:
        return SessionSample(
            session=self._talker.session,
            kind=self._kind.name,
            alone=self._alone,
            at=round(self._wanted_at + WALL_OFFSET, 6),
            until=round(time.perf_counter() + WALL_OFFSET, 6),
            outcome=self._outcome,
            reason=self._reason,
            answer_ms=round((self._answered_at - self._wanted_at) * 1000, 3) if self._answered_at else None,
            turns=len(self._talker.turns),
            reconnects=self._reconnects,
            troubles=self._talker.troubles,
        )

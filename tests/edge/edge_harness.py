"""A real nats-server, a real edge process, and a scripted worker and client that speak the contracts."""

import asyncio
import contextlib
import itertools
import json
import os
import queue
import re
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil
import websockets
from edge_doubles import ready
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from websockets.asyncio.client import ClientConnection

from services.contracts import commands, events, frame, subjects
from services.contracts.assignment import BEAT_SECONDS, Attach, Attached, Beat, Control, next_epoch
from services.contracts.frame import HEADER_BYTES, Flags, Header, Kind

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a secret of the tests"
WAIT = 5.0
"""Seconds; only a failing test waits so long."""


class Process:
    """A child process whose lines are kept and can be waited for."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.lines.append(line)
            self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches. Raises when the process ends before or takes too long."""
        deadline = time.monotonic() + 20
        while True:
            line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line is not None, "ended early:\n" + "".join(self.lines)
            if found := re.search(pattern, line):
                return found

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self, timeout: float = 10) -> int:
        """Wait for the end; returns the exit status."""
        status = self._process.wait(timeout)
        self._reader.join(timeout)
        assert self._process.stdout
        self._process.stdout.close()
        return status

    def kill(self) -> None:
        self._process.kill()
        self.end()


class NatsServer:
    def __init__(self) -> None:
        self._process = self._start(-1)
        self.port = int(self._process.wait_for(r"client connections on 127\.0\.0\.1:(\d+)")[1])
        self.url = f"nats://127.0.0.1:{self.port}"

    @staticmethod
    def _start(port: int) -> Process:
        return Process([str(Path(sysconfig.get_path("scripts")) / "nats-server"), "-a", "127.0.0.1", "-p", str(port)])

    def stop(self) -> None:
        self._process.kill()

    def start_again(self) -> None:
        self._process = self._start(self.port)
        self._process.wait_for("Server is ready")


class EdgeProcess(Process):
    """`python -m services.edge`; settings are given as in `connect_rate="2"`."""

    def __init__(self, nats_url: str, **settings: str) -> None:
        values = {
            "nats_url": nats_url,
            "port": "0",
            "session_secret": SECRET,
            "log_format": "json",
            "connect_rate": "1000",
            "connect_burst": "1000",
            **settings,
        }
        env = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        env |= {f"PARLEY_{name.upper()}": value for name, value in values.items()}
        super().__init__([sys.executable, "-m", "services.edge"], env)
        self.address = self.wait_for(r'"url": ?"http://([^/"]+)/"')[1]
        self.http = f"http://{self.address}"
        self.url = f"ws://{self.address}/v1/conversation"

    def records(self) -> list[dict[str, Any]]:
        """What it logged; every line has to be one JSON object."""
        return [json.loads(line) for line in self.lines]

    def tracebacks(self) -> list[dict[str, Any]]:
        return [record for record in self.records() if "exception" in record or record["level"] == "error"]

    def rss(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peer_ports(self) -> set[int]:
        """Ports at the other end of its TCP connections."""
        return {link.raddr.port for link in psutil.Process(self.pid).net_connections("tcp") if link.raddr}

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def edge_process(nats_url: str, connected: bool = True, **settings: str) -> Iterator[EdgeProcess]:
    """An edge, once it is connected to NATS."""
    edge = EdgeProcess(nats_url, **settings)
    try:
        if connected:
            edge.wait_for("connected to NATS")
        yield edge
    finally:
        edge.kill()


@dataclass
class Session:
    epoch: int
    attach: Attach
    sequence: int = 0
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    received: asyncio.Queue[tuple[Header, bytes]] = field(default_factory=asyncio.Queue)
    presents: asyncio.Queue[tuple[int, str]] = field(default_factory=asyncio.Queue)
    """What the edge said of whose the session is, as epoch and worker; not in `received`."""

    async def next(self) -> tuple[Header, bytes]:
        """The next uplink message, as header and payload."""
        return await asyncio.wait_for(self.received.get(), WAIT)

    async def next_command(self) -> Any:
        header, payload = await self.next()
        assert header.kind is Kind.JSON, header
        return json.loads(payload)


class Worker:
    """A dialogue worker that takes sessions and otherwise says what the test has it say."""

    def __init__(self, nats_url: str, slots: int = 4, store: dict[str, Session] | None = None) -> None:
        self.wid = subjects.new_id()
        self.slots = slots
        self.sessions: dict[str, Session] = {}
        self.store: dict[str, Session] = {} if store is None else store
        """Stands for the checkpoints: shared between workers that take over from each other."""
        self.attached = asyncio.Queue[Session]()
        self.ready_before_reply = False
        self.answers = True
        self.greets = True
        """Otherwise it takes sessions and says nothing, as one does that is about to end."""
        self._url = nats_url
        self._nats: NatsClient = NatsClient()
        self._beating: asyncio.Task[None] | None = None
        self._subscriptions: list[Any] = []

    async def start(self) -> "Worker":
        await self._nats.connect(self._url, max_reconnect_attempts=-1, reconnect_time_wait=0.05)  # type: ignore[arg-type]
        self._subscriptions.append(await self._nats.subscribe(subjects.ASSIGN, subjects.ASSIGN_QUEUE, cb=self._assign))
        self._beating = asyncio.create_task(self._beat())
        await self._nats.flush()
        return self

    async def die(self) -> None:
        """As if killed: not another message."""
        if self._beating:
            self._beating.cancel()
            self._beating = None
            await self._nats.close()

    async def leave(self) -> None:
        """In order: take nothing any more, say so, end."""
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        await self._publish_beat(leaving=True)
        await self._nats.flush()
        await self.die()

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(NatsError):
                await self._publish_beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def _publish_beat(self, leaving: bool = False) -> None:
        beat = Beat(wid=self.wid, slots=self.slots, active=len(self.sessions), leaving=leaving)
        await self._nats.publish(subjects.beat(self.wid), msgspec.json.encode(beat))

    async def _assign(self, message: Msg) -> None:
        if not self.answers:
            return
        request = msgspec.json.decode(message.data, type=Attach)
        known = self.store.get(request.sid)
        if request.sid not in self.sessions and len(self.sessions) >= self.slots:
            await self._reply(message, Attached(status="busy"))
        elif request.resume and known is None:
            await self._reply(message, Attached(status="unknown"))
        else:
            await self._take(message, request, known)

    async def _attach(self, message: Msg) -> None:
        if self.answers:
            request = msgspec.json.decode(message.data, type=Attach)
            await self._take(message, request, self.sessions[request.sid])

    async def _take(self, message: Msg, request: Attach, known: Session | None) -> None:
        session = known or Session(0, request)
        session.attach = request
        session.epoch = next_epoch(session.epoch, request)
        if request.sid not in self.sessions:

            async def received(uplink: Msg) -> None:
                header, payload = frame.unpack(uplink.data), uplink.data[HEADER_BYTES:]
                if header.kind is Kind.CONTROL:
                    control = msgspec.json.decode(payload, type=Control)
                    if control.verb == "present":
                        session.presents.put_nowait((header.epoch, control.wid))
                        return
                if header.epoch >= session.epoch:
                    session.received.put_nowait((header, payload))

            self._subscriptions += [
                await self._nats.subscribe(subjects.uplink(request.sid), cb=received),
                await self._nats.subscribe(subjects.attach(request.sid), cb=self._attach),
            ]
            await self._nats.flush()
        self.sessions[request.sid] = session
        self.store[request.sid] = session
        replay = [sent for number, sent in session.sent if number > request.last_sequence] if request.resume else []
        if not self.ready_before_reply:
            await self._reply(message, Attached(status="ok", wid=self.wid, epoch=session.epoch))
        if not self.greets:
            self.attached.put_nowait(session)
            return
        await self.event(session, ready(session.epoch, session.attach), keep=False)
        for sent in replay:
            await self._publish(session, frame.with_epoch(sent, session.epoch))
        if self.ready_before_reply:
            await self._nats.flush()
            await self._reply(message, Attached(status="ok", wid=self.wid, epoch=session.epoch))
        self.attached.put_nowait(session)

    async def _reply(self, message: Msg, reply: Attached) -> None:
        await self._nats.publish(message.reply, msgspec.json.encode(reply))

    async def _publish(self, session: Session, message: bytes) -> None:
        await self._nats.publish(subjects.downlink(session.attach.sid), message)

    async def next_session(self) -> Session:
        return await asyncio.wait_for(self.attached.get(), WAIT)

    async def event(
        self, session: Session, event: events.AnyEvent, flags: Flags = Flags.NONE, keep: bool = True
    ) -> None:
        session.sequence += 1
        payload = events.encode(msgspec.structs.replace(event, sequence=session.sequence))
        generation = getattr(event, "generation", 0)
        header = Header(Kind.JSON, session.epoch, generation, session.sequence, time.time_ns() // 1000, flags)
        await self._send(session, frame.pack(header, payload), keep)

    async def audio(self, session: Session, generation: int, pcm: bytes, flags: Flags = Flags.NONE) -> None:
        session.sequence += 1
        header = Header(Kind.AUDIO, session.epoch, generation, session.sequence, time.time_ns() // 1000, flags)
        await self._send(session, frame.pack(header, pcm), True)

    async def control(self, session: Session, control: Control) -> None:
        header = Header(Kind.CONTROL, session.epoch)
        await self._publish(session, frame.pack(header, msgspec.json.encode(control)))

    async def raw(self, session: Session, message: bytes) -> None:
        await self._publish(session, message)

    async def flush(self) -> None:
        await self._nats.flush()

    async def _send(self, session: Session, message: bytes, keep: bool) -> None:
        if keep:
            session.sent.append((session.sequence, message))
        await self._publish(session, message)


class Client:
    """A WebSocket client that knows the epoch and counts its frames."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.ready: events.Ready
        self._numbers = itertools.count(1)

    async def say(self, command: commands.AnyCommand) -> None:
        await self.socket.send(commands.encode(command).decode())

    async def hello(self, token: str = "", last_sequence: int = 0) -> events.Ready:
        """Say hello and wait for ready."""
        await self.say(commands.Hello(protocol=1, token=token, last_sequence=last_sequence, client="test"))
        return await self.become_ready()

    async def become_ready(self) -> events.Ready:
        self.ready = await self.event(events.Ready)
        return self.ready

    def frame(self, pcm: bytes = bytes(640), epoch: int | None = None) -> bytes:
        epoch = self.ready.epoch if epoch is None else epoch
        return frame.pack(Header(Kind.AUDIO, epoch, 0, next(self._numbers), time.time_ns() // 1000), pcm)

    async def audio(self, pcm: bytes = bytes(640), epoch: int | None = None) -> None:
        await self.socket.send(self.frame(pcm, epoch))

    async def receive(self) -> events.AnyEvent | tuple[Header, bytes]:
        """The next event, or an audio frame as header and samples. Raises ConnectionClosed."""
        message = await asyncio.wait_for(self.socket.recv(), WAIT)
        if isinstance(message, str):
            return events.decode(message)
        return frame.unpack(message), message[HEADER_BYTES:]

    async def event(self, kind: type[Any]) -> Any:
        """The next message, which is to be of this kind."""
        message = await self.receive()
        assert isinstance(message, kind), message
        return message

    async def closed(self) -> int:
        """The close code, once everything before it was read."""
        try:
            while True:
                await asyncio.wait_for(self.socket.recv(), WAIT)
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


@contextlib.asynccontextmanager
async def client(edge: EdgeProcess, **options: Any) -> AsyncIterator[Client]:
    async with websockets.connect(edge.url, compression=None, close_timeout=1, **options) as socket:
        yield Client(socket)


@contextlib.asynccontextmanager
async def worker(nats_url: str, slots: int = 4, store: dict[str, Session] | None = None) -> AsyncIterator[Worker]:
    made = await Worker(nats_url, slots, store).start()
    try:
        yield made
    finally:
        await made.die()


@contextlib.asynccontextmanager
async def conversation(edge: EdgeProcess, from_worker: Worker) -> AsyncIterator[tuple[Client, Session]]:
    """A client that is ready, and its session at the worker."""
    async with client(edge) as talking:
        await talking.hello()
        yield talking, await from_worker.next_session()

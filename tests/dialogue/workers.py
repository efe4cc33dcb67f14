"""A worker on real NATS with scripted speech models, and an edge's end of a session, for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar, cast

import msgspec
import nats
from nats.aio.client import Client

from services.contracts import commands, events, subjects
from services.contracts.assignment import Attach, Attached, Control
from services.contracts.characters import Character
from services.contracts.frame import HEADER_BYTES, Header, Kind, pack, unpack
from services.contracts.settings import SessionSettings
from services.dialogue.bus import connect
from services.dialogue.checkpoint import CheckpointStore
from services.dialogue.language import EchoSource
from services.dialogue.session import Tools
from services.dialogue.vad import DetectionTicks
from services.dialogue.worker import Worker
from services.telemetry.clocks import steady_clock
from services.telemetry.tracing import NoTracer

Event = TypeVar("Event")


class Deaf:
    """A detector that hears no voice."""

    def score(self, recurrences, windows):
        return [0.0] * len(windows)


class Voice:
    """Half a second of sound for each sentence."""

    model = "voice"

    def __init__(self):
        self.gate = asyncio.Event()
        self.gate.set()

    async def speak(self, text, voice, speculative=False, traceparent=""):
        await self.gate.wait()
        for _ in range(5):
            yield b"\1\0" * 2400


@contextlib.asynccontextmanager
async def running_worker(url: str, *, slots=4, grace_s=30.0, idle_s=900.0) -> AsyncIterator[Worker]:
    client = await connect(url, "test")
    checkpoints = await CheckpointStore.open(client, 3600)
    tools = Tools(
        clock=steady_clock(),
        ticks=DetectionTicks(cast(Any, Deaf())),
        recogniser=cast(Any, None),
        synthesiser=cast(Any, Voice()),
        source=lambda settings, character: EchoSource(),
        characters={"aria": Character(id="aria", name="Aria", persona="p")},
        can_ask=False,
        costly=False,
        speculation="auto",
        checkpoints=checkpoints,
        tracer=NoTracer(),
    )
    settings = SessionSettings(response_mode="echo")
    worker = Worker(client, tools, slots=slots, grace_s=grace_s, idle_s=idle_s, settings=settings)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop(0)
        if not client.is_closed:
            await client.close()


class Browser:
    """The edge's end of one session."""

    def __init__(self, client: Client, sid: str | None = None):
        self.client = client
        self.sid = sid or subjects.new_id()
        self.token = f"token-{self.sid}"
        self.epoch = 0
        self.received: asyncio.Queue = asyncio.Queue()
        self.seen = 0
        self._subscription = None

    async def attach(self, resume=False, last_sequence=0, subject=None) -> Attached:
        async def take(msg):
            await self.received.put(msg.data)

        if self._subscription is None:
            self._subscription = await self.client.subscribe(subjects.downlink(self.sid), cb=take)
        request = Attach(sid=self.sid, token=self.token, resume=resume, last_sequence=last_sequence, epoch=self.epoch)
        reply = await self.client.request(subject or subjects.ASSIGN, msgspec.json.encode(request), timeout=5)
        attached = msgspec.json.decode(reply.data, type=Attached)
        self.epoch = attached.epoch or self.epoch
        return attached

    async def leave(self):
        """The connection of the client is gone; the session notices."""
        await self.send(msgspec.json.encode(Control(verb="detached")), Kind.CONTROL)
        await self.client.flush()

    async def send(self, payload, kind=Kind.JSON, epoch=None, sequence=0):
        data = payload if isinstance(payload, bytes) else commands.encode(payload)
        header = Header(kind, epoch=self.epoch if epoch is None else epoch, sequence=sequence)
        await self.client.publish(subjects.uplink(self.sid), pack(header, data))

    async def next(self) -> tuple[Header, Any]:
        """The next message as (header, event or audio)."""
        message = await asyncio.wait_for(self.received.get(), 5)
        header, payload = unpack(message), message[HEADER_BYTES:]
        self.seen = max(self.seen, header.sequence)
        return header, events.decode(payload) if header.kind is Kind.JSON else payload

    async def until(self, kind: type[Event]) -> Event:
        """Everything up to and including the first event of a kind; that event."""
        while True:
            _, event = await self.next()
            if isinstance(event, kind):
                return event

    async def hear(self, text):
        """Types, acknowledges all audio, and returns the committed turn."""
        await self.send(commands.UserMessage(text=text))
        samples = 0
        while True:
            header, event = await self.next()
            if header.kind is Kind.AUDIO:
                samples += len(event) // 2
                await self.send(commands.Played(generation=header.generation, samples=samples))
            elif isinstance(event, events.TurnCommitted):
                return event.turn


@contextlib.asynccontextmanager
async def browser(url: str, sid: str | None = None) -> AsyncIterator[Browser]:
    client = await nats.connect(url)
    try:
        yield Browser(client, sid)
    finally:
        await client.close()

"""The dialogue worker: claims sessions by slots, holds them, hands them over.

Admission is an atomic count: a worker that is full has left the queue group, and refuses what was already
on its way.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.contracts import subjects
from services.contracts.assignment import BEAT_SECONDS, Attach, Attached, Beat
from services.contracts.errors import Code
from services.contracts.settings import SessionSettings, apply
from services.dialogue.bus import Sender, subscribe
from services.dialogue.session import Session, Tools
from services.telemetry import metrics

log = structlog.get_logger(__name__)

_UPLINK_PENDING = 512
"""Messages of one session that may wait in the client library: ten seconds of audio."""


class _Held:
    """A session and its subscriptions."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.subscriptions: list[Subscription] = []


class Worker:
    def __init__(
        self,
        client: Client,
        tools: Tools,
        *,
        slots: int,
        grace_s: float,
        idle_s: float,
        settings: SessionSettings,
    ) -> None:
        """`settings`: what new sessions start with."""
        self.wid = subjects.new_id()
        self._client = client
        self._tools = tools
        self._slots = slots
        self._grace_s = grace_s
        self._idle_s = idle_s
        self._settings = settings
        self._held: dict[str, _Held] = {}
        self._claimed = 0
        """Slots that are taken, sessions being set up included."""
        self._assignments: Subscription | None = None
        self._sender = Sender(client)
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        metrics.SLOTS.set(self._slots)
        await self._offer()
        await self._client.flush()  # whoever asks from now on finds us
        for work in (self._sender.run(), self._tools.checkpoints.run(), self._beat(), self._tend()):
            self._tasks.append(asyncio.create_task(work))
        log.info("worker is ready", wid=self.wid, slots=self._slots)

    def ready(self) -> str:
        """Why no session can be taken, or ""."""
        if not self._client.is_connected:
            return "not connected to NATS"
        return "draining" if self._draining else ""

    # --- Claiming ------------------------------------------------------------------------------------------------

    async def _offer(self) -> None:
        """Joins or leaves the queue group, by whether there is a free slot."""
        free = self._claimed < self._slots and not self._draining
        if free and self._assignments is None:
            self._assignments = await subscribe(
                self._client, subjects.ASSIGN, self._assign, queue=subjects.ASSIGN_QUEUE
            )
        elif not free and self._assignments is not None:
            # Drained, not dropped: requests that have arrived already get their refusal. It waits for them,
            # so it must not be waited for by the one that is being answered.
            leaving, self._assignments = self._assignments, None
            task = asyncio.create_task(leaving.drain())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _assign(self, msg: Msg) -> None:
        request = msgspec.json.decode(msg.data, type=Attach)
        if self._claimed >= self._slots or self._draining or request.sid in self._held:
            metrics.REFUSED_SESSIONS.inc()
            await msg.respond(msgspec.json.encode(Attached(status="busy", wid=self.wid)))
            return
        self._claimed += 1
        try:
            held = await self._open(request)
        except BaseException:
            self._claimed -= 1
            raise
        if held is None:
            self._claimed -= 1
            await msg.respond(msgspec.json.encode(Attached(status="unknown", wid=self.wid)))
        else:
            metrics.SESSIONS.set(len(self._held))
            await self._greet(msg, held.session, request)
        await self._offer()

    async def _open(self, request: Attach) -> _Held | None:
        sid = request.sid
        restored = await self._tools.checkpoints.load(sid) if request.resume else None
        if request.resume and (restored is None or restored.token != request.token):
            return None
        settings = apply(self._settings, request.settings)
        if settings.character not in self._tools.characters:
            settings = msgspec.structs.replace(settings, character=self._settings.character)
        if settings.response_mode == "llm" and not self._tools.can_ask:
            settings = msgspec.structs.replace(settings, response_mode=self._settings.response_mode)
        out = subjects.downlink(sid)
        session = Session(
            sid, request.token, settings, self._tools, lambda message: self._sender.publish(out, message), restored
        )
        held = _Held(session)
        self._held[sid] = held
        held.subscriptions = [
            await subscribe(self._client, subjects.uplink(sid), self._uplink(session), pending=_UPLINK_PENDING),
            await subscribe(self._client, subjects.attach(sid), self._attach(session)),
        ]
        log.info("session opened", session=sid, resumed=request.resume, client=request.client)
        return held

    def _uplink(self, session: Session) -> Callable[[Msg], Coroutine[Any, Any, None]]:
        async def take(msg: Msg) -> None:
            session.message(msg.data)

        return take

    def _attach(self, session: Session) -> Callable[[Msg], Coroutine[Any, Any, None]]:
        async def take(msg: Msg) -> None:
            await self._greet(msg, session, msgspec.json.decode(msg.data, type=Attach))

        return take

    async def _greet(self, msg: Msg, session: Session, request: Attach) -> None:
        session.attach(request)
        await msg.respond(msgspec.json.encode(Attached(status="ok", wid=self.wid, epoch=session.epoch)))

    # --- Holding -------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            await self._publish_beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def _publish_beat(self, leaving: bool = False) -> None:
        beat = Beat(wid=self.wid, slots=self._slots, active=self._claimed, draining=self._draining, leaving=leaving)
        with contextlib.suppress(Exception):
            await self._client.publish(subjects.beat(self.wid), msgspec.json.encode(beat))

    async def _tend(self) -> None:
        """Ends sessions whose client stayed away or fell silent."""
        while True:
            await asyncio.sleep(1)
            now = self._tools.clock()
            for sid, held in list(self._held.items()):
                session = held.session
                if session.detached_at is not None and now - session.detached_at > self._grace_s:
                    await self._release(sid, None)
                elif now - session.heard_from_at > self._idle_s:
                    await self._release(sid, Code.SESSION_IDLE)

    async def _release(self, sid: str, code: Code | None) -> None:
        held = self._held.pop(sid)
        held.session.checkpoint()
        held.session.close(code)
        for subscription in held.subscriptions:
            await subscription.unsubscribe()
        self._claimed -= 1
        metrics.SESSIONS.set(len(self._held))
        log.info("session closed", session=sid, reason=code or "client stayed away")
        await self._offer()

    # --- Handing over --------------------------------------------------------------------------------------------

    async def stop(self, drain_s: float) -> None:
        """Takes no more sessions, lets running answers end for so long, and leaves the rest to other workers."""
        self._draining = True
        await self._offer()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                for held in self._held.values():
                    await held.session.quiet.wait()
        for held in self._held.values():
            held.session.checkpoint()
            for subscription in held.subscriptions:
                await subscription.unsubscribe()
        await self._tools.checkpoints.flush(1.0)
        await self._publish_beat(leaving=True)
        for held in self._held.values():
            held.session.close(None)
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.drain(), 1.0)

"""The dialogue worker: claims sessions by slots, holds them, hands them over.

Admission is an atomic count: a worker that is full has left the queue group, and refuses what was already
on its way. A session that lost its client keeps its slot while nobody else wants it: whoever finds no free slot
anywhere asks for one of those, and the session waits in its checkpoint from then on.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.contracts import subjects, trace, turns
from services.contracts.assignment import BEAT_SECONDS, Attach, Attached, Beat, ClockReply
from services.contracts.errors import Code
from services.contracts.events import TurnMetrics
from services.contracts.settings import SessionSettings, apply
from services.contracts.trace import TraceContext
from services.dialogue.bus import Sender, settle, subscribe
from services.dialogue.session import Session, Tools
from services.telemetry import metrics, names
from services.telemetry.tracing import Span, Value

log = structlog.get_logger(__name__)

_UPLINK_PENDING = 4096
"""Messages of one session that may wait in the client library: half a minute of all that an edge lets through."""


class _Held:
    """A session and its subscriptions."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.attach: Subscription | None = None
        self.uplink: Subscription | None = None

    async def unsubscribe(self) -> None:
        """From the requests to attach first: nobody may be told that a session is held that is not."""
        for subscription in (self.attach, self.uplink):
            if subscription is not None:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()


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
        self._groups: dict[str, Subscription] = {}
        """The queue groups that this worker is in, by subject."""
        self._offering = asyncio.Lock()
        self._assigning = asyncio.Lock()
        self._sender = Sender(client)
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        metrics.SLOTS.set(self._slots)
        await self._offer()
        await subscribe(self._client, subjects.clock(self.wid), self._tell_time)
        await settle(self._client)  # whoever asks from now on finds us
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
        """Joins or leaves the queue groups: of those with a free slot, and of those that could free one."""
        async with self._offering:
            await self._join(subjects.ASSIGN, self._claimed < self._slots)
            await self._join(subjects.RECLAIM, self._forsaken() is not None)

    async def _join(self, subject: str, able: bool) -> None:
        able = able and not self._draining
        if able and subject not in self._groups:
            self._groups[subject] = await subscribe(self._client, subject, self._assign, queue=subjects.ASSIGN_QUEUE)
        elif not able and subject in self._groups:
            # Drained, not dropped: requests that have arrived already get their refusal. It waits for them,
            # so it must not be waited for by the one that is being answered.
            task = asyncio.create_task(self._groups.pop(subject).drain())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _forsaken(self) -> _Held | None:
        """The session without a client that misses its slot least: it owes no answer, and was left the longest ago."""
        left = [held for held in self._held.values() if held.session.lost_at is not None]
        return min(left, key=lambda held: (not held.session.quiet.is_set(), held.session.lost_at or 0.0), default=None)

    async def _assign(self, msg: Msg) -> None:
        # One at a time: two tries of an edge for one session may come by both subjects.
        async with self._assigning:
            await self._admit(msg, msgspec.json.decode(msg.data, type=Attach))
        await self._offer()

    async def _admit(self, msg: Msg, request: Attach) -> None:
        held = self._held.get(request.sid)
        if held is not None:
            await self._greet(msg, held, request)
            return
        if self._claimed >= self._slots and msg.subject == subjects.RECLAIM and not self._draining:
            forsaken = self._forsaken()
            if forsaken is not None:
                await self._release(forsaken, None, "its place was wanted")
        if self._claimed >= self._slots or self._draining:
            metrics.REFUSED_SESSIONS.inc()
            await self._reply(msg, "busy")
            return
        span = self._taking(msg, request)
        self._claimed += 1
        status = "failed"
        try:
            held = await self._open(request, span.context)
            status = "ok" if held else "unknown"
        except Exception:
            log.exception("a session could not be opened", session=request.sid)
        finally:
            if status != "ok":
                self._claimed -= 1
            self._tools.tracer.end(span, self._tools.clock(), "" if status == "ok" else status)
        if held is None:
            await self._reply(msg, status)
        else:
            await self._greet(msg, held, request)

    def _taking(self, msg: Msg, request: Attach) -> Span:
        """Within the trace of the edge that asks."""
        parent = trace.parse((msg.headers or {}).get(trace.HEADER, ""))
        known: dict[str, Value] = {
            names.SESSION_ID: request.sid,
            names.WORKER: self.wid,
            names.MESSAGING_SYSTEM: names.NATS,
            names.MESSAGING_OPERATION: "process",
            names.MESSAGING_TEMPLATE: msg.subject,
            names.MESSAGING_CONVERSATION: request.sid,
        }
        context = parent.child() if parent else self._tools.tracer.begin()
        return Span(names.TAKE_SESSION, context, self._tools.clock(), parent, "consumer", known)

    async def _open(self, request: Attach, parent: TraceContext) -> _Held | None:
        """The session, new or from its checkpoint; None when there is none. Raises when NATS does not answer."""
        sid = request.sid
        restored = await self._tools.checkpoints.load(sid) if request.resume else None
        if request.resume and (restored is None or not secrets.compare_digest(restored.token, request.token)):
            return None
        settings = self._possible(restored.settings if restored else apply(self._settings, request.settings))
        out = subjects.downlink(sid)
        session = Session(
            sid,
            request.token,
            settings,
            self._tools,
            lambda message: self._sender.publish(out, message),
            self.wid,
            restored,
            self._measured,
            parent,
        )
        held = _Held(session)
        held.attach = await subscribe(self._client, subjects.attach(sid), self._attach(held))
        held.uplink = await subscribe(
            self._client, subjects.uplink(sid), self._uplink(held), pending=_UPLINK_PENDING, lost=session.missed
        )
        self._held[sid] = held
        metrics.SESSIONS.set(len(self._held))
        log.info("session opened", session=sid, resumed=request.resume, client=request.client)
        return held

    def _measured(self, turn: TurnMetrics) -> None:
        """Every edge hears of it, for its view of the fleet's latencies."""
        self._sender.publish(subjects.TURNS, turns.encode(turns.measured(turn, self._tools.clock())))

    def _possible(self, settings: SessionSettings) -> SessionSettings:
        """The settings, with this worker's own where it does not have what they name."""
        if settings.character not in self._tools.characters:
            settings = msgspec.structs.replace(settings, character=self._settings.character)
        if settings.response_mode == "llm" and not self._tools.can_ask:
            settings = msgspec.structs.replace(settings, response_mode=self._settings.response_mode)
        return settings

    def _uplink(self, held: _Held) -> Callable[[Msg], Coroutine[Any, Any, None]]:
        async def take(msg: Msg) -> None:
            lost_at = held.session.lost_at
            held.session.message(msg.data)
            if held.session.superseded:
                await self._give_up(held)
            elif held.session.lost_at != lost_at:
                await self._offer()

        return take

    def _attach(self, held: _Held) -> Callable[[Msg], Coroutine[Any, Any, None]]:
        async def take(msg: Msg) -> None:
            await self._greet(msg, held, msgspec.json.decode(msg.data, type=Attach))
            await self._offer()

        return take

    async def _greet(self, msg: Msg, held: _Held, request: Attach) -> None:
        if self._held.get(request.sid) is not held:
            await self._reply(msg, "busy")
            return
        if not secrets.compare_digest(held.session.token, request.token):
            await self._reply(msg, "unknown")
            return
        held.session.attach(request)
        await self._reply(msg, "ok", held.session.epoch)

    async def _reply(self, msg: Msg, status: Literal["ok", "busy", "unknown", "failed"], epoch: int = 0) -> None:
        await msg.respond(msgspec.json.encode(Attached(status=status, wid=self.wid, epoch=epoch)))

    # --- Holding -------------------------------------------------------------------------------------------------

    async def _tell_time(self, msg: Msg) -> None:
        now = round(self._tools.clock() * 1e6)
        await msg.respond(msgspec.json.encode(ClockReply(took_us=now, answered_us=now)))

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
            metrics.SESSIONS_WITHOUT_CLIENT.set(sum(held.session.lost_at is not None for held in self._held.values()))
            for held in list(self._held.values()):
                try:
                    await self._tend_one(held, now)
                except Exception:
                    log.exception("a session could not be tended", session=held.session.sid)
            try:
                await self._offer()
            except Exception:
                log.exception("the queue groups could not be joined or left")

    async def _tend_one(self, held: _Held, now: float) -> None:
        session = held.session
        session.tend()
        if session.detached_at is not None and now - session.detached_at > self._grace_s:
            await self._release(held, None, "client stayed away")
        elif now - session.heard_from_at > self._idle_s:
            await self._release(held, Code.SESSION_IDLE, "nothing was said")

    async def _release(self, held: _Held, code: Code | None, reason: str) -> None:
        """The session ends here; its checkpoint stays for whoever resumes it."""
        held.session.close(code)
        held.session.checkpoint()
        await self._let_go(held)
        log.info("session closed", session=held.session.sid, reason=reason)

    async def _give_up(self, held: _Held) -> None:
        """The session is another worker's: nothing of what this one knows of it may be written or said."""
        self._tools.checkpoints.release(held.session.sid)
        held.session.close(None)
        await self._let_go(held)
        await self._offer()
        log.warning("session is another worker's now", session=held.session.sid)

    async def _let_go(self, held: _Held) -> None:
        if self._held.get(held.session.sid) is not held:
            return
        del self._held[held.session.sid]
        self._claimed -= 1
        metrics.SESSIONS.set(len(self._held))
        await held.unsubscribe()

    # --- Handing over --------------------------------------------------------------------------------------------

    async def stop(self, drain_s: float) -> None:
        """Takes no more sessions, lets running answers end for so long, and leaves the rest to other workers."""
        self._draining = True
        await self._offer()
        sessions = [held.session for held in self._held.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await asyncio.gather(*(session.quiet.wait() for session in sessions))
        remaining = list(self._held.values())
        for held in remaining:
            await held.unsubscribe()
            held.session.close(None)
            held.session.checkpoint()
        await self._tools.checkpoints.flush(1.0)
        await self._publish_beat(leaving=True)
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.drain(), 1.0)

"""One connection's side towards the worker: attachment, both subjects, and what happens when the worker is lost."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from services.contracts import commands, events, frame, subjects, trace
from services.contracts.assignment import (
    LOST_AFTER_SECONDS,
    PRESENCE_SECONDS,
    Attach,
    Attached,
    Control,
    Mark,
    Marked,
)
from services.contracts.errors import Code
from services.contracts.frame import HEADER_BYTES, FrameError, Header, Kind
from services.contracts.settings import SettingsPatch
from services.contracts.trace import TraceContext
from services.edge.attaching import Ask, Refused, attach
from services.edge.bus import Bus, Unavailable
from services.edge.downlink import Downlink, Outcome
from services.edge.marks import Marks
from services.edge.timekeeper import Timekeeper
from services.edge.uplink import Uplink
from services.edge.workers import Presence, Roster
from services.telemetry import metrics, names
from services.telemetry.clocks import Clock
from services.telemetry.tracing import Span, Tracer, Value

log = structlog.get_logger("edge.link")

REATTACH_SECONDS = 20.0
GREETING_SECONDS = 5.0
"""`ready` is the first message of every attachment; a worker that is silent for so long does not hold the session."""
LOOKS = 3
"""So many workers may take a new connection and then say nothing."""
FIRST_RETRY_SECONDS = 0.1
MAX_RETRY_SECONDS = 1.0
_control_decoder = msgspec.json.Decoder(Control)
_up = metrics.RELAYED.labels("up")
_AUDIO = int(Kind.AUDIO)


class Browser(Protocol):
    """What the link asks of the connection's other side."""

    def wake(self) -> None:
        """There is something in the downlink queue."""

    def say(self, code: Code, message: str = "") -> None:
        """Tell the client of an error that the session survives."""

    def finish(self, code: Code, message: str = "") -> None:
        """Tell the client of an error and end the connection."""

    def too_slow(self) -> None:
        """The downlink queue is full: end the connection."""


@dataclass(frozen=True)
class Surroundings:
    """What all links of an edge share."""

    bus: Bus
    roster: Roster
    clock: Clock
    """Seconds, monotonic."""
    wall: Clock
    """Seconds since 1970 that never jump."""
    timekeeper: Timekeeper
    tracer: Tracer


class Link:
    def __init__(self, shared: Surroundings, browser: Browser, downlink: Downlink) -> None:
        self._bus = shared.bus
        self._roster = shared.roster
        self._clock = shared.clock
        self._wall = shared.wall
        self._timekeeper = shared.timekeeper
        self._tracer = shared.tracer
        self._browser = browser
        self._downlink = downlink
        self._uplink = Uplink()
        self._marks = Marks()
        self._trace: TraceContext = shared.tracer.begin()
        self._request: Attach | None = None
        self._subject = ""
        self._open = False
        """Whether what the client says goes out at once, or is held."""
        self._closed = False
        self._opening = False
        self._greeted = asyncio.Event()
        """The present attachment's worker has said something."""
        self._attached_at = 0.0
        self._present_at = 0.0
        """When `present` is due; 0 while it was not said for this attachment."""
        self._sequence = 0
        self._unsubscribe: Callable[[], Awaitable[None]] | None = None
        self._seeking: asyncio.Task[None] | None = None
        self.wid = ""
        self.epoch = 0

    async def open(self, request: Attach, connection: TraceContext) -> None:
        """Attach the connection, whose span this is, to the session's worker, and wait for its greeting.

        Raises Refused.
        """
        self._request = request
        self._trace = connection
        self._downlink.last_sequence = request.last_sequence
        self._subject = subjects.uplink(request.sid)
        try:
            # Before a worker is asked: what it sends first must find us listening.
            self._unsubscribe = await self._bus.subscribe(subjects.downlink(request.sid), self._receive)
        except Unavailable:
            raise Refused(Code.NO_WORKER) from None
        ask = Ask.HOLDER_THEN_ANYONE if request.resume else Ask.ANYONE
        self._opening = True
        try:
            for _ in range(LOOKS):
                if await self._attached(await self._attach(request, ask)):
                    return
                request = msgspec.structs.replace(request, epoch=self.epoch)
                ask = Ask.HOLDER_THEN_ANYONE
        finally:
            self._opening = False
        raise Refused(Code.NO_WORKER)

    async def send_audio(self, message: bytes, sequence: int) -> None:
        """A microphone frame of the present epoch, header first; it goes on as it is, or is held a little while."""
        self._marks.heard(sequence, self._wall())
        if self._open:
            try:
                await self._bus.publish(self._subject, message)
            except Unavailable:
                self._open = False
            else:
                _up.inc()
                return
        self._uplink.hold_audio(message, self._clock())

    async def send_command(self, command: bytes) -> bool:
        """A command as JSON. False: it was neither sent nor held, since too many are held already."""
        if self._open:
            try:
                await self._publish(Kind.JSON, command)
            except Unavailable:
                self._open = False
            else:
                return True
        if self._answer_ping(command):
            return True
        return self._uplink.hold_command(command, self._clock())

    def check(self, now: float) -> None:
        """Called a few times a second: notices a worker that is gone."""
        if not self.wid or self._closed or self._is_attaching:
            return
        if not self._bus.connected:
            if self._bus.away(now) > LOST_AFTER_SECONDS:
                self._browser.say(Code.WORKER_LOST)
                self._seek(Ask.HOLDER)
            return
        presence = self._roster.presence(self.wid, now)
        if presence is not Presence.THERE:
            self._browser.say(Code.WORKER_LOST)
            self._seek(Ask.ANYONE if presence is Presence.LEFT else Ask.HOLDER_THEN_ANYONE)
        elif not self._open and now - self._attached_at > MAX_RETRY_SECONDS:
            # Something could not be sent although NATS did not go away, so its return will not set that right.
            self._seek(Ask.HOLDER)

    async def present(self, now: float) -> None:
        """Called a few times a second: tells the worker now and then whose the session is."""
        if now >= self._present_at and self.wid and not self._closed and not self._is_attaching:
            with contextlib.suppress(Unavailable):
                await self._say_present()

    def bus_returned(self) -> None:
        """NATS was away, and messages may have been missed: take the session up again behind the last one."""
        if self.wid and not self._closed and not self._opening:
            if self._seeking is not None:
                self._seeking.cancel()
            self._seek(Ask.HOLDER)

    async def close(self, superseded: bool = False) -> None:
        """Leave the session; its worker learns it, unless another connection has it already."""
        self._closed = True
        self._open = False
        if self._seeking is not None:
            self._seeking.cancel()
        if self._unsubscribe is not None:
            await self._unsubscribe()
        if self.wid and not superseded:
            with contextlib.suppress(Unavailable):
                await self._publish(Kind.CONTROL, msgspec.json.encode(Control(verb="detached")))
        metrics.UPLINK_DROPPED.labels("age").inc(self._uplink.dropped_audio)

    @property
    def held(self) -> int:
        """Messages of the client that wait."""
        return len(self._uplink)

    @property
    def _is_attaching(self) -> bool:
        return self._opening or (self._seeking is not None and not self._seeking.done())

    def _receive(self, message: bytes) -> None:
        """A message of the worker, within NATS's callback: it is queued and no more."""
        if self._closed:
            return
        try:
            outcome = self._downlink.put(message)
        except FrameError as error:
            metrics.DOWNLINK_DROPPED.labels("malformed").inc()
            log.error("the worker sent no message of ours", subject=self._subject, worker=self.wid, error=str(error))
            return
        if outcome is not Outcome.HELD and outcome is not Outcome.STALE:
            self._greeted.set()
        if outcome is Outcome.QUEUED:
            if self._marks.generation >= 0 and self.is_marked(message):
                self._marks.took(self._wall())
            self._browser.wake()
        elif outcome is Outcome.STALE:
            metrics.DOWNLINK_DROPPED.labels("stale").inc()
        elif outcome is Outcome.SUPERSEDED:
            self._browser.finish(Code.SESSION_SUPERSEDED)
        elif outcome is Outcome.OVERFLOW:
            self._browser.too_slow()
        elif outcome is Outcome.CONTROL:
            self._control(message[HEADER_BYTES:])

    def is_marked(self, message: bytes) -> bool:
        """It is an audio frame of the answer whose first one the worker wants to know about."""
        kind, _, _, generation, _, _ = frame.peek(message)
        return kind == _AUDIO and generation == self._marks.generation

    async def sent(self, message: bytes) -> None:
        """The client's connection has taken this audio frame."""
        if self._marks.generation < 0 or not self.is_marked(message):
            return
        found = self._marks.sent(self._wall())
        ahead = self._timekeeper.ahead(self.wid)
        if found is None:
            return
        mark, marked = found
        self._record_relay(mark, marked)
        if ahead is not None:
            known = msgspec.structs.replace(marked, ahead_us=round(ahead * 1e6))
            with contextlib.suppress(Unavailable):
                await self._publish(Kind.CONTROL, msgspec.json.encode(Control(verb="marked", marked=known)))

    def _record_relay(self, mark: Mark, marked: Marked) -> None:
        turn = trace.parse(mark.traceparent)
        if turn is None or self._request is None:
            return
        attributes: dict[str, Value] = {
            names.SESSION_ID: self._request.sid,
            names.GENERATION: mark.generation,
            names.MESSAGING_SYSTEM: names.NATS,
            names.MESSAGING_OPERATION: "process",
            names.MESSAGING_TEMPLATE: subjects.downlink("{sid}"),
            names.MESSAGING_CONVERSATION: self._request.sid,
        }
        span = Span(names.RELAY_AUDIO, turn.child(), marked.took_us / 1e6, turn, "consumer", attributes)
        self._tracer.end(span, marked.sent_us / 1e6)

    def _control(self, payload: bytes) -> None:
        try:
            control = _control_decoder.decode(payload)
            if control.verb == "close":
                self._browser.finish(Code(control.code))
            elif control.verb == "mark" and control.mark is not None:
                self._marks.ask(control.mark)
        except (msgspec.DecodeError, ValueError) as error:
            log.error("the worker sent no control of ours", subject=self._subject, worker=self.wid, error=str(error))

    def _answer_ping(self, command: bytes) -> bool:
        """While no worker can: the client is to know that its connection lives. False: it is another command."""
        try:
            ping = commands.decode(command)
        except commands.CommandError:
            return False  # its worker will say what is wrong with it
        if not isinstance(ping, commands.Ping):
            return False
        self._downlink.put_event(events.encode(events.Pong(at_ms=ping.at_ms, server_ms=self._wall() * 1000)))
        self._browser.wake()
        return True

    async def _say_present(self) -> None:
        await self._publish(Kind.CONTROL, msgspec.json.encode(Control(verb="present", wid=self.wid)))
        self._present_at = self._clock() + PRESENCE_SECONDS

    async def _publish(self, kind: Kind, payload: bytes) -> None:
        self._sequence += 1
        header = Header(kind, self.epoch, 0, self._sequence, int(self._wall() * 1e6))
        await self._bus.publish(self._subject, frame.pack(header, payload))
        _up.inc()

    async def _attach(self, request: Attach, ask: Ask) -> Attached:
        started, begun = self._clock(), self._wall()
        span = Span(names.ATTACH, self._trace.child(), begun, self._trace, "client", {names.SESSION_ID: request.sid})
        failure = ""
        try:
            attached = await attach(self._bus, request, ask, self._roster.alive(started) > 0, span.context)
            span.attributes[names.WORKER] = attached.wid
        except Refused as refused:
            failure = refused.code.value
            raise
        finally:
            self._tracer.end(span, self._wall(), failure)
        metrics.ASSIGNMENT.observe(self._clock() - started)
        return attached

    async def _attached(self, attached: Attached) -> bool:
        """From here on the session is this worker's under this epoch; what was held goes its way.

        False: the worker took the session and then said nothing, so it cannot be there.
        """
        self.wid = attached.wid
        self.epoch = attached.epoch
        self._attached_at = self._clock()
        self._roster.expect(attached.wid, self._attached_at)
        self._greeted.clear()
        self._present_at = 0.0
        with contextlib.suppress(Unavailable):
            await self._say_present()
        for message in self._downlink.attach(attached.epoch):
            self._receive(message)
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                await self._greeted.wait()
        except TimeoutError:
            self._downlink.detach()
            log.warning("a worker took the session and says nothing", subject=self._subject, worker=self.wid)
            return False
        await self._release()
        return True

    async def _release(self) -> None:
        """Send what was held, in order; from then on what the client says goes out at once."""
        try:
            if not self._present_at:
                await self._say_present()
        except Unavailable:
            return  # NATS is away again; its return attaches anew
        while (held := self._uplink.take(self._clock())) is not None:
            try:
                if held.is_audio:
                    await self._bus.publish(self._subject, frame.with_epoch(held.message, self.epoch))
                else:
                    await self._publish(Kind.JSON, held.message)
            except Unavailable:
                self._uplink.give_back(held)
                return
        self._open = not self._closed

    def _seek(self, ask: Ask) -> None:
        self._open = False
        self._downlink.detach()
        self._seeking = asyncio.create_task(self._seek_worker(ask), name="edge-seek")

    async def _seek_worker(self, ask: Ask) -> None:
        """Find a worker for this connection's session, again and again for a while."""
        assert self._request is not None
        request = msgspec.structs.replace(
            self._request,
            resume=True,
            epoch=self.epoch,
            last_sequence=self._downlink.last_sequence,
            settings=SettingsPatch(),  # those of hello may have been changed since
        )
        started = self._clock()
        delay = FIRST_RETRY_SECONDS
        try:
            while True:
                patience = REATTACH_SECONDS
                try:
                    if await self._attached(await self._attach(request, ask)):
                        break
                    code = Code.NO_WORKER
                    patience -= GREETING_SECONDS  # another look may take so long, too
                    request = msgspec.structs.replace(request, epoch=self.epoch)
                    ask = Ask.HOLDER_THEN_ANYONE
                except Refused as refused:
                    code = refused.code
                    request = msgspec.structs.replace(request, unheard=refused.unheard)
                waited = self._clock() - started
                if code is Code.SESSION_UNKNOWN or waited > patience:
                    metrics.REASSIGNED.labels("failed").inc()
                    self._browser.finish(Code.SESSION_UNKNOWN if code is Code.SESSION_UNKNOWN else Code.NO_WORKER)
                    return
                if ask is Ask.HOLDER and waited > LOST_AFTER_SECONDS:
                    ask = Ask.HOLDER_THEN_ANYONE
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_RETRY_SECONDS)
            metrics.REASSIGNED.labels("resumed").inc()
            log.info(
                "session taken up",
                session=request.sid,
                worker=self.wid,
                epoch=self.epoch,
                seconds=round(self._clock() - started, 3),
            )
        except Exception:
            log.exception("taking a session up failed", session=request.sid)
            self._browser.finish(Code.INTERNAL_ERROR)

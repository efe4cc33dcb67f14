"""One browser connection: from its hello to its end, relaying between the WebSocket and the session's worker."""

import asyncio
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.contracts import commands, events, frame, subjects, trace
from services.contracts.assignment import Attach
from services.contracts.audio import MAX_UPLINK_SAMPLES
from services.contracts.errors import MEANINGS, Code
from services.contracts.frame import HEADER_BYTES, FrameError, Kind
from services.edge import tokens
from services.edge.attaching import Refused
from services.edge.downlink import Downlink
from services.edge.limits import MessageLimits, Verdict
from services.edge.link import Link, Surroundings
from services.edge.protocol import ABANDON, Abandon
from services.telemetry import metrics, names
from services.telemetry.tracing import Span

log = structlog.get_logger("edge.connection")

HELLO_SECONDS = 10.0
SEND_SECONDS = 10.0
"""A message that a client does not take within this time ends its connection."""
FINISH_SECONDS = 2.0
"""What is left to a client to take its last messages, once the connection is to end."""
RETRY_AFTER_MS = {Code.AT_CAPACITY: 10_000, Code.NO_WORKER: 2_000}
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
_REFUSAL_SECONDS = 0.001

_ORDERLY = ("", Code.SESSION_SUPERSEDED, Code.SESSION_IDLE, Code.SERVER_DRAINING)
"""Endings at which nothing went wrong."""

_AUDIO = int(Kind.AUDIO)
_MAX_AUDIO_BYTES = HEADER_BYTES + 2 * MAX_UPLINK_SAMPLES
_down = metrics.RELAYED.labels("down")


class Connection:
    """`run` is the whole life; the other public functions are called while it lasts."""

    def __init__(self, websocket: WebSocket, shared: Surroundings, secret: bytes) -> None:
        self._websocket = websocket
        self._abandon: Abandon = websocket.scope["state"][ABANDON]
        self._secret = secret
        self._clock = shared.clock
        self._wall = shared.wall
        self._tracer = shared.tracer
        self._span = Span(names.CONNECTION, shared.tracer.begin(), shared.wall(), kind="server")
        self._limits = MessageLimits(self._clock())
        self._wake = asyncio.Event()
        self._sending_since: float | None = None
        self._closing: tuple[int, str] | None = None
        """Close code and reason, once the connection is to end."""
        self._close_by = 0.0
        self.sid = ""
        self.downlink = Downlink()
        self.link = Link(shared, self, self.downlink)

    async def run(self) -> None:
        """Returns when the connection is over. Never raises for what a client does."""
        writer = asyncio.create_task(self._write(), name="edge-writer")
        started = self._clock()
        try:
            if await self._open():
                await self._relay()
            while True:
                await self._receive()  # until the close is through
        except WebSocketDisconnect:
            pass
        except Exception:
            log.exception("connection failed", session=self.sid, worker=self.link.wid)
            self.finish(Code.INTERNAL_ERROR)
            await asyncio.wait({writer}, timeout=FINISH_SECONDS)
        finally:
            writer.cancel()
            await self.link.close(superseded=self._closing is not None and self._closing[1] == Code.SESSION_SUPERSEDED)
            metrics.DOWNLINK_DROPPED.labels("interrupted").inc(self.downlink.purged)
            self._end_span()
            if self.link.wid:
                log.info("session left", session=self.sid, seconds=round(self._clock() - started, 1))

    # The browser's side, as the link and the edge use it.

    def wake(self) -> None:
        self._wake.set()

    def say(self, code: Code, message: str = "") -> None:
        if self._closing is None:
            metrics.EDGE_ERRORS.labels(code.value).inc()
            self.downlink.put_event(events.encode(events.error(code, message, RETRY_AFTER_MS.get(code))))
            self._wake.set()

    def finish(self, code: Code, message: str = "", close: int | None = None) -> None:
        """Send what is queued, then the error, then close. Only the first call counts."""
        self.say(code, message)
        if self._begin_closing(close or MEANINGS[code].close or INTERNAL_ERROR, code):
            self._wake.set()

    def too_slow(self) -> None:
        """Words for the client would be lost: end the connection, so that it resumes behind the last it got.

        There is no error event: it would wait behind everything that the client does not take.
        """
        code = Code.SLOW_CLIENT
        if self._begin_closing(MEANINGS[code].close or INTERNAL_ERROR, code):
            self._abandon(*self._closing or (INTERNAL_ERROR, code))

    def check(self, now: float) -> None:
        """Called a few times a second: ends a connection whose client takes nothing, notices a lost worker."""
        if self._closing is not None:
            if now > self._close_by:
                self._abandon(*self._closing)
        elif self._sending_since is not None and now - self._sending_since > SEND_SECONDS:
            self.too_slow()
        else:
            self.link.check(now)

    async def present(self, now: float) -> None:
        """Called a few times a second: tells the worker now and then that the browser is there."""
        if self._closing is None:
            await self.link.present(now)

    def _end_span(self) -> None:
        reason = self._closing[1] if self._closing else ""
        if reason:
            self._span.attributes[names.CLOSE_REASON] = reason
        self._tracer.end(self._span, self._wall(), "" if reason in _ORDERLY else reason)

    def _begin_closing(self, close: int, code: Code) -> bool:
        if self._closing is not None:
            return False
        self._closing = (close, code.value)
        self._close_by = self._clock() + FINISH_SECONDS
        metrics.REFUSED.labels(code.value).inc()
        log.info("connection ends", session=self.sid, reason=code.value, queued_bytes=self.downlink.bytes)
        return True

    # Browser to worker.

    async def _open(self) -> bool:
        """Hello and attachment. False: it did not come to a session, and the connection is closing."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = await self._hello()
        except TimeoutError:
            self.finish(Code.HELLO_TIMEOUT)
            return False
        if hello is None:
            return False
        if hello.protocol != commands.PROTOCOL:
            self.finish(Code.UNSUPPORTED_PROTOCOL)
            return False
        sid = tokens.verify(hello.token, self._secret) if hello.token else subjects.new_id()
        if sid is None:
            self.finish(Code.TOKEN_INVALID)
            return False
        self.sid = sid
        self._traced(hello)
        request = Attach(
            sid=sid,
            token=tokens.issue(sid, self._secret),
            resume=bool(hello.token),
            last_sequence=hello.last_sequence,
            settings=hello.settings,
            client=hello.client,
        )
        try:
            await self.link.open(request, self._span.context)
        except Refused as refused:
            self.finish(refused.code)
            return False
        log.info(
            "session",
            session=sid,
            worker=self.link.wid,
            epoch=self.link.epoch,
            resumed=request.resume,
            client=hello.client,
        )
        return True

    def _traced(self, hello: commands.Hello) -> None:
        """The connection's span belongs to what the client does, if it says so in `hello` or in the upgrade."""
        span = self._span
        parent = trace.parse(hello.traceparent or self._websocket.headers.get(trace.HEADER, ""))
        if parent is not None:
            span.parent, span.context = parent, parent.child()
        span.attributes |= {names.SESSION_ID: self.sid, names.EDGE_CLIENT: hello.client}

    async def _hello(self) -> commands.Hello | None:
        """The first command, which is to be hello; None when the connection is closing."""
        while self._closing is None:
            text = (await self._receive()).get("text")
            if text is None:
                await self._refuse(Code.HELLO_REQUIRED)
                continue
            try:
                command = commands.decode(text)
            except commands.CommandError as error:
                if MEANINGS[error.code].close is not None:
                    self.finish(error.code, str(error))
                else:
                    await self._refuse(error.code, str(error))
                continue
            if isinstance(command, commands.Hello):
                return command
            await self._refuse(Code.HELLO_REQUIRED)
        return None

    async def _relay(self) -> None:
        """Until the connection is closing. A frame costs no JSON, no task and no copy."""
        while self._closing is None:
            message = await self._receive()
            data = message.get("bytes")
            if data is not None:
                verdict = self._limits.audio(self._clock())
                if verdict is Verdict.TAKE:
                    await self._relay_audio(data)
                    continue
            else:
                verdict = self._limits.command(self._clock())
                if verdict is Verdict.TAKE:
                    await self._relay_command(message["text"].encode())
                    continue
            await self._refused(verdict, Code.RATE_LIMITED)

    async def _relay_audio(self, data: bytes) -> None:
        size = len(data)
        try:
            kind, _, epoch, _, sequence, _ = frame.peek(data)
        except FrameError as error:
            await self._refuse(Code.MALFORMED_FRAME, f"That frame is not taken: {error}.")
            return
        if kind != _AUDIO or size > _MAX_AUDIO_BYTES or size % 2:
            await self._refuse(
                Code.MALFORMED_FRAME,
                f"A microphone frame is of kind {_AUDIO} and holds at most {MAX_UPLINK_SAMPLES} samples of 2 bytes; "
                f"this one is of kind {kind} and holds {size - HEADER_BYTES} bytes.",
            )
        elif epoch == self.link.epoch:
            await self.link.send_audio(data, sequence)
        else:
            metrics.UPLINK_DROPPED.labels("epoch").inc()

    async def _relay_command(self, data: bytes) -> None:
        if len(data) > commands.MAX_JSON_BYTES:
            self.finish(Code.MESSAGE_TOO_LARGE)
        elif not await self.link.send_command(data):
            await self._refuse(Code.RATE_LIMITED, "The conversation is being taken up elsewhere; that was not taken.")

    async def _receive(self) -> Any:
        """The next message as ASGI has it. Raises WebSocketDisconnect."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        return message

    async def _refuse(self, code: Code, message: str = "") -> None:
        await self._refused(self._limits.refuse(self._clock()), code, message)

    async def _refused(self, verdict: Verdict, code: Code, message: str = "") -> None:
        """A message was not taken: say so at most once a second; end a connection that floods us."""
        metrics.UPLINK_DROPPED.labels(code.value).inc()
        if verdict is Verdict.REFUSE_AND_SAY:
            self.say(code, message)
        elif verdict is Verdict.END:
            self.finish(Code.RATE_LIMITED, close=POLICY_VIOLATION)
        # Reading from a full receive queue never suspends: this gives the other connections their turn,
        # and slows the sender down, since uvicorn reads no further while we do not.
        await asyncio.sleep(_REFUSAL_SECONDS)

    # Worker to browser.

    async def _write(self) -> None:
        """Queue to WebSocket. The only place that sends, so that order holds."""
        websocket, downlink, wake, clock = self._websocket, self.downlink, self._wake, self._clock
        try:
            while True:
                outgoing = downlink.get()
                if outgoing is None:
                    if self._closing is not None:
                        await websocket.close(*self._closing)
                        return
                    wake.clear()
                    await wake.wait()
                    continue
                self._sending_since = clock()
                if outgoing.is_audio:
                    await websocket.send_bytes(outgoing.data)
                    await self.link.sent(outgoing.data)
                else:
                    await websocket.send_text(outgoing.data.decode())
                self._sending_since = None
                _down.inc()
        except WebSocketDisconnect:
            pass  # the reader learns it, too
        except Exception:
            if self._closing is None:
                log.exception("sending failed", session=self.sid, worker=self.link.wid)
            self._abandon(INTERNAL_ERROR, Code.INTERNAL_ERROR.value)

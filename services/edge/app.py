"""The edge's routes: the page, the conversation's WebSocket, health and metrics."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import msgspec
import structlog
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import Response
from nats.errors import Error as NatsError

from services.contracts import events, subjects, turns
from services.contracts.assignment import Beat
from services.contracts.errors import Code
from services.edge import origins, page
from services.edge.bus import Bus, Unavailable
from services.edge.config import EdgeConfiguration
from services.edge.connection import RETRY_AFTER_MS, Connection
from services.edge.latency import Turns
from services.edge.limits import AddressLimits, TokenBucket
from services.edge.link import Surroundings
from services.edge.timekeeper import Timekeeper
from services.edge.workers import Roster
from services.telemetry import build, health, lateness, metrics, tracing
from services.telemetry.clocks import steady_clock

log = structlog.get_logger("edge")

PATH = "/v1/conversation"
LATENCY_PATH = "/v1/latency"
CHECK_SECONDS = 0.25
DRAIN_SECONDS = 1.5
_beat_decoder = msgspec.json.Decoder(Beat)
_STATUS = {
    Code.ORIGIN_REFUSED: 403,
    Code.TOO_MANY_CONNECTIONS: 429,
    Code.AT_CAPACITY: 503,
    Code.SERVER_DRAINING: 503,
}


class Edge:
    """What the connections of one process share, and the doorkeeper's decisions."""

    def __init__(self, configuration: EdgeConfiguration) -> None:
        self.clock = time.monotonic
        self.bus = Bus(configuration.nats_url, self._bus_returned, self._was_slow)
        self.roster = Roster()
        self.tracer = tracing.tracer("parley-edge", configuration.otlp_endpoint)
        wall = steady_clock()
        self._timekeeper = Timekeeper(self.bus, self.roster, self.clock, wall)
        self.turns = Turns()
        self.connections: set[Connection] = set()
        self.draining = False
        self._empty = asyncio.Event()
        self._shared = Surroundings(self.bus, self.roster, self.clock, wall, self._timekeeper, self.tracer)
        self._secret = configuration.secret()
        self._origins = configuration.origins()
        self._max_connections = configuration.max_connections
        self._addresses = AddressLimits(configuration.connect_rate, configuration.connect_burst)
        self._refusal_lines = TokenBucket(1, 5, self.clock())

    def unready(self) -> str:
        """Why this edge can take no conversation, or ""."""
        if self.draining:
            return "draining"
        if not self.bus.connected:
            return "not connected to NATS"
        if not self.roster.alive(self.clock()):
            return "no dialogue worker is heard"
        return ""

    def refusal(self, websocket: WebSocket) -> Code | None:
        """Why this connection is not accepted, or None."""
        if self.draining:
            return Code.SERVER_DRAINING
        address = websocket.client.host if websocket.client else ""
        if not self._addresses.take(address, self.clock()):
            return Code.TOO_MANY_CONNECTIONS
        headers = websocket.headers
        if not origins.allowed(headers.get("origin"), headers.get("host"), self._origins):
            return Code.ORIGIN_REFUSED
        if len(self.connections) >= self._max_connections:
            return Code.AT_CAPACITY
        return None

    async def converse(self, websocket: WebSocket) -> None:
        """A connection from upgrade to end."""
        code = self.refusal(websocket)
        if code is not None:
            await self._turn_away(websocket, code)
            return
        connection = Connection(websocket, self._shared, self._secret)
        self.connections.add(connection)
        self._empty.clear()
        metrics.CONNECTIONS.inc()
        try:
            await websocket.accept()
            await connection.run()
        finally:
            self.connections.discard(connection)
            if not self.connections:
                self._empty.set()
            metrics.CONNECTIONS.dec()

    async def serve(self) -> None:
        """What goes on in the background, until NATS refuses us; `bus.closed` is set then."""
        checking = asyncio.create_task(self._check(), name="edge-check")
        try:
            await self.bus.connect()
            await self.bus.subscribe(subjects.BEATS, self._beat)
            await self.bus.subscribe(subjects.TURNS, self._turn)
            timekeeping = asyncio.create_task(self._timekeeper.run(), name="edge-timekeeper")
            try:
                await self.bus.closed.wait()
            finally:
                timekeeping.cancel()
        except (NatsError, Unavailable) as error:
            log.error("NATS refuses this edge", error=str(error))
        finally:
            checking.cancel()
            self.bus.closed.set()

    async def drain(self) -> None:
        """Tell every client to go elsewhere, and wait a little until they are gone."""
        self.draining = True
        for connection in list(self.connections):
            connection.finish(Code.SERVER_DRAINING)
        if self.connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._empty.wait()

    async def _turn_away(self, websocket: WebSocket, code: Code) -> None:
        metrics.REFUSED.labels(code.value).inc()
        if self._refusal_lines.take(self.clock()):
            address = websocket.client.host if websocket.client else ""
            log.info("connection refused", reason=code.value, address=address, origin=websocket.headers.get("origin"))
        body = events.encode(events.error(code, retry_after_ms=RETRY_AFTER_MS.get(code)))
        await websocket.send_denial_response(Response(body, _STATUS[code], media_type="application/json"))

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = self.clock()
            waiting = held = 0
            for connection in list(self.connections):
                try:
                    connection.check(now)
                    await connection.present(now)
                except Exception:
                    log.exception("checking a connection failed", session=connection.sid)
                    connection.finish(Code.INTERNAL_ERROR)
                waiting += connection.downlink.bytes
                held += connection.link.held
            metrics.DOWNLINK_QUEUE_BYTES.set(waiting)
            metrics.UPLINK_HELD.set(held)
            metrics.WORKERS.set(self.roster.alive(now))
            metrics.FREE_SLOTS.set(self.roster.free(now))

    def _beat(self, message: bytes) -> None:
        try:
            self.roster.heard(_beat_decoder.decode(message), self.clock())
        except msgspec.DecodeError as error:
            log.error("a worker's beat is none of ours", error=str(error))

    def _turn(self, message: bytes) -> None:
        try:
            self.turns.add(turns.decode(message))
        except msgspec.DecodeError as error:
            log.error("a worker's turn is none of ours", error=str(error))

    async def latency(self, _request: Request) -> Response:
        """Where the time of the fleet's last turns went, as this edge has heard of them."""
        return Response(self.turns.encoded(self.clock(), time.time()), media_type="application/json")

    def _bus_returned(self) -> None:
        self.roster.forgive(self.clock())
        for connection in list(self.connections):
            connection.link.bus_returned()

    def _was_slow(self, subject: str) -> None:
        for connection in list(self.connections):
            if connection.sid and subject == subjects.downlink(connection.sid):
                connection.too_slow()


def create(edge: Edge, configuration: EdgeConfiguration) -> FastAPI:
    """The application around an edge. Its lifespan connects to NATS and takes leave of it."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        serving = asyncio.create_task(edge.serve(), name="edge-serve")
        watching = asyncio.create_task(lateness.watch(), name="lateness")
        try:
            yield
        finally:
            watching.cancel()
            serving.cancel()
            await edge.bus.close()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            edge.tracer.close()

    build.announce("edge")
    app = FastAPI(title="Parley", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(page.Headers)
    app.router.routes.extend(health.routes(edge.unready, metrics.EDGE))
    app.add_api_websocket_route(PATH, edge.converse)
    app.add_route(LATENCY_PATH, edge.latency)
    app.add_route("/latency", page.file(configuration.page_folder / "latency.html"))
    app.mount("/", page.files(configuration.page_folder))
    return app

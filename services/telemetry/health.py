"""`/healthz`, `/readyz` and `/metrics` for a service that has no HTTP of its own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

Readiness = Callable[[], str]
"""Says why the service cannot take work, or "" when it can."""


def routes(ready: Readiness, registry: CollectorRegistry) -> list[BaseRoute]:
    """The three routes, for an application to include.

    `/healthz` is 200 while the event loop turns; `/readyz` is 200, or 503 with the reason;
    `/metrics` is Prometheus text of the registry's metrics, or OpenMetrics, with exemplars, for a scraper that asks
    for it.
    """

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        reason = ready()
        if reason:
            return JSONResponse({"status": "unavailable", "reason": reason}, status_code=503)
        return JSONResponse({"status": "ok"})

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):  # the service that is watched handles its own signals
        yield


@contextlib.asynccontextmanager
async def serve(ready: Readiness, registry: CollectorRegistry, host: str, port: int) -> AsyncIterator[int]:
    """Serve the three routes while the context lasts; yields the port (a free one when `port` is 0).

    Raises OSError when the port is taken.
    """
    listening = socket.create_server((host, port))
    config = uvicorn.Config(
        Starlette(routes=routes(ready, registry)),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="health")
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listening.close()

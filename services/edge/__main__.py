"""`python -m services.edge`: serve until SIGTERM or SIGINT, then hand the clients on and end in order."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Generator

import structlog
import uvicorn
import uvloop

from services.configuration import load_or_exit
from services.edge import app
from services.edge.config import EdgeConfiguration
from services.edge.http import Http
from services.edge.protocol import Protocol
from services.telemetry import logs

log = structlog.get_logger("edge")

MAX_MESSAGE_BYTES = 256 * 1024
"""Beyond this the WebSocket itself closes with 1009. Above the protocol's own limit, so that a client which
exceeds that one is told in words."""


class Server(uvicorn.Server):
    """uvicorn closes every socket at a signal; ours are told first, so the signals are handled here."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(configuration: EdgeConfiguration) -> int:
    """Returns the exit status. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in configuration.host else socket.AF_INET
    listening = socket.create_server((configuration.host, configuration.port), family=family, backlog=2048)
    edge = app.Edge(configuration)
    server = Server(
        uvicorn.Config(
            app.create(edge, configuration),
            http=Http,
            ws=Protocol,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(configuration.trusted_proxies),
            forwarded_allow_ips=configuration.trusted_proxies,
            timeout_graceful_shutdown=1,
        )
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    async def stop() -> bool:
        """Whether it was a signal that ended us, and not NATS."""
        waits = {asyncio.ensure_future(stopping.wait()), asyncio.ensure_future(edge.bus.closed.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        asked = stopping.is_set()
        if not asked:
            log.error("NATS has closed the connection; are its credentials right?")
        await edge.drain()
        server.should_exit = True
        return asked

    ending = asyncio.create_task(stop(), name="edge-stop")
    if not configuration.session_secret.get_secret_value():
        log.warning("PARLEY_SESSION_SECRET is not set: sessions cannot be resumed at another edge or after a restart")
    host, port = listening.getsockname()[:2]
    log.info("edge", url=f"http://{host}:{port}/", nats=configuration.nats_url.rpartition("@")[2])
    await server.serve(sockets=[listening])
    return 0 if await ending else 1


def main() -> None:
    configuration = load_or_exit(EdgeConfiguration)
    logs.configure("edge", configuration.log_format, configuration.log_level)
    try:
        status = uvloop.run(serve(configuration))
    except OSError as error:
        log.error(
            "cannot listen; check PARLEY_HOST and PARLEY_PORT",
            host=configuration.host,
            port=configuration.port,
            error=str(error),
        )
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()

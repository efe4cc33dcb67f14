"""uvicorn's WebSocket protocol with a way to end a client that takes nothing, and quiet about what clients do.

An ASGI `websocket.close` waits until the client has taken what is queued for it, and after it uvicorn's
transport does, too: a client that never reads would keep its buffers here for ever.
"""

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

ABANDON = "abandon"
"""The key in the connection's state: a function of close code and reason."""
LINGER_SECONDS = 2.0
INVALID_DATA = 1007

Abandon = Callable[[int, str], None]


class Protocol(WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application: Any = self.app
        self.app = self._run

    async def _run(self, *asgi: Any) -> None:
        await self._application(*asgi)
        if self.initial_response is not None and self.close_sent:
            # A refusal by an HTTP response is complete, too; uvicorn would log an error for each.
            self.handshake_complete = True

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # not when the handshake was refused as malformed
            self.scope.setdefault("state", {})[ABANDON] = self.abandon

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                # uvicorn would log a traceback of its own.
                self.frames = []
                self.abandon(INVALID_DATA, "text is UTF-8")
                return
        super().send_receive_event_to_app()

    def abandon(self, code: int, reason: str) -> None:
        """Queue a close frame behind what is queued; whoever does not take it in 2 s is cut off."""
        if self.disconnected:
            return
        self.stop_keepalive()
        if not self.close_sent:
            self.close_sent = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            try:
                self.conn.send_close(code, reason)
                self.transport.write(b"".join(self.conn.data_to_send()))
            except InvalidState:
                pass
        self.transport.close()
        self.loop.call_later(LINGER_SECONDS, self._cut)

    def _cut(self) -> None:
        if not self.disconnected:
            self.transport.abort()

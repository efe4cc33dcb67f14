"""A collector that keeps nothing: `python -m loadtest.sink` takes OTLP over HTTP, so that a benchmark can tell what
sending traces costs. It prints its port; `GET /` says how many bytes came."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    taken = 0

    def do_POST(self) -> None:
        Sink.taken += len(self.rfile.read(int(self.headers["content-length"])))
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(str(Sink.taken).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_port, flush=True)
    server.serve_forever()

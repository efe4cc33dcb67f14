import asyncio
import json

import pytest

from services.telemetry import health


async def get(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    answer = (await asyncio.wait_for(reader.read(), 5)).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_the_three_routes():
    reason = "models are not ready"
    async with health.serve(lambda: reason, "127.0.0.1", 0) as port:
        assert await get(port, "/healthz") == (200, '{"status":"ok"}')
        status, body = await get(port, "/readyz")
        assert (status, json.loads(body)) == (503, {"status": "unavailable", "reason": reason})
        reason = ""
        assert (await get(port, "/readyz"))[0] == 200
        status, body = await get(port, "/metrics")
        assert status == 200
        assert "# TYPE parley_turn_first_audio_seconds histogram" in body
        assert (await get(port, "/else"))[0] == 404
    with pytest.raises(OSError, match="onnect"):
        await get(port, "/healthz")


async def test_a_port_that_is_taken_is_an_error_at_once():
    async with health.serve(lambda: "", "127.0.0.1", 0) as port:
        with pytest.raises(OSError, match="in use"):
            async with health.serve(lambda: "", "127.0.0.1", port):
                pass

import asyncio
import json

import pytest
from prometheus_client import CollectorRegistry, Histogram

from services.telemetry import health, metrics


async def get(port: int, path: str, accept: str = "*/*") -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET {path} HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = (await asyncio.wait_for(reader.read(), 5)).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


async def test_the_three_routes():
    reason = "models are not ready"
    async with health.serve(lambda: reason, metrics.WORKER, "127.0.0.1", 0) as port:
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
    async with health.serve(lambda: "", metrics.WORKER, "127.0.0.1", 0) as port:
        with pytest.raises(OSError, match="in use"):
            async with health.serve(lambda: "", metrics.WORKER, "127.0.0.1", port):
                pass


async def test_exemplars_are_shown_to_a_scraper_that_takes_openmetrics():
    registry = CollectorRegistry()
    turns = Histogram("turn_seconds", "Turns.", buckets=(1.0, 2.0), registry=registry)
    turns.observe(1.5, {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"})
    async with health.serve(lambda: "", registry, "127.0.0.1", 0) as port:
        _, plain = await get(port, "/metrics")
        _, rich = await get(port, "/metrics", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert 'turn_seconds_bucket{le="2.0"} 1.0' in plain
    assert "trace_id" not in plain
    assert '# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 1.5' in rich
    assert rich.rstrip().endswith("# EOF")

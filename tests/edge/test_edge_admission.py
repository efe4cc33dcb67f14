"""Who comes in, who is refused, how fast, and with which words."""

import asyncio
import json
import statistics
import time

import pytest
import websockets
from edge_harness import EdgeProcess, Worker, client, conversation, edge_process, worker
from websockets.http11 import Response

from services.contracts import commands, events
from services.contracts.errors import MEANINGS, Code


async def refused(edge: EdgeProcess, **options: object) -> Response:
    with pytest.raises(websockets.InvalidStatus) as raised:
        await websockets.connect(edge.url, **options)  # type: ignore[arg-type]
    return raised.value.response


def error(response: Response) -> events.Error:
    assert response.headers["content-type"] == "application/json"
    event = events.decode(bytes(response.body))
    assert isinstance(event, events.Error)
    return event


async def get(edge: EdgeProcess, path: str) -> tuple[int, dict[str, str], bytes]:
    host, _, port = edge.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {edge.address}\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


async def ready_again(edge: EdgeProcess, status: int) -> bytes:
    """Ask until /readyz answers so."""
    async with asyncio.timeout(10):
        while True:
            got, _, body = await get(edge, "/readyz")
            if got == status:
                return body
            await asyncio.sleep(0.05)


async def test_a_full_system_refuses_within_100_ms(edge: EdgeProcess, nats_url: str):
    took: list[float] = []
    async with worker(nats_url, slots=1) as full, conversation(edge, full):
        for _ in range(5):
            async with client(edge) as late:
                started = time.perf_counter()
                await late.say(commands.Hello(protocol=1))
                refusal = await late.event(events.Error)
                took.append(time.perf_counter() - started)
                assert (refusal.code, refusal.recoverable) == (Code.AT_CAPACITY, True)
                assert refusal.retry_after_ms
                assert await late.closed() == MEANINGS[Code.AT_CAPACITY].close
    assert min(took) < 0.1, "the best of five, since this machine may be busy with something else"


async def test_full_workers_that_left_the_queue_group_are_told_from_none(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted):
        await ready_again(edge, 200)
        await scripted._subscriptions[0].unsubscribe()
        await scripted.flush()
        async with client(edge) as late:
            await late.say(commands.Hello(protocol=1))
            assert (await late.event(events.Error)).code == Code.AT_CAPACITY


async def test_another_worker_is_asked_when_one_is_busy(edge: EdgeProcess, nats_url: str):
    async with worker(nats_url, slots=0), worker(nats_url, slots=50) as free:
        held = 0
        for _ in range(10):
            async with client(edge) as talking:
                await talking.say(commands.Hello(protocol=1))
                held += isinstance(await talking.receive(), events.Ready)
        assert held == len(free.sessions)
        # One in eight would be refused when each of three tries meets either worker alike.
        assert held >= 5


async def test_without_workers_the_refusal_says_so(nats_url: str):
    with edge_process(nats_url) as edge:
        async with client(edge) as talking:
            await talking.say(commands.Hello(protocol=1))
            assert (await talking.event(events.Error)).code == Code.NO_WORKER
            assert await talking.closed() == MEANINGS[Code.NO_WORKER].close
        assert (await get(edge, "/healthz"))[0] == 200
        assert json.loads(await ready_again(edge, 503))["reason"] == "no dialogue worker is heard"
        async with worker(nats_url):
            await ready_again(edge, 200)


async def test_without_nats_the_edge_is_alive_but_not_ready():
    with edge_process("nats://127.0.0.1:1", connected=False) as edge:
        assert (await get(edge, "/healthz"))[0] == 200
        status, _, body = await get(edge, "/readyz")
        assert (status, json.loads(body)["reason"]) == (503, "not connected to NATS")
        async with client(edge) as talking:
            await talking.say(commands.Hello(protocol=1))
            assert (await talking.event(events.Error)).code == Code.NO_WORKER
        edge.signal(15)
        assert edge.end() == 0


async def test_one_address_may_not_connect_without_end(nats_url: str):
    """1,000 connects from one address: almost all refused at the door, while a conversation next to it goes on."""
    with edge_process(nats_url, connect_rate="5", connect_burst="20", trusted_proxies="127.0.0.1") as edge:
        async with (
            worker(nats_url) as scripted,
            client(edge, additional_headers={"X-Forwarded-For": "192.0.2.1"}) as talking,
        ):
            await talking.hello()
            session = await scripted.next_session()
            memory = edge.rss()
            gate = asyncio.Semaphore(50)
            outcomes: list[str] = []

            async def knock() -> None:
                async with gate:
                    try:
                        headers = {"X-Forwarded-For": "198.51.100.7"}
                        async with websockets.connect(edge.url, additional_headers=headers, open_timeout=20):
                            outcomes.append("let in")
                    except websockets.InvalidStatus as refusal:
                        outcomes.append(error(refusal.response).code)

            storm = asyncio.gather(*(knock() for _ in range(1000)))
            waits: list[float] = []
            while not storm.done():
                before = time.perf_counter()
                await talking.say(commands.Ping(at_ms=1))
                await session.next()
                waits.append(time.perf_counter() - before)
                await asyncio.sleep(0.01)
            await storm
            assert outcomes.count(Code.TOO_MANY_CONNECTIONS) >= 900
            assert outcomes.count(Code.TOO_MANY_CONNECTIONS) + outcomes.count("let in") == 1000
            # The clients of the storm share a core with this one, so the middle is what says something.
            assert statistics.median(waits) < 0.5, "the other address is not held up"
            assert edge.rss() - memory < 30e6
            assert len(edge.lines) < 200, "nor is the log flooded"


async def test_forwarded_addresses_are_believed_only_from_proxies_we_know(nats_url: str):
    with edge_process(nats_url, connect_rate="0.001", connect_burst="1") as edge:
        async with client(edge, additional_headers={"X-Forwarded-For": "192.0.2.1"}):
            pass
        response = await refused(edge, additional_headers={"X-Forwarded-For": "192.0.2.2"})
        assert response.status_code == 429


async def test_an_edge_has_only_so_many_connections(nats_url: str):
    with edge_process(nats_url, max_connections="2") as edge:
        async with client(edge), client(edge):
            response = await refused(edge)
            assert (response.status_code, error(response).code) == (503, Code.AT_CAPACITY)
        async with asyncio.timeout(5):
            while True:  # the places are free as soon as the edge has seen the others go
                try:
                    async with client(edge):
                        break
                except websockets.InvalidStatus:
                    await asyncio.sleep(0.01)


async def test_pages_of_other_origins_are_refused(edge: EdgeProcess):
    response = await refused(edge, origin="https://evil.example")
    assert response.status_code == 403
    assert error(response).code == Code.ORIGIN_REFUSED
    assert error(response).message == MEANINGS[Code.ORIGIN_REFUSED].message
    async with client(edge, origin=f"http://{edge.address}"):
        pass


async def test_configured_origins(nats_url: str):
    with edge_process(nats_url, allowed_origins="https://voice.example, http://localhost:3000") as edge:
        async with client(edge, origin="https://voice.example"), client(edge, origin="http://localhost:3000"):
            pass
        assert (await refused(edge, origin=f"http://{edge.address}")).status_code == 403


async def test_the_page_and_its_headers(nats_url: str, tmp_path):
    (tmp_path / "js").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Parley</title>")
    (tmp_path / "js" / "worklet.js").write_text("registerProcessor()")
    (tmp_path / "style.css").write_text("body {}")
    with edge_process(nats_url, page_folder=str(tmp_path)) as edge:
        status, headers, body = await get(edge, "/")
        assert (status, body) == (200, b"<!doctype html><title>Parley</title>")
        assert headers["content-type"].startswith("text/html")
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-cache"
        assert headers["etag"]
        assert (await get(edge, "/js/worklet.js"))[1]["content-type"].startswith("text/javascript")
        assert (await get(edge, "/style.css"))[1]["content-type"].startswith("text/css")
        assert (await get(edge, "/../pyproject.toml"))[0] == 404
        assert (await get(edge, "/nothing"))[0] == 404


async def test_metrics_name_what_this_edge_does(edge: EdgeProcess, scripted: Worker):
    async with conversation(edge, scripted) as (talking, session):
        await talking.audio()
        await session.next()
        text = (await get(edge, "/metrics"))[2].decode()
        assert "parley_edge_connections 1.0" in text
        assert 'parley_edge_relayed_messages_total{direction="up"}' in text
        assert "parley_edge_nats_connected 1.0" in text

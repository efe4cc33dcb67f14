"""The worker's connection to NATS: a loss is a warning, a stop in order is none."""

import asyncio

from structlog.testing import capture_logs

from services.dialogue.bus import connect

INFO = b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576}\r\n'


async def test_closing_in_order_warns_of_nothing(nats_url):
    with capture_logs() as logged:
        for end in ("drain", "close"):
            client = await connect(nats_url, "test")
            await getattr(client, end)()
    assert logged == []


async def test_a_lost_connection_is_a_warning():
    connected, came_back = asyncio.Event(), asyncio.Event()

    async def hang_up_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if connected.is_set():
            came_back.set()
        else:
            writer.write(INFO)
            while not (await reader.readline()).startswith(b"PING"):
                pass
            writer.write(b"PONG\r\n")
            await connected.wait()
        writer.close()

    server = await asyncio.start_server(hang_up_once, "127.0.0.1", 0)
    with capture_logs() as logged:
        client = await connect(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", "test")
        connected.set()
        await asyncio.wait_for(came_back.wait(), 5)
        server.close()
        await client.close()
    assert {"event": "nats connection lost", "log_level": "warning"} in logged

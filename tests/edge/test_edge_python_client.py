"""docs/client.py and docs/client_minimal.py against the real edge: what they send, and how they give up."""

import asyncio
import json
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import pytest
from edge_harness import ROOT, EdgeProcess, Session, Worker, edge_process

from services.contracts import commands, events
from services.contracts.errors import Code
from services.contracts.frame import Flags, Header, Kind

SPEECH = ROOT / "loadtest" / "speech" / "00-slt.wav"


async def start(edge: EdgeProcess, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "docs" / "client.py"),
        edge.url,
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def answer(scripted: Worker, session: Session, seconds: float) -> list[dict[str, Any]]:
    """Speak for so long, and wait until all of it was played. Returns the acknowledgements."""
    samples = int(seconds * 24_000)
    await scripted.event(session, events.AudioStreamStart(generation=3, character="aria", sample_rate=24_000))
    for start_at in range(0, samples, 2400):
        await scripted.audio(session, 3, b"\x01\x02" * min(2400, samples - start_at))
    await scripted.event(
        session, events.AudioStreamStop(generation=3, last_sequence=session.sequence, samples=samples), Flags.NONE
    )
    acknowledged: list[dict[str, Any]] = []
    while not acknowledged or acknowledged[-1].get("samples") != samples:
        header, payload = await session.next()
        if header.kind is Kind.JSON:
            acknowledged.append(json.loads(payload))
    part = events.Part(name="voice", owner="synthesis", ms=123.4)
    await scripted.event(session, events.TurnMetrics(turn=1, generation=3, total_ms=123.4, spoken=True, parts=[part]))
    turn = events.Turn(number=1, user="hi", assistant="Hello there.")
    await scripted.event(session, events.TurnCommitted(generation=3, turn=turn))
    return acknowledged


async def test_a_typed_turn(edge: EdgeProcess, scripted: Worker, tmp_path: Path):
    out = tmp_path / "answer.wav"
    client = await start(edge, "--type", "hi", "--out", str(out))
    session = await scripted.next_session()
    message = await session.next_command()
    assert message["text"] == "hi"
    assert abs(message["at_ms"] - time.time() * 1000) < 60_000
    started = time.monotonic()
    acknowledged = await answer(scripted, session, 0.55)
    assert time.monotonic() - started >= 0.55, "acknowledged at the pace of playing"
    assert [entry["type"] for entry in acknowledged[:2]] == ["playback_started", "played"]
    samples = [entry["samples"] for entry in acknowledged[1:]]
    assert samples == sorted(samples)
    assert len(samples) > 3
    assert {entry["generation"] for entry in acknowledged} == {3}
    text, errors = await asyncio.wait_for(client.communicate(), 10)
    assert (client.returncode, errors) == (0, b"")
    assert text.decode().splitlines() == ["total_ms: 123 = voice 123", "answer: Hello there."]
    with wave.open(str(out)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (24_000, 1, 2)
        assert recording.readframes(100_000) == b"\x01\x02" * int(0.55 * 24_000)


async def test_a_spoken_turn(edge: EdgeProcess, scripted: Worker):
    client = await start(edge, "--say", str(SPEECH))
    session = await scripted.next_session()
    assert commands.decode((await session.next())[1]) == commands.StartListening()
    with wave.open(str(SPEECH)) as recording:
        pcm = recording.readframes(recording.getnframes())
    heard = bytearray()
    started = time.monotonic()
    number = 0
    while len(heard) < len(pcm) + 6400:
        header, payload = await session.next()
        number += 1
        assert header == Header(Kind.AUDIO, 1, 0, number, header.time_us)
        assert len(payload) == 640
        heard += payload
    took = time.monotonic() - started
    assert took > number * 0.02 - 0.3, "in real time"
    assert heard[: len(pcm)] == pcm
    assert not any(heard[len(pcm) :]), "and silence after it"
    await scripted.event(session, events.SttFinished(utterance="u", text="so it was"))
    await answer(scripted, session, 0.2)
    text, errors = await asyncio.wait_for(client.communicate(), 10)
    assert (client.returncode, errors) == (0, b"")
    assert text.decode().splitlines()[0] == "transcript: so it was"


async def test_nothing_understood(edge: EdgeProcess, scripted: Worker):
    client = await start(edge, "--say", str(SPEECH))
    session = await scripted.next_session()
    await scripted.event(session, events.SttFinished(utterance="u", text=""))
    _, errors = await asyncio.wait_for(client.communicate(), 10)
    assert (client.returncode, errors) == (1, b"Nothing was understood.\n")


async def test_a_refusal_is_shown(edge: EdgeProcess, scripted: Worker):
    scripted.slots = 0
    client = await start(edge, "--type", "hi")
    _, errors = await asyncio.wait_for(client.communicate(), 10)
    assert client.returncode == 1
    assert "at_capacity: All places are taken" in errors.decode()
    assert "Traceback" not in errors.decode()


def recording(path: Path, rate: int = 16_000, channels: int = 1, width: int = 2, samples: int = 160) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        file.writeframes(bytes(samples * channels * width))
    return path


def said(client: str, *arguments: str) -> str:
    """What a client says when it gives up: one sentence, with exit status 1."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / client), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


NOWHERE = "ws://127.0.0.1:1/v1/conversation"


def test_a_recording_is_looked_at_before_anything_is_connected(tmp_path: Path):
    empty = tmp_path / "empty.wav"
    empty.touch()
    text = tmp_path / "text.wav"
    text.write_text("this is no recording at all")
    fast, wide = recording(tmp_path / "fast.wav", rate=24_000), recording(tmp_path / "wide.wav", channels=2)
    for path, words in (
        (tmp_path / "none.wav", "none.wav cannot be read as a WAV file: No such file or directory."),
        (tmp_path, "cannot be read as a WAV file: Is a directory."),
        (empty, "empty.wav cannot be read as a WAV file: it ends too early."),
        (text, "text.wav cannot be read as a WAV file: file does not start with RIFF id."),
        (fast, "24000 Hz, 1 channel(s), 16 bit; a recording to say has 16000 Hz, 1 channel, 16 bit."),
        (wide, "16000 Hz, 2 channel(s), 16 bit;"),
        (recording(tmp_path / "thin.wav", width=1), "16000 Hz, 1 channel(s), 8 bit;"),
        (recording(tmp_path / "short.wav", samples=0), "short.wav has 0 samples"),
    ):
        assert words in said("client.py", NOWHERE, "--say", str(path))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (NOWHERE, "127.0.0.1"),
        ("ws://nowhere.invalid/v1/conversation", "Name or service not known"),
        ("page.html", "page.html isn't a valid URI"),
    ],
)
def test_no_server_is_one_sentence(url: str, words: str, tmp_path: Path):
    assert words in said("client.py", url, "--type", "hi")
    assert words in said("client_minimal.py", url, "hi", str(tmp_path / "answer.wav"))


def test_another_address_of_the_server_is_one_sentence(edge: EdgeProcess, tmp_path: Path):
    other = edge.url.replace("/v1/conversation", "/v1/nothing")
    assert "refused the connection with HTTP status 4" in said("client.py", other, "--type", "hi")
    assert "HTTP 4" in said("client_minimal.py", other, "hi", str(tmp_path / "answer.wav"))


def test_without_arguments_the_smallest_client_says_what_it_takes():
    assert said("client_minimal.py") == "usage: client_minimal.py URL TEXT WAV\n"


async def test_a_refused_text_ends_with_the_servers_sentence(edge: EdgeProcess, scripted: Worker, tmp_path: Path):
    for client, arguments in (
        ("client.py", ("--type", " ")),
        ("client_minimal.py", (" ", str(tmp_path / "answer.wav"))),
    ):
        running = asyncio.create_task(asyncio.to_thread(said, client, edge.url, *arguments))
        session = await scripted.next_session()
        await session.next()
        await scripted.event(session, events.error(Code.TEXT_EMPTY))
        assert "A message needs at least one visible character." in await running


async def test_a_full_server_ends_both_with_its_sentence(edge: EdgeProcess, scripted: Worker, tmp_path: Path):
    scripted.slots = 0
    assert "All places are taken" in await asyncio.to_thread(said, "client.py", edge.url, "--type", "hi")
    minimal = ("client_minimal.py", edge.url, "hi", str(tmp_path / "answer.wav"))
    assert "All places are taken" in await asyncio.to_thread(said, *minimal)


def test_a_refusal_before_there_is_a_websocket_is_shown(nats_url: str, tmp_path: Path):
    with edge_process(nats_url, connect_rate="0.001", connect_burst="1") as strict:
        words = "refused the connection with HTTP status 429: Too many connections from this address"
        said("client_minimal.py", strict.url, "hi", str(tmp_path / "answer.wav"))
        assert words in said("client.py", strict.url, "--type", "hi")


async def test_a_silent_recording_does_not_wait_for_ever(edge: EdgeProcess, scripted: Worker, tmp_path: Path):
    silent = recording(tmp_path / "silent.wav", samples=16_000)
    options = ("--say", str(silent), "--patience", "0.5")
    assert await asyncio.to_thread(said, "client.py", edge.url, *options) == "No answer came within 0.5 s.\n"
    assert (await scripted.next_session()).attach.client == "docs/client.py"


async def test_an_answer_that_stops_coming_is_given_up(edge: EdgeProcess, scripted: Worker):
    options = ("--type", "hi", "--patience", "0.5")
    running = asyncio.create_task(asyncio.to_thread(said, "client.py", edge.url, *options))
    session = await scripted.next_session()
    await session.next_command()
    await scripted.event(session, events.TextChunk(generation=1, text="Well"))
    assert await running == "No answer came within 0.5 s.\n"


async def test_a_voice_that_fails_is_said_and_the_text_still_comes(edge: EdgeProcess, scripted: Worker):
    client = await start(edge, "--type", "hi")
    session = await scripted.next_session()
    await session.next_command()
    await scripted.event(session, events.error(Code.SYNTHESIS_UNAVAILABLE))
    turn = events.Turn(number=1, user="hi", assistant="Hello there.")
    await scripted.event(session, events.TurnCommitted(generation=1, turn=turn))
    text, errors = await asyncio.wait_for(client.communicate(), 10)
    assert (client.returncode, text) == (0, b"answer: Hello there.\n")
    assert errors.startswith(b"synthesis_unavailable: ")


async def test_a_connection_that_breaks_is_one_sentence(tmp_path: Path):
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/conversation"
        assert "no connection" in await asyncio.to_thread(said, "client.py", url, "--type", "hi")
        minimal = ("client_minimal.py", url, "hi", str(tmp_path / "answer.wav"))
        assert "No answer: " in await asyncio.to_thread(said, *minimal)


async def test_an_answer_that_cannot_be_written_is_one_sentence(edge: EdgeProcess, scripted: Worker):
    turn = events.Turn(number=1, user="hi", assistant="Hello there.")
    for client, arguments in (
        ("client.py", ("--type", "hi", "--out", "/proc/answer.wav")),
        ("client_minimal.py", ("hi", "/proc/answer.wav")),
    ):
        done = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "docs" / client),
            edge.url,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        if client == "client.py":
            session = await scripted.next_session()
            await session.next_command()
            await scripted.event(session, events.TurnCommitted(generation=1, turn=turn))
        _, errors = await asyncio.wait_for(done.communicate(), 10)
        assert (done.returncode, errors.count(b"\n")) == (1, 1), errors
        assert b"/proc/answer.wav" in errors

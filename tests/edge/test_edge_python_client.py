"""docs/client.py against the real edge: what it sends is what the protocol asks for."""

import asyncio
import json
import sys
import time
import wave
from pathlib import Path
from typing import Any

from edge_harness import ROOT, EdgeProcess, Session, Worker

from services.contracts import commands, events
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
    await asyncio.wait_for(client.communicate(), 10)
    assert client.returncode == 1


async def test_a_refusal_is_shown(edge: EdgeProcess, scripted: Worker):
    scripted.slots = 0
    client = await start(edge, "--type", "hi")
    _, errors = await asyncio.wait_for(client.communicate(), 10)
    assert client.returncode == 1
    assert "at_capacity: All places are taken" in errors.decode()
    assert "Traceback" not in errors.decode()

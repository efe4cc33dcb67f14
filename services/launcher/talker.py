"""A client that talks: real-time microphone frames up, a player that keeps real time down. For benchmarks and checks.

It behaves as the page does in half duplex: it stops sending while an answer sounds, and listens again when the
answer has been heard to its end.
"""

import asyncio
import contextlib
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import websockets
from numpy.typing import NDArray

from services.contracts import commands, events
from services.contracts.audio import DOWNLINK, UPLINK
from services.contracts.frame import HEADER_BYTES, Header, Kind, pack, unpack
from services.contracts.settings import SettingsPatch

Pcm = NDArray[np.int16]
_PLAYED_EVERY_S = 0.2
_TAIL_S = 0.15


class TalkFailed(RuntimeError):
    """The conversation did not go as it must; the text says what was waited for."""


@dataclass
class Answer:
    """What came back for one thing said."""

    generation: int = 0
    transcript: str = ""
    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    """PCM16 at 24 kHz, as it was received."""
    latency_s: float | None = None
    """Last speech sample sent (as scheduled) to the first audio frame received."""
    worst_gap_s: float = 0.0
    """The longest time that a player without any jitter buffer would have run dry within the answer."""
    metrics: events.TurnMetrics | None = None
    turn: events.Turn | None = None
    states: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])


def read_speech(path: Path) -> Pcm:
    """The samples of a 16 kHz mono PCM16 WAV file. Raises ValueError for another format."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (UPLINK.sample_rate, 1, 2):
            raise ValueError(f"{path}: a spoken sentence is 16 kHz, mono, 16 bits")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


class Talker:
    def __init__(self, url: str, settings: SettingsPatch | None = None, client: str = "talker") -> None:
        """`url`: the WebSocket address, such as ws://127.0.0.1:8080/v1/conversation."""
        self._url = url
        self._settings = settings or SettingsPatch()
        self._client = client
        self._socket: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._speech: Pcm = np.zeros(0, np.int16)
        self._spoken: asyncio.Future[float] | None = None
        self._gate = False
        self._sequence = 0
        self._changed = asyncio.Condition()
        self._first_arrival: float | None = None
        self._playing_from: float | None = None
        self.answer = Answer()
        self.ready: events.Ready | None = None
        self.lateness_s = 0.0
        """How late the worst frame was sent; a client that is late measures itself."""

    async def __aenter__(self) -> "Talker":
        self._socket = await websockets.connect(self._url, compression=None, max_size=2**20)
        await self.command(commands.Hello(protocol=commands.PROTOCOL, settings=self._settings, client=self._client))
        self._tasks = [asyncio.create_task(work) for work in (self._receive(), self._microphone(), self._report())]
        await self._until(lambda: self.ready is not None, 10, "ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError, websockets.ConnectionClosed):
                await task
        await self._socket.close()

    async def command(self, command: commands.AnyCommand) -> None:
        await self._socket.send(commands.encode(command).decode())

    async def listen(self) -> None:
        await self.command(commands.StartListening())
        self._gate = True

    async def say(self, speech: Pcm, timeout_s: float = 30.0) -> Answer:
        """Speaks in real time, hears the whole answer, and is listened to again. Raises TalkFailed."""
        self._begin()
        self._spoken = asyncio.get_running_loop().create_future()
        self._speech = speech
        ended = await self._spoken
        answer = await self._heard(timeout_s)
        if self._first_arrival is not None:
            answer.latency_s = self._first_arrival - ended
        await asyncio.sleep(_TAIL_S)
        await self.listen()
        return answer

    async def type(self, text: str, timeout_s: float = 30.0) -> Answer:
        """Types, and hears the whole answer. Raises TalkFailed."""
        self._begin()
        sent = time.perf_counter()
        await self.command(commands.UserMessage(text=text, at_ms=time.time() * 1000))
        answer = await self._heard(timeout_s)
        if self._first_arrival is not None:
            answer.latency_s = self._first_arrival - sent
        return answer

    def _begin(self) -> None:
        self.answer = Answer()
        self._first_arrival = self._playing_from = None

    async def _heard(self, timeout_s: float) -> Answer:
        await self._until(lambda: self.answer.turn is not None, timeout_s, "the whole answer")
        return self.answer

    async def _until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: condition() or self._tasks[0].done())
        except TimeoutError:
            raise TalkFailed(f"{what} did not come within {timeout_s:g} s; states {self.answer.states}") from None
        if not condition():
            raise TalkFailed(f"the connection ended before {what} came: {self.answer.errors or 'no reason given'}")

    async def _microphone(self) -> None:
        """A frame every 20 ms at absolute deadlines; silence where nothing is said."""
        silence = bytes(UPLINK.frame_bytes)
        due = time.perf_counter()
        while True:
            due += UPLINK.frame_seconds
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            if not self._gate:
                continue
            self.lateness_s = max(self.lateness_s, time.perf_counter() - due)
            pcm, speaking = silence, self._spoken
            if speaking is not None:
                chunk, self._speech = self._speech[: UPLINK.frame_samples], self._speech[UPLINK.frame_samples :]
                pcm = chunk.astype("<i2").tobytes().ljust(UPLINK.frame_bytes, b"\0")
                if not len(self._speech):
                    self._spoken = None
                    # The frame is sent when its last sample has been recorded, so speech ended with its own last one.
                    speaking.set_result(due - (UPLINK.frame_samples - len(chunk)) / UPLINK.sample_rate)
            captured = time.time() - (time.perf_counter() - due) - UPLINK.frame_seconds
            header = Header(
                Kind.AUDIO,
                epoch=self.ready.epoch if self.ready else 0,
                sequence=self._sequence,
                time_us=int(captured * 1e6),
            )
            self._sequence += 1
            await self._socket.send(pack(header, pcm))

    async def _receive(self) -> None:
        try:
            async for message in self._socket:
                if isinstance(message, bytes):
                    self._audio(message)
                else:
                    self._event(events.decode(message))
                async with self._changed:
                    self._changed.notify_all()
        except websockets.ConnectionClosed:
            pass
        finally:
            async with self._changed:
                self._changed.notify_all()

    def _audio(self, message: bytes) -> None:
        now, header = time.perf_counter(), unpack(message)
        if header.generation != self.answer.generation:
            return
        if self._playing_from is None:
            self._first_arrival = self._playing_from = now
        dry = now - self._playing_from - len(self.answer.audio) / 2 / DOWNLINK.sample_rate
        if dry > 0:
            self.answer.worst_gap_s = max(self.answer.worst_gap_s, dry)
            self._playing_from += dry
        self.answer.audio += message[HEADER_BYTES:]

    def _event(self, event: events.AnyEvent) -> None:
        match event:
            case events.Ready():
                self.ready = event
            case events.ConversationState():
                self.answer.states.append(event.state)
            case events.SttFinished():
                self.answer.transcript = event.text
            case events.TextStreamStart():
                self.answer.generation = event.generation
            case events.TextChunk() if event.generation == self.answer.generation:
                self.answer.text += event.text
            case events.AudioStreamStart():
                self._gate = False
            case events.TurnMetrics():
                self.answer.metrics = event
            case events.TurnCommitted():
                self.answer.turn = event.turn
            case events.Error():
                self.answer.errors.append(f"{event.code}: {event.message}")
            case _:
                pass

    async def _report(self) -> None:
        """Tells the server what has been played, as a player in real time would."""
        reported: tuple[int, int] = (0, 0)
        started = 0
        while True:
            await asyncio.sleep(_PLAYED_EVERY_S / 4)
            if self._playing_from is None or self._first_arrival is None:
                continue
            generation, received = self.answer.generation, len(self.answer.audio) // 2
            if started != generation:
                started = generation
                at_ms = (time.time() - (time.perf_counter() - self._first_arrival)) * 1000
                await self.command(commands.PlaybackStarted(generation=generation, received_ms=at_ms, started_ms=at_ms))
            played = min(received, int((time.perf_counter() - self._playing_from) * DOWNLINK.sample_rate))
            if generation == reported[0] and played == reported[1]:
                continue
            if played == received or generation != reported[0] or played - reported[1] > 4800:
                reported = (generation, played)
                await self.command(commands.Played(generation=generation, samples=played))

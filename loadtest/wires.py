"""What a talker says and hears, apart from how a server writes it.

A wire turns both into messages of one server. `ParleyWire` is ours; `peers/` holds others, so that the same talkers
drive them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.contracts import commands, events
from services.contracts.audio import DOWNLINK
from services.contracts.frame import HEADER_BYTES, Header, Kind, pack, peek
from services.contracts.settings import SettingsPatch

Message = bytes | str
"""Binary or text."""


# What is heard
@dataclass(frozen=True, slots=True)
class Ready:
    """The session can be used."""

    session: str = ""
    """Its name in the server's logs."""
    resumed: bool = False
    complete: bool = True
    """When resumed: all that was missed is sent again."""


@dataclass(frozen=True, slots=True)
class VoiceNoticed:
    """The server hears the user speak: a new turn, or one that it had taken to be over."""


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """The server takes the user's turn to be over."""


@dataclass(frozen=True, slots=True)
class AnswerSounds:
    """Audio of an answer begins. Where the wire is half duplex, the server does not listen from here on."""


@dataclass(frozen=True, slots=True)
class Sound:
    samples: int
    """At 24 kHz."""
    energy: float | None = None
    """The sum of the squared samples; None: nobody looked."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Sound of an answer that was flushed before; it must not be played."""

    samples: int


@dataclass(frozen=True, slots=True)
class AllSent:
    """The answer has so many samples, and all were sent."""

    samples: int


@dataclass(frozen=True, slots=True)
class Pause:
    """There is a voice over the answer: fall silent, and say what was heard."""


@dataclass(frozen=True, slots=True)
class Resume:
    """It was nothing: play on from there."""


@dataclass(frozen=True, slots=True)
class Flush:
    """What is queued of the answer must not be played."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The turn as the server's history keeps it."""

    assistant: str
    cut: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """Where the server says that the time to the first audio went, in milliseconds."""

    parts: dict[str, float]
    """By name, in order."""
    total_ms: float = 0.0
    prepared_ms: float = 0.0
    trace: str = ""
    """The turn's trace, where the server says which."""


@dataclass(frozen=True, slots=True)
class Trouble:
    code: str
    message: str


Heard = (
    Ready
    | VoiceNoticed
    | TurnTaken
    | AnswerSounds
    | Sound
    | Stale
    | AllSent
    | Pause
    | Resume
    | Flush
    | Committed
    | Measured
    | Trouble
)


class Wire(Protocol):
    """One session's translation. Messages that it returns are sent in order."""

    path: str
    half_duplex: bool
    """The talker's microphone is off while an answer sounds."""
    says_end: bool
    """The server says when an answer's audio is complete, and what its history kept."""
    tokens: int | None
    """After the first, of the stand-in's answer, until there is something to be said; None: as our cutter cuts."""

    def opening(self) -> list[Message]: ...

    def listen(self) -> list[Message]: ...

    def frame(self, pcm: bytes, captured_us: int) -> bytes:
        """20 ms of the microphone; binary."""
        ...

    def playing(self, received_ms: float) -> list[Message]:
        """The first sample was played as soon as it was received."""
        ...

    def played(self, samples: int) -> list[Message]: ...

    def interrupt(self) -> list[Message]: ...

    def hear(self, message: Message) -> Iterator[Heard]: ...


class ParleyWire:
    """Parley's own protocol, docs/protocol.md."""

    path = "/v1/conversation"
    says_end = True
    tokens: int | None = None

    def __init__(self, settings: SettingsPatch, half_duplex: bool = True, listens: bool = False) -> None:
        """`listens`: look at what the answer's samples are, not only at how many there are."""
        self.half_duplex = half_duplex
        self._settings = settings
        self._listens = listens
        self._token = ""
        self._last_sequence = 0
        self._epoch = 0
        self._generation = 0
        self._sequence = 0
        self.text = ""
        """The answer as it was written."""

    def opening(self) -> list[Message]:
        """Of a new session; of the same one again once there is one."""
        hello = commands.Hello(
            protocol=commands.PROTOCOL,
            token=self._token,
            last_sequence=self._last_sequence if self._token else 0,
            settings=SettingsPatch() if self._token else self._settings,
            client="loadtest",
        )
        return [_said(hello)]

    def listen(self) -> list[Message]:
        return [_said(commands.StartListening())]

    def frame(self, pcm: bytes, captured_us: int) -> bytes:
        header = Header(Kind.AUDIO, epoch=self._epoch, sequence=self._sequence, time_us=captured_us)
        self._sequence += 1
        return pack(header, pcm)

    def playing(self, received_ms: float) -> list[Message]:
        started = commands.PlaybackStarted(generation=self._generation, received_ms=received_ms, started_ms=received_ms)
        return [_said(started)]

    def played(self, samples: int) -> list[Message]:
        return [_said(commands.Played(generation=self._generation, samples=samples))]

    def interrupt(self) -> list[Message]:
        return [_said(commands.Interrupt())]

    def typed(self, text: str, at_ms: float) -> list[Message]:
        return [_said(commands.UserMessage(text=text, at_ms=at_ms))]

    def hear(self, message: Message) -> Iterator[Heard]:
        if isinstance(message, bytes):
            _, _, _, generation, sequence, _ = peek(message)
            if self._seen(sequence):
                return
            samples = (len(message) - HEADER_BYTES) // 2
            if generation != self._generation:
                yield Stale(samples)
            else:
                yield Sound(samples, _energy(message) if self._listens else None)
            return
        event = events.decode(message)
        if isinstance(event, events.Ready):
            yield self._ready(event)
        elif not self._seen(event.sequence):
            yield from self._event(event)

    def _ready(self, event: events.Ready) -> Ready:
        self._epoch = event.epoch
        self._token = event.token
        if not event.resumed or not event.complete:
            # What was missed follows with lower numbers than this event's own, unless it is lost.
            self._last_sequence = event.sequence
        return Ready(event.session_id, event.resumed, event.complete)

    def _seen(self, sequence: int) -> bool:
        """What a resumed session sends twice is taken once. 0 is an event outside of the count."""
        if 0 < sequence <= self._last_sequence:
            return True
        self._last_sequence = sequence or self._last_sequence
        return False

    def _event(self, event: events.AnyEvent) -> Iterator[Heard]:
        match event:
            case events.ConversationState(state="user_speaking"):
                yield VoiceNoticed()
            case events.SttFinished() if event.text:
                yield TurnTaken()
            case events.TextStreamStart():
                self._generation = event.generation
                self.text = ""
            case events.TextChunk() if event.generation == self._generation:
                self.text += event.text
            case events.AudioStreamStart():
                yield AnswerSounds()
            case events.AudioStreamStop() if event.generation == self._generation:
                yield AllSent(event.samples)
            case events.AudioPause() if event.generation == self._generation:
                yield Pause()
            case events.AudioResume() if event.generation == self._generation:
                yield Resume()
            case events.AudioFlush():
                self._generation = max(self._generation, event.generation)
                yield Flush()
            case events.TurnCommitted():
                yield Committed(event.turn.assistant, event.turn.cut)
            case events.TurnMetrics():
                yield Measured(
                    {part.name: part.ms for part in event.parts},
                    event.total_ms,
                    event.prepared_ms,
                    getattr(event, "trace_id", ""),
                )
            case events.Error():
                yield Trouble(event.code, event.message)
            case _:
                pass


def _said(command: commands.AnyCommand) -> str:
    return commands.encode(command).decode()


def _energy(message: bytes) -> float:
    samples = np.frombuffer(message, "<i2", offset=HEADER_BYTES).astype(np.float32)
    return float(samples @ samples)


SAMPLE_RATE = DOWNLINK.sample_rate
"""Of what is heard, on every wire."""

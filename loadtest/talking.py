"""One talker: speaks, waits, listens to the answer in real time, speaks again. Driven by `tick` every 20 ms.

It behaves as a page does: microphone frames in real time, a player that keeps real time and says what it has played.
"""

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from typing import Literal

from loadtest import answers, wires
from loadtest.sentences import Script, Spoken
from loadtest.wires import SAMPLE_RATE, Message, Wire
from services.contracts.audio import UPLINK

ANSWER_WITHIN_S = 10.0
THOUGHT_S = (0.5, 2.0)
"""Between hearing an answer and speaking again."""
PLAYED_EVERY_S = 0.2
SILENT_S = 0.6
"""Where a server does not say that an answer is complete: it is, when nothing came for so long."""
BARGE_AFTER_S = 2.0
"""An interruption comes after so much of the answer was heard; echo cancellation has adapted by then."""
FLUSHED_WITHIN_S = 3.0

Barge = Literal["", "voice", "command"]


class Phase(Enum):
    CONNECTING = auto()
    QUIET = auto()
    SPEAKING = auto()
    WAITING = auto()
    """For the answer."""
    HEARING = auto()
    DONE = auto()


@dataclass
class Turn:
    """What came of one thing said. Seconds."""

    pause_s: float
    ended_at: float = 0.0
    """When its last speech sample was due, or it was typed: seconds since 1970."""
    latency_s: float | None = None
    """Last speech sample to the first audio of the answer; where none came, the time that was waited for it."""
    gap_s: float = 0.0
    """The longest time that a player without jitter buffer ran dry within the answer."""
    cuts: int = 0
    """How often the server took the turn to be over before it was."""
    cut_heard: bool = False
    """And was heard to answer before it was."""
    silent_s: float | None = None
    """Interruption to silence: to `Pause`, or to `Flush` where that came first."""
    flushed_s: float | None = None
    """Interruption to `Flush`."""
    late_samples: int = 0
    """Audio of the interrupted answer that came after the flush."""
    kept: str = ""
    """With an interruption: what history kept of the answer."""
    acknowledged: int = 0
    """And how many samples had been acknowledged."""
    false_pauses: int = 0
    """Answers that were paused though nobody had interrupted them, or taken up again though somebody had."""
    parts: dict[str, float] = field(default_factory=dict[str, float])
    """Where the server says that the time went, in milliseconds."""
    total_ms: float = 0.0
    """And how much it was altogether."""
    prepared_ms: float = 0.0
    trace: str = ""
    samples: int = 0
    """Of the answer, as they came."""
    away: bool = False
    """The connection was lost within it and made again."""
    unfinished: bool = False
    """The test ended while the answer was waited for."""
    failure: str = ""


@dataclass
class _Player:
    """A loudspeaker without a jitter buffer."""

    started: float | None = None
    """When the first sample sounded, moved on by each time that it ran dry."""
    received: int = 0
    energy: float | None = None
    """The sum of the squares of what was received, where the wire looks at it."""
    reported: int = 0
    reported_at: float = 0.0
    last_at: float = 0.0
    total: int | None = None
    held_at: float | None = None
    """It was told to be silent then."""

    def take(self, samples: int, energy: float | None, now: float) -> float:
        """Seconds that it had run dry before these samples."""
        if self.started is None:
            self.started = now
        until = now if self.held_at is None else self.held_at
        dry = max(0.0, until - self.started - self.received / SAMPLE_RATE)
        self.started += dry
        self.received += samples
        if energy is not None:
            self.energy = (self.energy or 0.0) + energy
        self.last_at = now
        return dry

    def played(self, now: float) -> int:
        if self.started is None:
            return 0
        until = now if self.held_at is None else self.held_at
        return min(self.received, int((until - self.started) * SAMPLE_RATE))

    def hold(self, now: float) -> None:
        if self.held_at is None:
            self.held_at = now

    def resume(self, now: float) -> None:
        if self.held_at is not None and self.started is not None:
            self.started += now - self.held_at
        self.held_at = None


class Talker:
    speaks = True
    """It has a microphone."""

    def __init__(
        self,
        wire: Wire,
        send: Callable[[Message], None],
        script: Script,
        choose: random.Random,
        turns: int,
        begin_at: float,
        barge: Barge = "",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`begin_at`: when to speak first, on `clock`."""
        self._wire = wire
        self._send = send
        self._script = script
        self._choose = choose
        self._left = turns
        self._speak_at = begin_at
        self._barge: Barge = barge
        self._clock = clock
        self._wall_offset = 0.0
        self.session = ""
        """Its name at the server."""
        self.phase = Phase.CONNECTING
        self.turns: list[Turn] = []
        self.troubles: list[str] = []
        self.ready = False
        self.began = False
        self._turn = Turn(0.0)
        self._spoken: Spoken | None = None
        self._at = 0
        self._microphone = False
        self._noticed = 0
        self._early = 0
        """Turns taken to be over before they were, of this one."""
        self._taken = 0
        """And once they were: one is right."""
        self._ended = 0.0
        self._player = _Player()
        self._silences = 0
        self._barged_at: float | None = None
        self._flushed = False

    def start(self) -> None:
        """The session can be used."""
        self.ready, self._microphone = True, self.speaks
        self.phase = Phase.QUIET
        if self.speaks:
            self._send_all(self._wire.listen())

    @property
    def heard_s(self) -> float:
        """How much of an answer has been heard; 0 while none sounds."""
        return self._player.played(self._clock()) / SAMPLE_RATE if self.phase is Phase.HEARING else 0.0

    def lost(self, why: str) -> None:
        """The connection is gone for good, and so is what was said or waited for."""
        if self.phase in (Phase.SPEAKING, Phase.WAITING, Phase.HEARING):
            self._left = 1
            self._fail(self._clock(), why)
        self.phase = Phase.DONE

    def stop(self) -> None:
        """The test is over. Who waits has waited so long for nothing."""
        if self.phase is Phase.WAITING:
            self._turn.unfinished = True
            self._turn.latency_s = self._clock() - self._ended
            self.turns.append(self._turn)
        self.phase = Phase.DONE

    # --- Time ------------------------------------------------------------------------------------------------

    def tick(self, due: float, wall_offset: float) -> None:
        """A microphone frame is complete at `due`; with `wall_offset` added that is seconds since 1970."""
        self._wall_offset = wall_offset
        if not self.ready or self.phase is Phase.DONE:
            return
        if self.phase is Phase.QUIET and due >= self._speak_at:
            self._speak(due)
        if self._microphone:
            captured_us = int((due + wall_offset - UPLINK.frame_seconds) * 1e6)
            self._send(self._wire.frame(self._pcm(due), captured_us))
        match self.phase:
            case Phase.WAITING if due > self._ended + ANSWER_WITHIN_S:
                self._fail(due, f"no answer within {ANSWER_WITHIN_S:g} s")
            case Phase.HEARING:
                self._play(due)
            case Phase.SPEAKING if self._player.started is not None:
                self._report_played(due)
            case _:
                pass

    def _pcm(self, due: float) -> bytes:
        if self._spoken is None:
            self._silences += 1
            return self._script.silences[self._silences % len(self._script.silences)]
        frame = self._spoken.frames[self._at]
        self._at += 1
        if self._at == len(self._spoken.frames):
            self._ended = due - self._spoken.padding_s
            self._turn.ended_at = self._ended + self._wall_offset
            self._spoken = None
            # Where an answer sounds already, the server took the turn too early and nothing has stopped it.
            self.phase = Phase.WAITING if self._player.started is None else Phase.HEARING
        return frame

    def _speak(self, due: float) -> None:
        self._spoken = self._script.next(self._choose)
        self._at = 0
        self._turn = Turn(self._spoken.pause_s)
        self._noticed = self._early = self._taken = 0
        self.phase = Phase.SPEAKING
        self.began = True

    def _report_played(self, now: float) -> int:
        player = self._player
        played = player.played(now)
        everything = played == player.total
        if played > player.reported and (everything or now - player.reported_at >= PLAYED_EVERY_S):
            self._acknowledge(played, now)
        return played

    def _play(self, now: float) -> None:
        player = self._player
        played = self._report_played(now)
        if self._barge and self._barged_at is None and played >= BARGE_AFTER_S * SAMPLE_RATE:
            self._interrupt(now, played)
        elif self._barged_at is not None and now > self._barged_at + FLUSHED_WITHIN_S and not self._flushed:
            self._fail(now, f"not silent within {FLUSHED_WITHIN_S:g} s of an interruption")
        elif not self._wire.says_end and played == player.received and now - player.last_at > SILENT_S:
            self._over(now)
        elif now - max(player.last_at, player.reported_at) > ANSWER_WITHIN_S:
            self._fail(now, f"the answer did not end within {ANSWER_WITHIN_S:g} s of its last sound")

    def _acknowledge(self, played: int, now: float) -> None:
        self._player.reported, self._player.reported_at = played, now
        self._send_all(self._wire.played(played))

    def _interrupt(self, now: float, played: int) -> None:
        if self._barge == "command":
            self._acknowledge(played, now)
            self._send_all(self._wire.interrupt())
            self._barged_at = now
            return
        self._spoken = self._script.next(self._choose)
        self._at = 0
        # The next frame is sent a frame from now, when its first sample is a frame old.
        self._barged_at = now + self._spoken.lead_s
        self._noticed = self._early = self._taken = 0

    def _over(self, now: float) -> None:
        """The answer was heard to its end, or there is none."""
        self.turns.append(self._turn)
        self._left -= 1
        self._player = _Player()
        self._barged_at, self._flushed = None, False
        if not self._left:
            self.phase = Phase.DONE
            return
        if self._spoken is not None:
            # Interrupted by voice: what interrupts is the next thing said.
            self._turn = Turn(self._spoken.pause_s)
            self.phase = Phase.SPEAKING
            return
        self.phase = Phase.QUIET
        self._speak_at = now + self._choose.uniform(*THOUGHT_S)
        if self.speaks and not self._microphone:
            self._microphone = True
            self._send_all(self._wire.listen())

    def _fail(self, now: float, why: str) -> None:
        self._turn.failure = why
        if self.phase is Phase.WAITING:
            # An answer that does not come takes at least as long as it was to be waited for.
            self._turn.latency_s = max(now - self._ended, ANSWER_WITHIN_S)
        self._spoken = None
        self._over(now)

    def _send_all(self, messages: list[Message]) -> None:
        for message in messages:
            self._send(message)

    # --- What is heard ---------------------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        now = self._clock()
        for heard in self._wire.hear(message):
            self._take(heard, now)

    def _take(self, heard: wires.Heard, now: float) -> None:
        match heard:
            case wires.Ready():
                self._connected(heard)
            case wires.VoiceNoticed():
                self._noticed += 1
                self._count_cuts()
            case wires.TurnTaken():
                if self.phase is Phase.SPEAKING:
                    self._early += 1
                else:
                    self._taken += 1
                self._count_cuts()
            case wires.AnswerSounds():
                if self._wire.half_duplex:
                    self._microphone = False
            case wires.Sound(samples, energy):
                self._sound(samples, energy, now)
            case wires.Stale(samples):
                self._turn.late_samples += samples
            case wires.AllSent(samples):
                self._player.total = samples
            case wires.Pause():
                self._pause(now)
            case wires.Resume():
                self._player.resume(now)
                self._turn.false_pauses += self._barged_at is not None
                self._turn.silent_s = None
            case wires.Flush():
                self._flush(now)
            case wires.Committed():
                self._committed(heard, now)
            case wires.Measured():
                turn = self._turn
                turn.parts, turn.total_ms, turn.prepared_ms = heard.parts, heard.total_ms, heard.prepared_ms
                turn.trace = heard.trace
            case wires.Trouble():
                self.troubles.append(f"{heard.code}: {heard.message}")

    def _connected(self, heard: wires.Ready) -> None:
        self.session = heard.session
        if not self.ready:
            self.start()
            return
        self._turn.away = True
        if not heard.complete:
            self._turn.failure = "the resumed session had lost something"
        if self._microphone:
            self._send_all(self._wire.listen())
        if self._player.started is not None:
            # What was played while the line was gone could not be said then.
            now = self._clock()
            self._acknowledge(self._player.played(now), now)

    def _count_cuts(self) -> None:
        if self._barged_at is None:
            self._turn.cuts = max(self._turn.cuts, self._noticed - 1, self._early + max(0, self._taken - 1))

    def _sound(self, samples: int, energy: float | None, now: float) -> None:
        if self.phase is Phase.SPEAKING:
            self._turn.cut_heard = True
            if self._wire.half_duplex:
                self._spoken = None  # nobody listens to the rest
                self.phase = Phase.HEARING
            elif not self._wire.says_end:
                return  # the user goes on, and the server is to notice
        elif self.phase is Phase.WAITING:
            self._turn.latency_s = now - self._ended
            self.phase = Phase.HEARING
        if self.phase not in (Phase.HEARING, Phase.SPEAKING):
            return
        first = self._player.started is None
        self._turn.gap_s = max(self._turn.gap_s, self._player.take(samples, energy, now))
        if first:
            self._send_all(self._wire.playing((now + self._wall_offset) * 1000))

    def _pause(self, now: float) -> None:
        self._player.hold(now)
        self._acknowledge(self._player.played(now), now)
        if self._barged_at is not None:
            self._turn.silent_s = now - self._barged_at
        elif self.phase is Phase.HEARING:
            self._turn.false_pauses += 1

    def _flush(self, now: float) -> None:
        if self.phase is Phase.SPEAKING:
            self._player = _Player()
        if self._barged_at is not None and not self._flushed:
            self._flushed = True
            self._turn.flushed_s = now - self._barged_at
            if self._turn.silent_s is None:
                self._turn.silent_s = self._turn.flushed_s
            self._turn.acknowledged = self._player.reported
            if not self._wire.says_end:
                self._over(now)

    def _committed(self, heard: wires.Committed, now: float) -> None:
        if self.phase is Phase.HEARING:
            self._turn.kept = heard.assistant if heard.cut else ""
            self._turn.samples = self._player.received
            if not self._turn.failure:
                text = "" if heard.cut else heard.assistant
                self._turn.failure = answers.wrong(self._player.received, self._player.total, self._player.energy, text)
            self._over(now)
        elif self.phase is Phase.SPEAKING:
            self._player = _Player()
        elif self.phase is Phase.WAITING and not heard.assistant:
            self._fail(now, "the turn was committed without an answer")

    def report(self) -> dict[str, object]:
        return {"turns": [asdict(turn) for turn in self.turns], "troubles": self.troubles}

"""One talker against a server that the test plays: what it sends when, and what it makes of what it hears."""

import random
from collections.abc import Iterator

import pytest

from loadtest import wires
from loadtest.sentences import Script
from loadtest.talking import ANSWER_WITHIN_S, Barge, Phase, Talker
from loadtest.wires import Heard, Message
from services.contracts.audio import UPLINK

SCRIPT = Script(0.0, 1)
SECOND = wires.SAMPLE_RATE


class TestWire:
    """Hears what the test puts into `next`."""

    __test__ = False
    path = "/"
    says_end = True
    tokens: int | None = None

    def __init__(self, half_duplex: bool) -> None:
        self.half_duplex = half_duplex
        self.next: list[Heard] = []

    def opening(self) -> list[Message]:
        return []

    def listen(self) -> list[Message]:
        return ["listen"]

    def frame(self, pcm: bytes, captured_us: int) -> bytes:
        return pcm

    def playing(self, received_ms: float) -> list[Message]:
        return ["playing"]

    def played(self, samples: int) -> list[Message]:
        return [f"played {samples}"]

    def interrupt(self) -> list[Message]:
        return ["interrupt"]

    def hear(self, message: Message) -> Iterator[Heard]:
        yield from self.next


class Room:
    def __init__(self, turns: int = 1, half_duplex: bool = True, barge: Barge = "") -> None:
        self.now = 1000.0
        self.sent: list[tuple[float, Message]] = []
        self.wire = TestWire(half_duplex)
        self.talker = Talker(
            self.wire,
            lambda message: self.sent.append((self.now, message)),
            SCRIPT,
            random.Random(1),
            turns,
            self.now + 0.1,
            barge,
            clock=lambda: self.now,
        )
        self.hear(wires.Ready())

    def hear(self, *heard: Heard) -> None:
        self.wire.next = list(heard)
        self.talker.hear("")

    def pass_by(self, seconds: float) -> None:
        for _ in range(round(seconds / UPLINK.frame_seconds)):
            self.now += UPLINK.frame_seconds
            self.talker.tick(self.now, 0.0)

    def until(self, phase: Phase) -> None:
        for _ in range(10_000):
            if self.talker.phase is phase:
                return
            self.pass_by(UPLINK.frame_seconds)
        raise AssertionError(f"{phase} was never reached")

    def texts(self) -> list[str]:
        return [message for _, message in self.sent if isinstance(message, str)]

    def frames(self) -> int:
        return sum(isinstance(message, bytes) for _, message in self.sent)


def answer(room: Room, seconds: float) -> None:
    room.hear(wires.AnswerSounds(), wires.Sound(int(seconds * SECOND)), wires.AllSent(int(seconds * SECOND)))


def test_latency_runs_from_the_last_sample_of_speech_to_the_first_of_the_answer():
    room = Room()
    room.until(Phase.WAITING)
    ended = room.now
    room.now += 0.7
    answer(room, 1.0)
    room.pass_by(1.1)
    room.hear(wires.Committed("yes", cut=False))
    [turn] = room.talker.turns
    assert turn.latency_s is not None
    assert 0.7 <= turn.latency_s < 0.7 + UPLINK.frame_seconds  # the last frame's padding is no speech
    assert ended < room.now
    assert (turn.cuts, turn.failure, turn.gap_s) == (0, "", 0.0)
    assert room.talker.phase is Phase.DONE


def test_the_microphone_is_off_while_an_answer_sounds_in_half_duplex():
    room = Room(turns=2)
    room.until(Phase.WAITING)
    answer(room, 1.0)
    before = room.frames()
    room.pass_by(1.1)
    assert room.frames() == before
    room.hear(wires.Committed("yes", cut=False))
    assert room.texts()[-1] == "listen"
    room.pass_by(0.1)
    assert room.frames() == before + 5


def test_the_microphone_stays_on_in_full_duplex():
    room = Room(half_duplex=False)
    room.until(Phase.WAITING)
    answer(room, 1.0)
    before = room.frames()
    room.pass_by(1.0)
    assert room.frames() == before + 50


def test_what_was_played_is_said_every_200_ms_and_at_the_end():
    room = Room()
    room.until(Phase.WAITING)
    answer(room, 1.0)
    room.pass_by(1.1)
    said = [int(text.split()[1]) for text in room.texts() if text.startswith("played")]
    assert said[-1] == SECOND
    assert said == sorted(said)
    assert len(said) == 6
    assert room.texts().count("playing") == 1


def test_a_player_that_ran_dry_is_a_gap():
    room = Room()
    room.until(Phase.WAITING)
    room.hear(wires.AnswerSounds(), wires.Sound(SECOND // 10))
    room.now += 0.25
    room.hear(wires.Sound(SECOND // 10))
    room.pass_by(0.2)
    room.hear(wires.Committed("yes", cut=False))
    assert room.talker.turns[0].gap_s == pytest.approx(0.15)


def test_a_turn_taken_while_the_user_speaks_is_a_cut():
    room = Room()
    room.until(Phase.SPEAKING)
    room.hear(wires.VoiceNoticed(), wires.TurnTaken())
    room.pass_by(0.1)
    room.hear(wires.VoiceNoticed())
    room.until(Phase.WAITING)
    room.hear(wires.TurnTaken())
    answer(room, 0.1)
    room.pass_by(0.2)
    room.hear(wires.Committed("yes", cut=False))
    [turn] = room.talker.turns
    assert (turn.cuts, turn.cut_heard) == (1, False)


def test_a_turn_that_is_taken_once_at_its_end_is_no_cut():
    room = Room()
    room.until(Phase.SPEAKING)
    room.hear(wires.VoiceNoticed())
    room.until(Phase.WAITING)
    room.hear(wires.TurnTaken())
    answer(room, 0.1)
    room.pass_by(0.2)
    room.hear(wires.Committed("yes", cut=False))
    assert room.talker.turns[0].cuts == 0


def test_an_answer_into_the_users_words_is_heard_and_has_no_latency():
    room = Room()
    room.until(Phase.SPEAKING)
    room.hear(wires.TurnTaken())
    answer(room, 0.1)
    room.pass_by(0.2)
    room.hear(wires.Committed("yes", cut=False))
    [turn] = room.talker.turns
    assert (turn.cuts, turn.cut_heard, turn.latency_s) == (1, True, None)


def test_no_answer_is_a_failed_turn_and_the_talker_goes_on():
    room = Room(turns=2)
    room.until(Phase.WAITING)
    room.pass_by(ANSWER_WITHIN_S + 0.1)
    assert room.talker.turns[0].failure
    room.until(Phase.SPEAKING)


def test_an_interruption_by_command_says_first_what_was_heard():
    room = Room(barge="command")
    room.until(Phase.WAITING)
    answer(room, 5.0)
    room.pass_by(2.1)
    at = room.texts().index("interrupt")
    assert room.texts()[at - 1].startswith("played")
    acknowledged = int(room.texts()[at - 1].split()[1])
    sent_at = next(when for when, message in room.sent if message == "interrupt")
    room.now += 0.05
    room.hear(wires.Flush())
    room.hear(wires.Stale(240))
    room.hear(wires.Committed("half of", cut=True))
    [turn] = room.talker.turns
    assert turn.flushed_s == pytest.approx(room.now - sent_at)
    assert turn.silent_s == turn.flushed_s
    assert (turn.acknowledged, turn.kept, turn.late_samples) == (acknowledged, "half of", 240)


def test_an_interruption_by_voice_is_silent_at_the_pause_and_is_the_next_turn():
    room = Room(turns=2, half_duplex=False, barge="voice")
    room.until(Phase.WAITING)
    answer(room, 5.0)
    room.pass_by(2.0)
    room.pass_by(0.2)
    room.hear(wires.Pause())
    paused_at = int(room.texts()[-1].split()[1])
    room.pass_by(0.2)
    room.hear(wires.Flush(), wires.Committed("half of", cut=True))
    first = room.talker.turns[0]
    assert first.silent_s is not None
    assert first.flushed_s == pytest.approx(first.silent_s + 0.2)
    assert first.acknowledged == paused_at, "nothing is played after a pause"
    assert room.talker.phase is Phase.SPEAKING
    room.until(Phase.WAITING)


def test_an_interruption_taken_for_a_cough_is_counted():
    room = Room(half_duplex=False, barge="voice")
    room.until(Phase.WAITING)
    answer(room, 5.0)
    room.pass_by(2.2)
    room.hear(wires.Pause())
    room.pass_by(0.2)
    room.hear(wires.Resume())
    room.pass_by(0.2)
    room.hear(wires.Flush(), wires.Committed("half of", cut=True))
    [turn] = room.talker.turns
    assert turn.false_pauses == 1
    assert turn.silent_s == turn.flushed_s


def test_an_answer_into_the_users_words_is_played_and_flushed_in_full_duplex():
    room = Room(half_duplex=False)
    room.until(Phase.SPEAKING)
    room.hear(wires.TurnTaken())
    answer(room, 5.0)
    room.pass_by(0.3)
    assert room.texts()[-1].startswith("played")
    room.hear(wires.Pause(), wires.Flush(), wires.Committed("su", cut=True))
    room.until(Phase.WAITING)
    answer(room, 0.1)
    room.pass_by(0.2)
    room.hear(wires.Committed("yes", cut=False))
    [turn] = room.talker.turns
    assert (turn.cuts, turn.cut_heard, turn.false_pauses) == (1, True, 0)
    assert turn.latency_s is not None


def test_an_answer_that_nothing_stopped_is_heard_to_its_end():
    room = Room(half_duplex=False)
    room.until(Phase.SPEAKING)
    room.hear(wires.TurnTaken())
    answer(room, 30.0)
    room.until(Phase.HEARING)
    room.pass_by(30.0)
    room.hear(wires.Committed("yes", cut=False))
    [turn] = room.talker.turns
    assert (turn.cut_heard, turn.latency_s, turn.failure) == (True, None, "")


def test_an_answer_that_is_never_committed_is_a_failed_turn():
    room = Room()
    room.until(Phase.WAITING)
    answer(room, 0.1)
    room.pass_by(ANSWER_WITHIN_S + 0.5)
    assert "did not end" in room.talker.turns[0].failure


def test_a_line_that_is_lost_and_made_again_says_what_was_heard_meanwhile():
    room = Room()
    room.until(Phase.WAITING)
    answer(room, 1.0)
    room.pass_by(0.5)
    room.pass_by(0.6)  # on a line that is gone
    room.sent.clear()
    room.hear(wires.Ready("s", resumed=True))
    assert room.texts() == [f"played {SECOND}"]
    room.hear(wires.Committed("yes", cut=False))
    [turn] = room.talker.turns
    assert (turn.away, turn.failure) == (True, "")


def test_a_resumed_session_that_listened_listens_again():
    room = Room()
    room.until(Phase.QUIET)
    room.sent.clear()
    room.hear(wires.Ready("s", resumed=True))
    assert room.texts() == ["listen"]
    assert room.talker.phase is Phase.QUIET


def test_a_resumed_session_that_lost_something_is_a_failure():
    room = Room()
    room.until(Phase.WAITING)
    answer(room, 1.0)
    room.hear(wires.Ready("s", resumed=True, complete=False))
    room.pass_by(1.1)
    room.hear(wires.Committed("yes", cut=False))
    assert "lost" in room.talker.turns[0].failure


def test_who_waits_in_vain_has_waited_as_long_as_was_allowed():
    room = Room()
    room.until(Phase.WAITING)
    room.pass_by(ANSWER_WITHIN_S + 0.1)
    latency = room.talker.turns[0].latency_s
    assert latency is not None
    assert latency >= ANSWER_WITHIN_S


def test_a_connection_that_is_lost_for_good_fails_the_turn_and_ends_the_talker():
    room = Room(turns=5)
    room.until(Phase.WAITING)
    room.talker.lost("connection: 1011")
    [turn] = room.talker.turns
    assert (turn.failure, turn.latency_s) == ("connection: 1011", ANSWER_WITHIN_S)
    assert room.talker.phase is Phase.DONE


def test_the_end_of_the_test_says_how_long_was_waited():
    room = Room(turns=5)
    room.until(Phase.WAITING)
    room.pass_by(1.0)
    room.talker.stop()
    [turn] = room.talker.turns
    assert (turn.unfinished, turn.failure) == (True, "")
    assert turn.latency_s == pytest.approx(1.0, abs=2 * UPLINK.frame_seconds)


def test_a_turn_says_when_its_speech_was_to_end():
    room = Room()
    room.until(Phase.WAITING)
    answer(room, 0.5)
    room.pass_by(0.6)
    room.hear(wires.Committed("yes", cut=False))
    [turn] = room.talker.turns
    assert turn.latency_s is not None
    assert turn.ended_at + turn.latency_s == pytest.approx(room.now - 0.6)


def test_an_answer_that_came_short_is_a_failed_turn():
    room = Room()
    room.until(Phase.WAITING)
    room.hear(wires.AnswerSounds(), wires.Sound(SECOND), wires.AllSent(SECOND + 1))
    room.pass_by(1.1)
    room.hear(wires.Committed("yes", cut=False))
    assert "were sent" in room.talker.turns[0].failure

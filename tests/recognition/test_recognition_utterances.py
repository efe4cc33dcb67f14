"""Slots, order and forgetting, with an engine that only takes notes."""

import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from services.contracts.speech import RecognitionOptions, RecognitionResult
from services.recognition.errors import AtCapacity, AudioInvalid, DeadlineExceeded, UtteranceUnknown
from services.recognition.utterances import MAX_WAITING, Request, Utterances

SECONDS = 10
Kind = Literal["append", "partial", "final", "drop"]


class NotingReply:
    def __init__(self, cancelled: bool = False) -> None:
        self.answers: list[Any] = []
        self.answered = threading.Event()
        self.is_cancelled = cancelled

    def cancelled(self) -> bool:
        return self.is_cancelled

    def finish(self, result: RecognitionResult | None) -> None:
        self.answers.append(result)
        self.answered.set()

    def fail(self, error: Exception) -> None:
        self.answers.append(error)
        self.answered.set()

    def answer(self) -> Any:
        assert self.answered.wait(SECONDS)
        assert len(self.answers) == 1
        return self.answers[0]


class NotingRecognition:
    entered = threading.Event()

    def __init__(self, identity: str, journal: list[str], hold: threading.Event | None) -> None:
        self.identity, self.journal, self.hold, self.heard = identity, journal, hold, 0

    def append(self, samples: NDArray[np.float32]) -> None:
        self.entered.set()
        if self.hold is not None:
            assert self.hold.wait(SECONDS)
        if np.isnan(samples).any():
            raise AudioInvalid("NaN")
        if (samples == 9).any():
            raise RuntimeError("the engine broke")
        self.heard += len(samples)
        self.journal.append(f"{self.identity} heard {len(samples)}")

    def partial(self, word_times: bool = False) -> RecognitionResult:
        return RecognitionResult(utterance=self.identity, text=str(self.heard))

    def final(self, word_times: bool = False) -> RecognitionResult:
        return RecognitionResult(utterance=self.identity, text=str(self.heard), is_final=True)

    def close(self) -> None:
        self.journal.append(f"{self.identity} closed")


class NotingObserver:
    def __init__(self) -> None:
        self.count, self.refusals, self.cancellations = 0, 0, 0
        self.changed = threading.Condition()

    def active(self, count: int) -> None:
        with self.changed:
            self.count = count
            self.changed.notify_all()

    def rejected(self) -> None:
        self.refusals += 1

    def cancelled(self) -> None:
        self.cancellations += 1

    def answered(self, kind: str, seconds: float) -> None:
        assert seconds >= 0

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count == count, SECONDS)


class House:
    """Utterances with the means to look at them."""

    def __init__(self, slots: int = 2, idle_seconds: float = 60.0, hold: threading.Event | None = None) -> None:
        self.journal: list[str] = []
        self.observer = NotingObserver()
        NotingRecognition.entered.clear()
        self.now = 0.0
        begin: Callable[[str], NotingRecognition] = lambda identity: NotingRecognition(identity, self.journal, hold)  # noqa: E731
        self.utterances = Utterances(slots, begin, self.observer, idle_seconds, lambda: self.now)

    def submit(
        self,
        utterance: str,
        kind: Kind,
        samples: int = 0,
        *,
        value: float = 0.0,
        cancelled: bool = False,
        **options: Any,
    ) -> NotingReply:
        reply = NotingReply(cancelled)
        asked = RecognitionOptions(utterance=utterance, kind=kind, **options)
        audio = np.full(samples, value, np.float32)
        self.utterances.submit(Request(asked, audio, reply, self.now))
        return reply


def test_requests_of_an_utterance_run_in_order():
    house = House()
    replies = [house.submit("a", "append", n, first=n == 1) for n in range(1, 50)]
    assert house.submit("a", "final").answer().text == str(sum(range(1, 50)))
    assert all(reply.answer() is None for reply in replies)
    assert house.journal[:-1] == [f"a heard {n}" for n in range(1, 50)]


def test_an_unknown_utterance_is_named():
    house = House()
    error = house.submit("a", "partial").answer()
    assert isinstance(error, UtteranceUnknown)
    assert error.failure == "utterance_unknown"


def test_beyond_the_slots_is_refused_at_once_and_a_final_makes_room():
    house = House(slots=2)
    house.submit("a", "append", 1, first=True)
    house.submit("b", "append", 1, first=True)
    assert isinstance(house.submit("c", "append", 1, first=True).answer(), AtCapacity)
    assert house.observer.refusals == 1
    house.submit("a", "final").answer()
    house.observer.wait_for(1)
    assert house.submit("c", "append", 1, first=True).answer() is None


def test_a_speculative_final_keeps_the_utterance():
    house = House()
    assert house.submit("a", "final", 3, first=True, speculative=True).answer().text == "3"
    assert house.submit("a", "final", 4).answer().text == "7"
    house.observer.wait_for(0)
    assert isinstance(house.submit("a", "final").answer(), UtteranceUnknown)


def test_an_idle_utterance_is_forgotten_and_its_decoder_given_back():
    house = House(idle_seconds=0.02)
    house.submit("a", "append", 1, first=True).answer()
    house.observer.wait_for(0)
    assert house.journal[-1] == "a closed"
    assert isinstance(house.submit("a", "append", 1).answer(), UtteranceUnknown)


def test_a_cancelled_request_ends_its_utterance():
    house = House()
    house.submit("a", "append", 1, first=True).answer()
    assert house.submit("a", "append", 1, cancelled=True).answer() is None
    house.observer.wait_for(0)
    assert house.observer.cancellations == 1
    assert house.journal == ["a heard 1", "a closed"]


def test_cancelling_is_noticed_in_the_middle_of_long_audio():
    hold = threading.Event()
    house = House(hold=hold)
    reply = house.submit("a", "append", 16_000, first=True)
    reply.is_cancelled = True
    hold.set()
    assert reply.answer() is None
    house.observer.wait_for(0)
    assert house.journal.count("a heard 1600") <= 1


def test_a_drop_overtakes_what_waits():
    hold = threading.Event()
    house = House(slots=1, hold=hold)
    waiting = [house.submit("a", "append", 1, first=n == 0) for n in range(5)]
    assert NotingRecognition.entered.wait(SECONDS)
    assert house.submit("a", "drop").answer() is None
    hold.set()
    assert [reply.answer() for reply in waiting] == [None] * 5
    house.observer.wait_for(0)
    assert house.journal[-1] == "a closed"
    assert house.journal.count("a heard 1") <= 1


def test_an_engine_that_breaks_is_reported_and_frees_the_slot():
    house = House(slots=1)
    error = house.submit("a", "append", 1, value=9, first=True).answer()
    assert "the engine broke" in str(error)
    house.observer.wait_for(0)
    assert house.submit("b", "append", 1, first=True).answer() is None


def test_bad_audio_is_refused_and_the_utterance_goes_on():
    house = House()
    house.submit("a", "append", 2, first=True)
    assert isinstance(house.submit("a", "append", 1, value=float("nan")).answer(), AudioInvalid)
    assert house.submit("a", "final").answer().text == "2"


def test_an_answer_that_nobody_waits_for_any_more_is_not_made():
    hold = threading.Event()
    house = House(hold=hold)
    house.submit("a", "append", 1, first=True)
    late = house.submit("a", "partial", deadline_ms=100)
    house.now = 0.2
    hold.set()
    error = late.answer()
    assert isinstance(error, DeadlineExceeded)
    assert "200 of 100 ms" in str(error)


def test_the_queue_of_an_utterance_is_bounded():
    hold = threading.Event()
    house = House(hold=hold)
    replies = [house.submit("a", "append", 1, first=n == 0) for n in range(MAX_WAITING + 2)]
    refused = [reply for reply in replies if reply.answered.is_set()]
    assert refused
    assert all(isinstance(reply.answer(), AtCapacity) for reply in refused)
    hold.set()
    assert sum(reply.answer() is None for reply in replies) == len(replies) - len(refused)


def test_starting_again_forgets_what_was_heard_before():
    house = House(slots=1)
    house.submit("a", "append", 5, first=True)
    assert house.submit("a", "final", 2, first=True).answer().text == "2"


def test_different_utterances_run_in_parallel():
    both = threading.Barrier(2)

    class Meeting(NotingRecognition):
        def append(self, samples: NDArray[np.float32]) -> None:
            both.wait(SECONDS)

    observer = NotingObserver()
    utterances = Utterances(2, lambda identity: Meeting(identity, [], None), observer)
    replies = [NotingReply(), NotingReply()]
    for name, reply in zip("ab", replies, strict=True):
        options = RecognitionOptions(utterance=name, kind="append", first=True)
        utterances.submit(Request(options, np.zeros(1, np.float32), reply, 0.0))
    assert [reply.answer() for reply in replies] == [None, None]
    utterances.close()


def test_closing_answers_everything_that_waits():
    hold = threading.Event()
    house = House(hold=hold)
    replies = [house.submit("a", "append", 1, first=n == 0) for n in range(3)]
    assert NotingRecognition.entered.wait(SECONDS)
    closing = threading.Thread(target=house.utterances.close)
    closing.start()
    hold.set()
    closing.join(SECONDS)
    assert not closing.is_alive()
    for reply in replies:
        reply.answer()
    assert house.journal[-1] == "a closed"


@pytest.mark.parametrize("kind", ["append", "partial", "final"])
def test_nothing_is_answered_twice(kind: Kind):
    house = House()
    reply = house.submit("a", kind, 1, first=True)
    reply.answer()
    house.utterances.close()
    assert len(reply.answers) == 1

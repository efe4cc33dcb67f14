"""Slots and endings, with an engine that only takes notes."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from services.contracts.characters import Voice
from services.synthesis.errors import AtCapacity
from services.synthesis.speakers import Request, Speakers

SECONDS = 10


class NotingReply:
    def __init__(self) -> None:
        self.chunks: list[int] = []
        self.ends: list[Exception | None] = []
        self.ended = threading.Event()
        self.is_cancelled = False

    def cancelled(self) -> bool:
        return self.is_cancelled

    def pcm(self, samples: NDArray[np.int16]) -> None:
        self.chunks.append(len(samples))

    def finish(self) -> None:
        self.ends.append(None)
        self.ended.set()

    def fail(self, error: Exception) -> None:
        self.ends.append(error)
        self.ended.set()

    def end(self) -> Exception | None:
        assert self.ended.wait(SECONDS)
        assert len(self.ends) == 1
        return self.ends[0]


class CountingEngine:
    """Speaks one chunk per character, each when `step` allows it."""

    def __init__(self, step: threading.Semaphore | None = None) -> None:
        self.step = step
        self.began = threading.Semaphore(0)

    def speak(self, text: str, voice: Voice, on_pcm: Callable[[NDArray[np.int16]], bool]) -> None:
        self.began.release()
        for character in text:
            if self.step is not None:
                assert self.step.acquire(timeout=SECONDS)
            if character == "!":
                raise RuntimeError("the engine broke")
            if not on_pcm(np.zeros(1, np.int16)):
                return


class NotingObserver:
    def __init__(self) -> None:
        self.count, self.refusals, self.cancellations, self.firsts = 0, 0, 0, 0
        self.changed = threading.Condition()

    def active(self, count: int) -> None:
        with self.changed:
            self.count = count
            self.changed.notify_all()

    def rejected(self) -> None:
        self.refusals += 1

    def cancelled(self) -> None:
        self.cancellations += 1

    def first_audio(self, seconds: float) -> None:
        self.firsts += 1

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count == count, SECONDS)


def submit(speakers: Speakers, text: str, speculative: bool = False) -> NotingReply:
    reply = NotingReply()
    speakers.submit(Request(text, Voice(), reply, 0.0, speculative))
    return reply


def test_a_request_gets_its_chunks_and_one_end():
    observer = NotingObserver()
    speakers = Speakers(1, CountingEngine(), observer)
    reply = submit(speakers, "abc")
    assert reply.end() is None
    assert reply.chunks == [1, 1, 1]
    observer.wait_for(0)
    assert observer.firsts == 1


def test_beyond_the_slots_is_refused_at_once_and_an_end_makes_room():
    step, observer = threading.Semaphore(0), NotingObserver()
    speakers = Speakers(2, CountingEngine(step), observer)
    first, second = submit(speakers, "a"), submit(speakers, "a")
    refused = submit(speakers, "a").end()
    assert isinstance(refused, AtCapacity)
    assert refused.failure == "at_capacity"
    assert observer.refusals == 1
    step.release(2)
    assert first.end() is None
    assert second.end() is None
    observer.wait_for(0)
    step.release()
    assert submit(speakers, "a").end() is None


@pytest.mark.parametrize(("slots", "taken"), [(9, 7), (8, 6), (5, 4), (4, 3), (3, 3), (2, 2), (1, 1)])
def test_what_may_never_be_wanted_gets_a_slot_while_over_a_quarter_is_free(slots: int, taken: int):
    step, observer = threading.Semaphore(0), NotingObserver()
    speakers = Speakers(slots, CountingEngine(step), observer)
    speculative = [submit(speakers, "a", speculative=True) for _ in range(taken)]
    refused = submit(speakers, "a", speculative=True).end()
    assert isinstance(refused, AtCapacity)
    assert ("kept for sentences that somebody waits for" in str(refused)) == (slots > taken)
    assert observer.refusals == 0, "nobody missed it"
    wanted = [submit(speakers, "a") for _ in range(slots - taken)]
    assert isinstance(submit(speakers, "a").end(), AtCapacity)
    assert observer.refusals == 1
    step.release(slots)
    assert [reply.end() for reply in (*speculative, *wanted)] == [None] * slots
    observer.wait_for(0)


def test_wanted_sentences_leave_none_to_what_may_never_be():
    step, observer = threading.Semaphore(0), NotingObserver()
    speakers = Speakers(4, CountingEngine(step), observer)
    wanted = [submit(speakers, "a") for _ in range(3)]
    assert isinstance(submit(speakers, "a", speculative=True).end(), AtCapacity)
    step.release(3)
    assert [reply.end() for reply in wanted] == [None] * 3
    observer.wait_for(0)
    step.release()
    assert submit(speakers, "a", speculative=True).end() is None


def test_an_engine_that_breaks_is_reported_and_frees_the_slot():
    observer = NotingObserver()
    speakers = Speakers(1, CountingEngine(), observer)
    reply = submit(speakers, "a!")
    assert "the engine broke" in str(reply.end())
    assert reply.chunks == [1]
    observer.wait_for(0)


def test_cancelling_stops_at_the_chunk():
    step, observer = threading.Semaphore(2), NotingObserver()
    engine = CountingEngine(step)
    speakers = Speakers(1, engine, observer)
    reply = submit(speakers, "a" * 100)
    assert engine.began.acquire(timeout=SECONDS)
    reply.is_cancelled = True
    step.release(1)
    assert reply.end() is None
    assert len(reply.chunks) <= 3
    assert observer.cancellations == 1
    observer.wait_for(0)


def test_closing_stops_all_and_refuses_the_next():
    step, observer = threading.Semaphore(0), NotingObserver()
    engine = CountingEngine(step)
    speakers = Speakers(2, engine, observer)
    reply = submit(speakers, "a" * 100)
    assert engine.began.acquire(timeout=SECONDS)
    closing = threading.Thread(target=speakers.close)
    closing.start()
    step.release(100)
    closing.join(SECONDS)
    assert reply.end() is None
    assert isinstance(submit(speakers, "a").end(), AtCapacity)

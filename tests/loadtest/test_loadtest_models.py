"""The stand-ins keep the models' contracts, at a fixed pace."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from loadtest.models import language
from loadtest.models.latencies import Latencies
from loadtest.models.recognition import MAX_WAITING, StandinRecogniser
from loadtest.models.synthesis import CHUNK_SAMPLES, StandinVoice
from loadtest.models.timers import Timers
from services.contracts import speech
from services.contracts.characters import Voice
from services.contracts.speech import RecognitionOptions, RecognitionResult
from services.recognition import utterances
from services.synthesis import speakers


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._number = 0

    def __call__(self) -> float:
        return self.now

    def after(self, seconds: float, work: Callable[[], object]) -> None:
        self._number += 1
        self._due.append((self.now + seconds, self._number, work))

    def pass_by(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and min(self._due)[0] <= until + 1e-9:
            due = min(self._due, key=lambda each: each[:2])
            self._due.remove(due)
            self.now = max(self.now, due[0])
            due[2]()
        self.now = until


class Observer:
    def __init__(self) -> None:
        self.streams = 0
        self.refused = 0
        self.first: list[float] = []

    def active(self, count: int) -> None:
        self.streams = count

    def rejected(self) -> None:
        self.refused += 1

    def cancelled(self) -> None:
        pass

    def answered(self, kind: str, seconds: float) -> None:
        pass

    def first_audio(self, seconds: float) -> None:
        self.first.append(seconds)


class Reply:
    """One request's answer; counts its ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.gone = False
        self.ends: list[Any] = []
        self.ended_at = 0.0
        self.chunks: list[tuple[float, int]] = []

    def cancelled(self) -> bool:
        return self.gone

    def pcm(self, samples: Any) -> None:
        assert not self.ends
        assert np.abs(samples).max() > 1000
        self.chunks.append((self._clock.now, len(samples)))

    def finish(self, result: RecognitionResult | None = None) -> None:
        self.ends.append(result)
        self.ended_at = self._clock.now

    def fail(self, error: Exception) -> None:
        self.ends.append(error)


class Recognised:
    def __init__(self, slots: int = 4) -> None:
        self.clock, self.observer = Clock(), Observer()
        self.model = StandinRecogniser(slots, 0.1, self.clock.after, self.observer, self.clock)

    def ask(self, kind: Any, seconds: float = 0.0, utterance: str = "a", **options: Any) -> Reply:
        reply = Reply(self.clock)
        asked = RecognitionOptions(utterance=utterance, kind=kind, **options)
        self.model.submit(utterances.Request(asked, np.zeros(int(seconds * 16_000), np.float32), reply, self.clock.now))
        return reply


def test_a_final_takes_its_time_and_says_more_the_longer_it_heard():
    there = Recognised()
    assert there.ask("append", 1.0, first=True).ends == [None]
    [partial] = there.ask("partial", 0.2).ends
    final = there.ask("final", 0.8)
    assert final.ends == []
    there.clock.pass_by(0.1)
    [result] = final.ends
    assert final.ended_at == pytest.approx(100.1)
    assert (partial.is_final, result.is_final) == (False, True)
    assert result.audio_seconds == pytest.approx(2.0)
    assert len(result.text.split()) == 5
    assert result.text.startswith(partial.text)
    assert there.observer.streams == 0, "a confirmed final frees the slot"


def test_a_confirmed_final_without_new_sound_costs_nothing_more():
    there = Recognised()
    speculative = there.ask("final", 1.0, first=True, speculative=True)
    there.clock.pass_by(0.1)
    assert there.observer.streams == 1
    confirmed = there.ask("final")
    assert confirmed.ends == speculative.ends


def test_requests_of_an_utterance_keep_their_order():
    there = Recognised()
    replies = [there.ask("final", 1.0, first=True, speculative=True), there.ask("append", 1.0), there.ask("partial")]
    assert [reply.ends for reply in replies] == [[], [], []]
    there.clock.pass_by(0.1)
    assert [len(reply.ends) for reply in replies] == [1, 1, 1]
    assert replies[2].ends[0].audio_seconds == pytest.approx(2.0)


def test_beyond_the_slots_an_utterance_is_refused_and_a_drop_makes_room():
    there = Recognised(slots=1)
    there.ask("append", 0.1, first=True)
    [refusal] = there.ask("append", 0.1, utterance="b", first=True).ends
    assert refusal.failure == speech.AT_CAPACITY
    assert there.observer.refused == 1
    assert there.ask("drop").ends == [None]
    assert there.ask("append", 0.1, utterance="b", first=True).ends == [None]


def test_a_drop_while_a_final_is_made_ends_both_once():
    there = Recognised()
    final = there.ask("final", 1.0, first=True)
    waiting = there.ask("partial")
    there.ask("drop")
    there.clock.pass_by(0.2)
    assert final.ends == [None]
    assert [error.failure for error in waiting.ends] == [speech.UTTERANCE_UNKNOWN]


def test_a_cancelled_final_gives_its_slot_back():
    there = Recognised()
    final = there.ask("final", 1.0, first=True, speculative=True)
    final.gone = True
    there.clock.pass_by(0.1)
    assert there.observer.streams == 0
    assert final.ends == [None]


def test_an_utterance_is_forgotten_after_a_while():
    there = Recognised()
    there.ask("append", 0.1, first=True)
    there.clock.pass_by(9.0)
    assert there.observer.streams == 1
    there.clock.pass_by(3.0)
    [error] = there.ask("partial").ends
    assert error.failure == speech.UTTERANCE_UNKNOWN


def test_too_much_audio_and_too_many_requests_are_refused():
    there = Recognised()
    there.ask("append", 59.0, first=True)
    [error] = there.ask("append", 2.0).ends
    assert error.failure == speech.INVALID_REQUEST
    there.ask("final")
    replies = [there.ask("append") for _ in range(MAX_WAITING + 1)]
    assert [error.failure for error in replies[-1].ends] == [speech.AT_CAPACITY]


class Spoken:
    def __init__(self, slots: int = 4) -> None:
        self.clock, self.observer = Clock(), Observer()
        self.model = StandinVoice(slots, 0.2, 0.3, self.clock.after, self.observer, self.clock)

    def say(self, text: str, speculative: bool = False) -> Reply:
        reply = Reply(self.clock)
        self.model.submit(speakers.Request(text, Voice(), reply, self.clock.now, speculative))
        return reply


def test_the_voice_keeps_its_pace_and_its_length():
    there = Spoken()
    reply = there.say("x" * 10)
    there.clock.pass_by(1.0)
    assert [at - 100 for at, _ in reply.chunks] == pytest.approx([0.2 + 0.03 * number for number in range(6)])
    assert sum(samples for _, samples in reply.chunks) == round(10 * 0.06 * 24_000)
    assert max(samples for _, samples in reply.chunks) == CHUNK_SAMPLES
    assert reply.ends == [None]
    assert there.observer.first == pytest.approx([0.2])
    assert there.observer.streams == 0


def test_a_stopped_sentence_ends_at_the_next_chunk():
    there = Spoken()
    reply = there.say("x" * 100)
    there.clock.pass_by(0.21)
    reply.gone = True
    there.clock.pass_by(0.03)
    assert len(reply.chunks) == 1
    assert reply.ends == [None]
    assert there.observer.streams == 0


def test_beyond_its_slots_the_voice_refuses():
    there = Spoken(slots=1)
    there.say("one")
    [error] = there.say("two").ends
    assert error.failure == speech.AT_CAPACITY


def test_the_voice_keeps_slots_for_sentences_that_somebody_waits_for():
    there = Spoken(slots=4)
    assert [there.say("x", speculative=True).ends for _ in range(3)] == [[], [], []]
    [error] = there.say("x", speculative=True).ends
    assert error.failure == speech.AT_CAPACITY
    assert "somebody waits for" in str(error)
    assert there.say("x").ends == []
    assert there.observer.refused == 0


def test_timers_do_their_work_in_order_and_survive_one_that_fails(capfd: pytest.CaptureFixture[str]):
    timers, done, ended = Timers(), [], threading.Event()
    timers.after(0.03, ended.set)
    timers.after(0.02, lambda: done.append("second"))
    timers.after(0.0, lambda: 1 // 0)
    timers.after(0.01, lambda: done.append("first"))
    assert ended.wait(5)
    timers.close()
    assert done == ["first", "second"]
    assert "ZeroDivisionError" in capfd.readouterr().err


async def test_the_language_model_streams_its_reply_in_the_form_that_clients_read():
    pieces = [piece async for piece in language.paced(Latencies(llm_first_ms=0, llm_token_ms=0))]
    assert len(pieces) == len(language.TOKENS) + 1
    assert "".join(language.TOKENS) == language.REPLY
    assert pieces[-1].endswith(b"data: [DONE]\n\n")
    assert all(piece.startswith(b"data: {") for piece in pieces)

"""The ear of a session with a scripted detector and a scripted recogniser, at audio time."""

import asyncio
from typing import Any, cast

import numpy as np
import pytest
from conversations import untraced

from services.contracts.errors import Code
from services.contracts.frame import Header, Kind
from services.contracts.speech import RecognitionResult
from services.dialogue import inputs, listening
from services.dialogue.barge_in import ADAPTING_S, ONSET_S
from services.dialogue.listening import PREROLL_SAMPLES, FrameRefused, Listener
from services.dialogue.vad import Sensitivity
from services.speech.errors import Reason, SpeechUnavailable

FRAME = 320


class ScriptedTicks:
    """Scores a window by its loudest sample, at once."""

    def submit(self, recurrence, window, deliver):
        deliver(float(np.abs(window).max()))


class ScriptedStream:
    def __init__(self, name):
        self.name = name
        self.samples = np.zeros(0, np.float32)
        self.asked = []
        self.questions: asyncio.Queue = asyncio.Queue()
        self.gone = asyncio.Event()
        self.refused = asyncio.Event()
        self.failure = None
        self.silent = False
        self.gate: asyncio.Event | None = None
        """Speculative transcripts wait for it."""
        self.late: asyncio.Event | None = None
        """The final transcript waits for it, and whether it fails is seen then."""

    def append(self, samples):
        self.samples = np.concatenate([self.samples, samples])
        return True

    async def partial(self):
        return self._result("partial")

    async def final(self, speculative=False):
        if not speculative and self.late:
            await self.late.wait()
        result = self._result("prepared" if speculative else "final")
        if speculative and self.gate:
            await self.gate.wait()
        return result

    def abandon(self):
        self.gone.set()

    def _result(self, kind):
        if self.failure:
            self.refused.set()
            raise self.failure
        self.asked.append((kind, len(self.samples)))
        self.questions.put_nowait(kind)
        text = "" if self.silent else f"{kind} {len(self.samples)}"
        return RecognitionResult(utterance=self.name, text=text)


class ScriptedRecogniser:
    model = "ear"

    def __init__(self):
        self.streams = []

    def open(self, name, **_options):
        self.streams.append(ScriptedStream(name))
        return self.streams[-1]


class Ear:
    def __init__(self):
        self.heard: asyncio.Queue = asyncio.Queue()
        self.recogniser = ScriptedRecogniser()
        self.now = 100.0
        self.sequence = 0
        self.listener = Listener(
            cast(Any, ScriptedTicks()),
            cast(Any, self.recogniser),
            lambda: self.now,
            self.heard.put_nowait,
            lambda n: f"u{n}",
        )

    def feed(self, loudness, frames=1, hearing=True, skip=0):
        for _ in range(frames):
            self.sequence += skip
            self.now += 0.02
            pcm = np.full(FRAME, int(loudness * 32767), "<i2").tobytes()
            header = Header(Kind.AUDIO, sequence=self.sequence, time_us=int((self.now - 0.02) * 1e6))
            self.sequence += 1
            self.listener.feed(header, pcm, hearing)

    async def next(self):
        return await asyncio.wait_for(self.heard.get(), 5)


@pytest.fixture
def ear():
    return Ear()


async def test_voice_decisions_carry_the_time_of_their_samples(ear):
    ear.feed(0.0, 50)
    ear.feed(0.9, 50)
    ear.feed(0.0, 10)
    started, stopped = await ear.next(), await ear.next()
    assert isinstance(started, inputs.VoiceStarted)
    assert isinstance(stopped, inputs.VoiceStopped)
    assert started.at == pytest.approx(101.0, abs=0.033)
    assert stopped.at == pytest.approx(102.0, abs=0.033)
    assert started.client_ms == pytest.approx(started.at * 1000, abs=1)


class TestTheEndOfSpeech:
    """The detector says "voice" down to a loudness of 0.35; where the sound ends is for the samples to say."""

    async def stopped(self, ear) -> float:
        while not isinstance(event := await ear.next(), inputs.VoiceStopped):
            pass
        return event.at - 101.0

    @pytest.mark.parametrize("spoken", [30, 31, 32, 33, 34])
    async def test_in_quiet_it_is_where_the_sound_ends(self, ear, spoken):
        ear.feed(0.0, 50)
        ear.feed(0.9, spoken)
        ear.feed(0.0, 20)
        assert await self.stopped(ear) == pytest.approx(spoken * 0.02, abs=0.006)

    async def test_a_soft_ending_belongs_to_it(self, ear):
        ear.feed(0.0, 50)
        ear.feed(0.9, 40)
        ear.feed(0.1, 1)
        ear.feed(0.0, 20)
        assert await self.stopped(ear) == pytest.approx(0.82, abs=0.006)

    async def test_in_noise_the_detectors_word_stands(self, ear):
        ear.feed(0.1, 50)
        ear.feed(0.9, 40)
        ear.feed(0.1, 20)
        at = await self.stopped(ear)
        assert 0.8 <= at <= 0.8 + 0.033

    async def test_it_is_never_much_before_the_detectors_word(self, ear):
        """The detector goes on hearing voice in what is faint, as in the end of a long vowel: it is believed."""
        ear.listener.sensitivity = Sensitivity(0.5, 0.005)
        ear.feed(0.0, 50)
        ear.feed(0.9, 40)
        ear.feed(0.01, 20)
        ear.feed(0.0, 20)
        at = await self.stopped(ear)
        assert 1.2 - 0.064 - 0.001 <= at <= 1.2 + 0.033


async def test_an_utterance_begins_before_the_voice_was_noticed(ear):
    ear.feed(0.0, 50)
    ear.feed(0.9, 5)
    ear.listener.open(1, untraced())
    [stream] = ear.recogniser.streams
    voiced = int(np.count_nonzero(stream.samples > 0.5))
    assert voiced == 5 * FRAME
    assert PREROLL_SAMPLES - 512 <= len(stream.samples) - voiced <= PREROLL_SAMPLES + FRAME
    ear.listener.drop()


@pytest.mark.parametrize("paused", [True, False])
async def test_no_sample_is_in_two_utterances(ear, paused):
    ear.feed(0.9, 50)
    ear.listener.open(1, untraced())
    if paused:
        ear.listener.pause(1)
    ear.listener.close(1)
    ear.feed(0.0, 5)
    ear.feed(0.9, 20)
    ear.listener.open(2, untraced())
    one, other = ear.recogniser.streams
    assert len(one.samples) == 50 * FRAME
    assert len(other.samples) == 25 * FRAME
    ear.listener.drop()


async def test_what_is_dropped_at_once_is_gone_at_once(ear):
    ear.feed(0.9, 50)
    ear.listener.open(1, untraced())
    ear.listener.drop()
    [stream] = ear.recogniser.streams
    assert stream.gone.is_set()
    ear.feed(0.9, 5)
    assert len(stream.samples) <= 50 * FRAME


async def test_the_beginning_of_a_voice_that_counts_late_is_kept(ear):
    """Over an answer's first moments a voice counts only when it has outlasted them."""
    ear.feed(0.0, 50)
    ear.feed(0.9, int((ADAPTING_S + ONSET_S) / 0.02) + 1)
    ear.listener.open(1, untraced())
    [stream] = ear.recogniser.streams
    assert int(np.count_nonzero(stream.samples > 0.5)) == (int((ADAPTING_S + ONSET_S) / 0.02) + 1) * FRAME
    ear.listener.drop()


async def test_audio_of_a_pause_is_held_back_and_given_on_when_it_was_only_a_pause(ear):
    ear.feed(0.9, 50)
    ear.listener.open(1, untraced())
    [stream] = ear.recogniser.streams
    before = len(stream.samples)
    ear.listener.pause(1)
    ear.feed(0.0, 10)
    assert len(stream.samples) == before
    ear.listener.resume(1)
    assert len(stream.samples) == before + 10 * FRAME
    ear.feed(0.9, 1)
    assert len(stream.samples) == before + 11 * FRAME
    ear.listener.drop()


async def test_the_final_transcript_is_of_what_came_before_the_pause(ear):
    ear.feed(0.9, 50)
    await ear.next()
    ear.listener.open(1, untraced())
    [stream] = ear.recogniser.streams
    before = len(stream.samples)
    ear.listener.pause(1)
    prepared = await ear.next()
    assert isinstance(prepared, inputs.PartialTranscript)
    assert prepared.result.text == f"prepared {before}"
    ear.feed(0.0, 10)
    await ear.next()
    ear.listener.close(1)
    final = await ear.next()
    assert isinstance(final, inputs.FinalTranscript)
    assert final.result.text == f"final {before}"
    assert stream.asked[-1] == ("final", before)
    await asyncio.wait_for(stream.gone.wait(), 5)


class TestPauses:
    """A transcript is whole when it is of all that was said before a pause that still lasts."""

    @staticmethod
    async def speaking(ear):
        ear.feed(0.9, 50)
        await ear.next()
        ear.listener.open(1, untraced())
        [stream] = ear.recogniser.streams
        stream.gate = asyncio.Event()
        return stream

    @staticmethod
    async def prepared(ear):
        while True:
            event = await ear.next()
            if isinstance(event, inputs.PartialTranscript) and event.result.text.startswith("prepared"):
                return event

    async def test_the_prepared_one_is(self, ear):
        stream = await self.speaking(ear)
        stream.gate.set()
        ear.listener.pause(1)
        assert (await self.prepared(ear)).whole
        ear.listener.drop()

    async def test_one_that_comes_after_the_user_went_on_is_not(self, ear):
        stream = await self.speaking(ear)
        ear.listener.pause(1)
        assert await asyncio.wait_for(stream.questions.get(), 5) == "prepared"
        ear.listener.resume(1)
        stream.gate.set()
        assert not (await self.prepared(ear)).whole
        ear.listener.drop()

    async def test_nor_is_one_of_the_pause_before(self, ear):
        stream = await self.speaking(ear)
        ear.listener.pause(1)
        assert await asyncio.wait_for(stream.questions.get(), 5) == "prepared"
        ear.listener.resume(1)
        ear.feed(0.9, 5)
        ear.listener.pause(1)
        stream.gate.set()
        first, second = await self.prepared(ear), await self.prepared(ear)
        assert (first.whole, second.whole) == (False, True)
        assert len(stream.samples) == int(second.result.text.split()[1])
        ear.listener.drop()

    async def test_words_so_far_are_not(self, ear):
        ear.feed(0.9, 50)
        await ear.next()
        ear.listener.open(1, untraced())
        event = await ear.next()
        assert isinstance(event, inputs.PartialTranscript)
        assert not event.whole
        ear.listener.drop()

    async def test_that_nothing_was_said_is_told_too(self, ear):
        """A cough has paused an answer; it is taken up again as soon as that is known."""
        stream = await self.speaking(ear)
        stream.gate.set()
        stream.silent = True
        ear.listener.pause(1)
        event = await ear.next()
        assert isinstance(event, inputs.PartialTranscript)
        assert (event.result.text, event.whole) == ("", True)
        ear.listener.drop()


async def test_partials_come_while_the_user_speaks_and_only_when_they_differ(ear):
    ear.feed(0.9, 50)
    await ear.next()
    ear.listener.open(1, untraced())
    first = await ear.next()
    assert first.result.text.startswith("partial")
    [stream] = ear.recogniser.streams
    for _ in range(3):
        await asyncio.wait_for(stream.questions.get(), 5)
    assert ear.heard.empty()
    ear.listener.drop()


async def test_a_partial_that_fails_costs_nothing_but_itself(ear):
    ear.feed(0.9, 50)
    await ear.next()
    ear.listener.open(1, untraced())
    [stream] = ear.recogniser.streams
    stream.failure = SpeechUnavailable(Reason.AT_CAPACITY, "all taken")
    ear.listener.pause(1)
    await asyncio.wait_for(stream.refused.wait(), 5)
    stream.failure = None
    ear.listener.close(1)
    final = await ear.next()
    assert isinstance(final, inputs.FinalTranscript)


async def test_a_transcript_for_the_pause_is_asked_for_again_while_the_pause_lasts(ear):
    ear.feed(0.9, 50)
    await ear.next()
    ear.listener.open(1, untraced())
    [stream] = ear.recogniser.streams
    stream.failure = SpeechUnavailable(Reason.UNREACHABLE, "being started again")
    ear.listener.pause(1)
    await asyncio.wait_for(stream.refused.wait(), 5)
    stream.failure = None
    prepared = await ear.next()
    assert isinstance(prepared, inputs.PartialTranscript)
    assert prepared.whole
    ear.listener.drop()


async def test_the_final_transcript_does_not_wait_for_one_that_hangs(ear):
    ear.feed(0.9, 50)
    await ear.next()
    ear.listener.open(1, untraced())
    [stream] = ear.recogniser.streams
    stream.gate = asyncio.Event()
    ear.listener.pause(1)
    assert await asyncio.wait_for(stream.questions.get(), 5) == "prepared"
    ear.listener.close(1)
    assert isinstance(await ear.next(), inputs.FinalTranscript)


@pytest.mark.parametrize("fate", ["recognised", "failed", "abandoned"])
@pytest.mark.parametrize("second_fails", [False, True])
async def test_transcripts_end_in_the_order_in_which_they_were_spoken(ear, fate, second_fails):
    ear.feed(0.9, 50)
    await ear.next()
    for number in (1, 2):
        ear.listener.open(number, untraced())
        ear.feed(0.9, 50)
        ear.listener.close(number)
    first, second = ear.recogniser.streams
    first.late = asyncio.Event()
    if second_fails:
        second.failure = SpeechUnavailable(Reason.UNREACHABLE, "gone")
    await asyncio.wait_for(second.refused.wait() if second_fails else second.questions.get(), 5)
    for _ in range(5):
        await asyncio.sleep(0)
    assert ear.heard.empty()
    if fate == "failed":
        first.failure = SpeechUnavailable(Reason.UNREACHABLE, "gone")
    if fate == "abandoned":
        ear.listener.abandon(1)
    first.late.set()
    ends = [] if fate == "abandoned" else [await ear.next()]
    ends.append(await ear.next())
    assert [end.utterance for end in ends] == ([2] if fate == "abandoned" else [1, 2])
    assert isinstance(ends[-1], inputs.RecognitionFailed if second_fails else inputs.FinalTranscript)


class TestAnUtteranceAsLongAsItMayBe:
    """It is cut where it was quietest of late, though the detector has heard no pause in it."""

    @pytest.fixture(autouse=True)
    def long_after_two_seconds(self, monkeypatch):
        monkeypatch.setattr(listening, "_LONG_SAMPLES", 32_000)

    @staticmethod
    async def spoken(ear, *loudness):
        ear.feed(0.9, 10)
        assert isinstance(await ear.next(), inputs.VoiceStarted)
        ear.listener.open(1, untraced())
        ear.feed(0.9, 90)
        for loud, frames in loudness:
            ear.feed(loud, frames)
        while not ear.heard.empty():
            assert not isinstance(await ear.next(), inputs.VoiceStopped)
        begun = ear.now - ear.listener._end / 16_000
        ear.listener.cut(1)
        started = await ear.next()
        assert isinstance(started, inputs.VoiceStarted)
        ear.listener.open(2, untraced())
        first, second = ear.recogniser.streams
        assert len(first.samples) + len(second.samples) == ear.listener._end
        assert started.at == pytest.approx(begun + len(first.samples) / 16_000, abs=0.001)
        ear.feed(0.9, 5)
        assert ear.heard.empty()
        assert isinstance(await ear.next(), inputs.FinalTranscript)
        ear.listener.drop()
        return first, second

    async def test_it_ends_in_the_dip(self, ear):
        first, second = await self.spoken(ear, (0.9, 60), (0.4, 3), (0.9, 20))
        assert len(first.samples) == pytest.approx((100 + 60 + 1.5) * FRAME, abs=160)
        assert np.abs(second.samples[:160]).max() < 0.5

    async def test_the_deepest_one_counts(self, ear):
        first, _ = await self.spoken(ear, (0.9, 30), (0.4, 3), (0.9, 20), (0.5, 3), (0.9, 10))
        assert len(first.samples) == pytest.approx((100 + 30 + 1.5) * FRAME, abs=160)

    async def test_a_dip_of_long_ago_does_not(self, ear):
        first, _ = await self.spoken(ear, (0.4, 3), (0.9, 100))
        assert len(first.samples) >= (203 - 75) * FRAME

    async def test_what_is_short_ends_where_it_is(self, ear):
        ear.feed(0.9, 50)
        await ear.next()
        ear.listener.open(1, untraced())
        ear.listener.cut(1)
        assert len(ear.recogniser.streams[0].samples) == 50 * FRAME
        ear.listener.drop()

    async def test_a_pause_gives_on_all_of_it(self, ear):
        ear.feed(0.9, 10)
        await ear.next()
        ear.listener.open(1, untraced())
        ear.feed(0.9, 190)
        [stream] = ear.recogniser.streams
        assert len(stream.samples) == pytest.approx((200 - 75) * FRAME, abs=FRAME)
        ear.listener.pause(1)
        assert len(stream.samples) == 200 * FRAME
        ear.feed(0.9, 10)
        ear.listener.resume(1)
        ear.listener.close(1)
        assert len(stream.samples) == 210 * FRAME
        ear.listener.drop()


async def test_what_is_abandoned_says_nothing_any_more(ear):
    ear.feed(0.9, 50)
    await ear.next()
    ear.listener.open(1, untraced())
    ear.listener.close(1)
    ear.listener.abandon(1)
    ear.listener.abandon(1)
    await asyncio.sleep(0)
    assert ear.recogniser.streams[0].gone.is_set()
    assert ear.heard.empty()


async def test_a_recogniser_that_fails_is_told_once(ear):
    ear.feed(0.9, 50)
    await ear.next()
    ear.listener.open(1, untraced())
    ear.recogniser.streams[0].failure = SpeechUnavailable(Reason.UNREACHABLE, "nobody there")
    ear.listener.close(1)
    failed = await ear.next()
    assert isinstance(failed, inputs.RecognitionFailed)
    assert "nobody there" not in failed.message
    ear.listener.close(1)
    assert ear.heard.empty()


async def test_a_client_that_falls_silent_without_a_word_has_stopped_speaking(ear):
    ear.feed(0.9, 50)
    assert isinstance(await ear.next(), inputs.VoiceStarted)
    ear.now += 10
    assert isinstance(await ear.next(), inputs.VoiceStopped)


async def test_voice_that_goes_on_after_the_end_of_a_turn_begins_another(ear):
    ear.feed(0.9, 50)
    assert isinstance(await ear.next(), inputs.VoiceStarted)
    ear.listener.expect_voice()
    ear.feed(0.9, 5)
    assert isinstance(await ear.next(), inputs.VoiceStarted)


class TestFrames:
    def test_lost_frames_are_silence(self, ear):
        ear.feed(0.0, 2)
        ear.feed(0.0, 1, skip=3)
        assert ear.listener._end == 6 * FRAME

    def test_a_long_gap_is_a_break_not_silence(self, ear):
        ear.feed(0.0, 2)
        ear.feed(0.0, 1, skip=1000)
        assert ear.listener._end == 3 * FRAME

    def test_a_number_that_does_not_rise_is_refused(self, ear):
        ear.feed(0.0, 2)
        ear.sequence = 1
        with pytest.raises(FrameRefused) as refused:
            ear.feed(0.0)
        assert refused.value.code is Code.FRAME_OUT_OF_ORDER

    @pytest.mark.parametrize("pcm", [b"", b"\0", bytes(2 * 1601)], ids=["empty", "odd", "long"])
    def test_a_frame_of_a_wrong_size_is_refused(self, ear, pcm):
        with pytest.raises(FrameRefused) as refused:
            ear.listener.feed(Header(Kind.AUDIO), pcm, True)
        assert refused.value.code is Code.MALFORMED_FRAME

    def test_while_nobody_listens_only_the_number_is_taken(self, ear):
        ear.feed(0.9, 10, hearing=False)
        assert ear.listener._end == 0
        assert ear.heard.empty()
        ear.feed(0.0, 1)
        assert ear.listener._end == FRAME

    def test_what_is_kept_is_bounded(self, ear):
        ear.feed(0.0, 1000)
        assert sum(len(samples) for _, samples in ear.listener._kept) <= 34_000

"""Answers that are prepared in the user's pause: kept if the pause holds, and never heard of if it does not."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from conversations import Talk, untraced

from services.addresses import is_local
from services.contracts import commands, events
from services.contracts.characters import Voice
from services.contracts.errors import Code
from services.contracts.settings import SettingsPatch
from services.dialogue import actions as do
from services.dialogue import inputs
from services.dialogue.conversation import MAX_GUESSES, open_text, speculates
from services.dialogue.language import AnswerRequest, Message, TemplateSource
from services.dialogue.playout import Playout
from services.dialogue.speaking import Speaker
from services.speech.errors import Reason, SpeechUnavailable

QUESTION = "what time is it"
SAID_OF_AN_ANSWER = (
    events.TextStreamStart, events.TextChunk, events.TextStreamStop, events.AudioStreamStart, events.AudioStreamStop,
    events.AudioFlush, events.TurnCommitted, events.TurnMetrics, events.Error,
)  # fmt: skip


def pausing(text=QUESTION, **settings):
    """The user has paused after `text`, and recognition has said so."""
    talk = Talk(**{"speculation": "on", **settings})
    talk.listen()
    talk.utter(1.0)
    talk.wait(0.21)
    talk.partial(1, text, whole=True)
    return talk


def prepared(text=QUESTION, answer="It is noon.", seconds=1.0, **settings):
    """And the answer to it is written and spoken."""
    talk = pausing(text, **settings)
    talk.wait(0.01)
    talk.token(answer)
    talk.written()
    talk.wait(0.01)
    talk.chunk(0, seconds)
    talk.spoken(0)
    return talk


def end(talk, text=QUESTION):
    """The pause holds."""
    talk.wait(1.5)
    return talk.transcript(talk.state.utterances, text)


def asks(talk):
    return [(ask.generation, ask.user, ask.prepared) for ask in talk.of(do.Ask)]


def told(talk):
    return [type(event).__name__ for event in talk.sent if isinstance(event, SAID_OF_AN_ANSWER)]


def outcomes(talk):
    return [one.outcome for one in talk.of(do.Speculated)]


class TestWhen:
    @pytest.mark.parametrize(
        ("speculation", "mode", "costly", "expected"),
        [
            ("on", "llm", True, False), ("on", "template", False, True), ("off", "llm", False, False),
            ("off", "echo", False, False), ("auto", "llm", True, False), ("auto", "llm", False, True),
            ("auto", "template", True, True), ("auto", "echo", True, True),
        ],
    )  # fmt: skip
    def test_by_the_setting_and_by_what_answers_cost(self, speculation, mode, costly, expected):
        talk = Talk()
        chosen = msgspec.structs.replace(talk.state.settings, speculation=speculation, response_mode=mode)
        talk.state = replace(talk.state, settings=chosen, can_ask=True, costly=costly)
        assert speculates(talk.state) is expected
        talk.listen()
        talk.utter(1.0)
        talk.wait(0.21)
        talk.partial(1, QUESTION, whole=True)
        assert asks(talk) == ([(1, QUESTION, True)] if expected else [])
        talk.clear()
        end(talk)
        assert asks(talk) == ([] if expected else [(1, QUESTION, False)])

    @pytest.mark.parametrize("text", ["and then i", "i would like to", "well,", "the", ""])
    def test_not_after_words_that_are_plainly_unfinished(self, text):
        talk = pausing(text)
        assert asks(talk) == []
        end(talk, text or "hm")
        assert [prepared for _, _, prepared in asks(talk)] == [False]

    def test_not_from_a_transcript_of_less_than_all_that_was_said(self):
        talk = Talk(speculation="on")
        talk.listen()
        talk.voice()
        talk.wait(1.0)
        talk.partial(1, QUESTION)
        talk.quiet()
        talk.wait(0.21)
        talk.partial(1, QUESTION)
        assert asks(talk) == []

    def test_not_from_one_that_comes_after_the_user_went_on(self):
        talk = Talk(speculation="on")
        talk.listen()
        talk.utter(1.0)
        talk.wait(0.21)
        talk.voice()
        talk.partial(1, QUESTION, whole=True)
        assert asks(talk) == []

    def test_not_from_one_that_comes_after_the_end_of_the_turn(self):
        talk = Talk(speculation="on")
        talk.listen()
        talk.utter(1.0)
        talk.wait(0.6)
        talk.partial(1, QUESTION, whole=True)
        assert asks(talk) == []
        talk.transcript(1, QUESTION)
        assert asks(talk) == [(1, QUESTION, False)]

    def test_not_while_earlier_words_are_still_being_recognised(self):
        talk = Talk(speculation="on")
        talk.listen()
        talk.utter(1.0)
        talk.wait(0.6)
        talk.utter(1.0)
        talk.wait(0.21)
        talk.partial(2, "and what day", whole=True)
        assert asks(talk) == []
        talk.transcript(1, QUESTION)
        end(talk, "and what day")
        assert asks(talk) == [(1, f"{QUESTION} and what day", False)]

    def test_with_the_words_of_a_turn_that_goes_on(self):
        talk = Talk(speculation="on")
        talk.listen()
        talk.say("i have a question")
        talk.utter(1.0)
        talk.wait(0.21)
        talk.partial(2, QUESTION, whole=True)
        end(talk)
        assert asks(talk) == [(1, "i have a question", False), (3, f"i have a question {QUESTION}", True)]
        assert outcomes(talk) == ["kept"]

    def test_not_while_an_answer_sounds(self):
        talk = Talk(duplex="full", speculation="on")
        talk.listen()
        talk.say("hello")
        talk.answer("Hi there, how are you today?", 8.0)
        talk.wait(1.5)
        talk.played(1.5)
        talk.clear()
        talk.utter(0.3)
        talk.wait(0.25)
        talk.partial(2, "mm-hm", whole=True)
        assert asks(talk) == []

    def test_as_soon_as_the_voice_over_an_answer_has_stopped_it(self):
        talk = Talk(duplex="full", speculation="on")
        talk.listen()
        talk.say("hello")
        talk.answer("Hi there, how are you today?", 8.0)
        talk.wait(1.5)
        talk.played(1.5)
        talk.clear()
        talk.utter(0.4)
        talk.wait(0.25)
        talk.partial(2, QUESTION, whole=True)
        assert [(user, early) for _, user, early in asks(talk)] == [(QUESTION, True)]
        assert [type(one) for one in talk.actions if isinstance(one, do.StopAnswer | do.Ask)] == [do.StopAnswer, do.Ask]


class TestSilently:
    def test_nobody_is_told_before_the_turn_has_ended(self):
        talk = prepared()
        assert told(talk) == []
        assert [(one.slot, one.text, one.prepared) for one in talk.of(do.Synthesise)] == [(0, "It is noon.", True)]
        assert talk.of(do.CloseAudio) == []
        assert talk.of(do.Confirm) == []
        assert talk.of(do.Measure) == []
        assert talk.mood == "user_speaking"
        assert talk.state.number == 0
        assert open_text(talk.state) == ""

    def test_only_the_first_sentence_is_spoken(self):
        talk = pausing()
        talk.token("The first sentence is this one. The second sentence is this one. The third")
        assert [one.slot for one in talk.of(do.Synthesise)] == [0]
        talk.chunk(0)
        talk.spoken(0)
        talk.token(" sentence is this one. ")
        assert [one.slot for one in talk.of(do.Synthesise)] == [0]
        end(talk)
        assert [(one.slot, one.prepared) for one in talk.of(do.Synthesise)][1:] == [(1, False), (2, False)]

    def test_a_client_cannot_have_heard_it(self):
        talk = prepared()
        talk.played(1.0)
        talk.client(commands.PlaybackStarted(generation=talk.state.generation, received_ms=1, started_ms=2))
        assert told(talk) == []

    def test_its_sound_is_held(self):
        playout = Playout()
        playout.begin(1, hold=True)
        playout.add(1, 0, b"\1\0" * 100)
        playout.end(1, 0)
        playout.close(1, 1)
        assert playout.take() is None
        assert not playout.drained()
        playout.release(2)
        assert playout.take() is None
        playout.release(1)
        assert playout.take() == b"\1\0" * 100
        assert playout.drained()

    def test_what_was_held_is_gone_with_its_generation(self):
        playout = Playout()
        playout.begin(1, hold=True)
        playout.add(1, 0, b"\1\0" * 100)
        playout.begin(2)
        playout.release(1)
        assert playout.take() is None
        playout.add(2, 0, b"\2\0" * 100)
        assert playout.take() == b"\2\0" * 100


class TestKept:
    def test_the_text_comes_at_once_and_once_and_so_does_the_sound(self):
        talk = prepared()
        talk.clear()
        end(talk)
        assert told(talk) == ["TextStreamStart", "TextChunk", "TextStreamStop", "AudioStreamStart"]
        assert talk.events(events.TextChunk) == [events.TextChunk(generation=1, text="It is noon.")]
        assert talk.events(events.TextStreamStart)[0].turn == 1
        assert talk.of(do.Confirm) == [do.Confirm(1)]
        assert talk.of(do.CloseAudio) == [do.CloseAudio(1, 1)]
        assert talk.of(do.Ask) == []
        assert talk.of(do.Synthesise) == []
        assert outcomes(talk) == ["kept"]
        assert open_text(talk.state) == QUESTION
        talk.drained(1.0)
        talk.played(1.0)
        assert talk.history == [(QUESTION, "It is noon.", False)]
        assert talk.state.number == 1

    def test_its_sound_may_leave_before_anything_else_is_said_of_it(self):
        """The page knows the answer before its audio comes: text and audio_stream_start are in the same step."""
        talk = prepared()
        talk.clear()
        end(talk)
        kinds = [type(one) for one in talk.actions]
        assert kinds.index(do.Confirm) < kinds.index(do.CloseAudio)

    def test_with_tokens_still_to_come(self):
        talk = pausing()
        talk.token("It is")
        end(talk)
        talk.token(" noon.")
        talk.written()
        talk.chunk(0)
        talk.spoken(0)
        talk.drained(1.0)
        talk.played(1.0)
        assert [event.text for event in talk.events(events.TextChunk)] == ["It is", " noon."]
        assert len(talk.events(events.TextStreamStart)) == 1
        assert [(one.slot, one.prepared) for one in talk.of(do.Synthesise)] == [(0, False)]
        assert talk.history == [(QUESTION, "It is noon.", False)]

    def test_before_the_first_token(self):
        talk = pausing()
        end(talk)
        assert told(talk) == []
        talk.token("It")
        assert told(talk) == ["TextStreamStart", "TextChunk"]

    @pytest.mark.parametrize("final", ["What time is it?", "what time, is it", "WHAT TIME IS IT"])
    def test_when_only_the_marks_differ_and_history_has_the_final_words(self, final):
        talk = prepared()
        end(talk, final)
        assert asks(talk) == [(1, QUESTION, True)]
        talk.drained(1.0)
        talk.played(1.0)
        assert talk.history == [(final, "It is noon.", False)]

    @pytest.mark.parametrize("head_start", [0.0, 0.05, 0.13])
    def test_its_time_adds_up_and_none_is_negative(self, head_start):
        talk = pausing()
        talk.wait(head_start)
        talk.token("It is noon.")
        talk.written()
        talk.chunk(0)
        talk.spoken(0)
        talk.wait(1)
        talk.transcript(1, QUESTION)
        talk.give(inputs.AudioSent(at=talk.now, generation=1))
        answer = talk.state.answer
        assert answer is not None
        said = answer.ledger.client_end_ms
        talk.client(
            commands.PlaybackStarted(generation=1, received_ms=talk.now * 1000 + 5, started_ms=talk.now * 1000 + 30)
        )
        [metrics] = talk.events(events.TurnMetrics)
        assert metrics.total_ms == pytest.approx(talk.now * 1000 + 30 - said)
        assert sum(part.ms for part in metrics.parts) == pytest.approx(metrics.total_ms)
        assert all(part.ms >= -1e-6 for part in metrics.parts), metrics.parts
        assert metrics.prepared_ms == pytest.approx(head_start * 1000, abs=1e-6)
        by_name = {part.name: part.ms for part in metrics.parts}
        assert by_name["first token"] == by_name["first sentence"] == by_name["voice"] == pytest.approx(0)

    def test_an_answer_that_was_not_prepared_says_so(self):
        talk = Talk(speculation="off")
        talk.listen()
        talk.say(QUESTION)
        talk.answer("It is noon.")
        talk.client(commands.PlaybackStarted(generation=1, received_ms=talk.now * 1000, started_ms=talk.now * 1000))
        assert talk.events(events.TurnMetrics)[0].prepared_ms == 0

    def test_a_voice_that_failed_meanwhile_is_told(self):
        talk = pausing()
        talk.token("It is noon.")
        talk.written()
        talk.speech_failed(0)
        assert told(talk) == []
        end(talk)
        assert [error.code for error in talk.events(events.Error)] == [Code.SYNTHESIS_UNAVAILABLE]
        assert talk.history == [(QUESTION, "It is noon.", False)]

    def test_pressing_stop_ends_the_turn_too(self):
        talk = prepared()
        talk.client(commands.StopListening())
        assert told(talk) == []
        talk.transcript(1, QUESTION)
        assert outcomes(talk) == ["kept"]


class TestDiscarded:
    def test_when_the_user_goes_on(self):
        talk = prepared()
        talk.voice()
        assert told(talk) == []
        assert outcomes(talk) == ["resumed"]
        assert talk.of(do.Speculated)[0].characters == len("It is noon.")
        assert talk.of(do.StopAnswer) == [do.StopAnswer(2)]
        assert talk.state.answer is None
        assert talk.state.number == 0
        talk.wait(1)
        talk.quiet()
        talk.wait(0.21)
        talk.partial(1, f"{QUESTION} in Rome", whole=True)
        end(talk, f"{QUESTION} in Rome")
        assert asks(talk) == [(1, QUESTION, True), (3, f"{QUESTION} in Rome", True)]
        talk.answer("It is one.")
        talk.played(2.0)
        assert talk.history == [(f"{QUESTION} in Rome", "It is one.", False)]
        assert [turn.number for turn in talk.state.memory.turns] == [1]
        assert "It is noon." not in [event.text for event in talk.events(events.TextChunk)]

    def test_its_late_work_changes_nothing(self):
        talk = prepared()
        talk.voice()
        talk.clear()
        before = talk.state
        for event in (
            inputs.Token(at=talk.now, generation=1, text=" late"),
            inputs.AnswerWritten(at=talk.now, generation=1),
            inputs.SpeechChunk(at=talk.now, generation=1, slot=0, samples=100),
            inputs.SpeechDone(at=talk.now, generation=1, slot=0, seconds=1),
            inputs.SpeechRefused(at=talk.now, generation=1, slot=0),
            inputs.SpeechFailed(at=talk.now, generation=1, slot=0, message="x"),
            inputs.AudioSent(at=talk.now, generation=1),
            inputs.AnswerFailed(at=talk.now, generation=1, code=Code.LANGUAGE_FAILED, message="x"),
        ):
            talk.give(event)
        assert talk.state == before
        assert talk.actions == []

    def test_when_the_words_were_others_in_the_end(self):
        talk = prepared()
        end(talk, "what time is tea")
        assert outcomes(talk) == ["changed"]
        assert asks(talk) == [(1, QUESTION, True), (3, "what time is tea", False)]
        assert told(talk) == []
        talk.answer("At five.")
        talk.played(2.0)
        assert talk.history == [("what time is tea", "At five.", False)]
        assert talk.state.number == 1

    @pytest.mark.parametrize("how", ["empty", "failed"])
    def test_when_nothing_was_understood_in_the_end(self, how):
        """Nobody waits for an answer that will never be confirmed."""
        talk = prepared()
        talk.wait(1)
        talk.transcript(1, "") if how == "empty" else talk.no_transcript(1)
        assert talk.state.answer is None
        assert talk.mood == "listening"
        assert outcomes(talk) == ["changed"]
        assert talk.of(do.StopAnswer) == [do.StopAnswer(2)]
        talk.say("hello")
        assert asks(talk)[-1][1] == "hello"

    def test_when_recognition_fails_in_the_pause(self):
        talk = prepared()
        talk.no_transcript(1)
        assert talk.state.answer is None
        assert talk.mood == "listening"

    def test_when_a_new_voice_comes_before_the_transcript(self):
        talk = prepared()
        talk.wait(0.6)
        talk.voice()
        talk.wait(0.2)
        assert talk.state.answer is None
        assert told(talk) == []
        talk.transcript(1, QUESTION)
        talk.wait(1)
        talk.quiet()
        talk.wait(0.6)
        talk.transcript(2, "in Rome")
        assert asks(talk)[-1][1:] == (f"{QUESTION} in Rome", False)

    def test_every_pause_prepares_anew(self):
        talk = Talk(speculation="on")
        talk.listen()
        said = []
        for word in ("one", "two", "three"):
            said.append(word)
            talk.utter(0.5)
            talk.wait(0.21)
            talk.partial(1, " ".join(said), whole=True)
        end(talk, "one two three")
        assert [user for _, user, _ in asks(talk)] == ["one", "one two", "one two three"]
        assert outcomes(talk) == ["resumed", "resumed", "kept"]
        generations = [generation for generation, _, _ in asks(talk)]
        assert generations == sorted(set(generations))
        assert talk.state.number == 1

    def test_by_a_typed_message(self):
        talk = prepared()
        talk.type_in("never mind")
        assert told(talk) == []
        talk.transcript(1, QUESTION)
        assert [user for _, user, _ in asks(talk)] == [QUESTION, f"{QUESTION} never mind"]
        assert talk.state.number == 1

    def test_by_other_settings(self):
        talk = prepared()
        talk.client(commands.Settings(settings=SettingsPatch(character="max")))
        assert talk.state.answer is None
        assert outcomes(talk) == ["changed"]
        end(talk)
        assert [(ask.character.id, ask.prepared) for ask in talk.of(do.Ask)] == [("aria", True), ("max", False)]

    def test_by_settings_that_are_refused_it_is_not(self):
        talk = prepared()
        talk.client(commands.Settings(settings=SettingsPatch(character="nobody")))
        end(talk)
        assert outcomes(talk) == ["kept"]

    @pytest.mark.parametrize("command", [commands.Reset(), commands.Cancel()], ids=["reset", "cancel"])
    def test_by_dropping_the_turn(self, command):
        talk = prepared()
        talk.client(command)
        talk.transcript(1, QUESTION)
        assert talk.state.answer is None
        assert talk.state.number == 0
        assert told(talk) == []
        assert talk.mood == "listening"
        talk.say("hello")
        assert asks(talk)[-1][1:] == ("hello", False)

    def test_by_an_interruption_and_the_turn_is_answered_all_the_same(self):
        talk = prepared()
        talk.client(commands.Interrupt())
        assert told(talk) == []
        assert talk.history == []
        end(talk)
        assert asks(talk)[-1][1:] == (QUESTION, False)

    def test_not_by_a_lost_connection(self):
        """What was said stands, and so does its answer."""
        talk = prepared()
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.transcript(1, QUESTION)
        assert outcomes(talk) == ["kept"]

    def test_by_a_page_that_is_loaded_anew(self):
        talk = prepared()
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=True))
        assert told(talk) == []
        asked = len(asks(talk))
        talk.transcript(1, QUESTION)
        assert (len(asks(talk)), talk.history) == (asked, [(QUESTION, "", True)])

    def test_words_that_a_lost_connection_cut_off_are_not_joined_to_typed_ones_by_it(self):
        talk = Talk(speculation="on")
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.type_in("hello")
        talk.quiet()
        talk.wait(0.21)
        talk.partial(1, "the uh thing", whole=True)
        assert asks(talk)[-1][1:] == ("the uh thing hello", True)
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.transcript(1, "the uh thing")
        assert asks(talk)[-1][1:] == ("hello", False)
        assert [turn[0] for turn in talk.history] == ["the uh thing"]


class TestFailures:
    def test_a_language_model_that_fails_is_asked_again_once_the_turn_is_over(self):
        talk = pausing()
        talk.failed()
        assert told(talk) == []
        assert talk.state.answer is None
        talk.wait(0.05)
        assert len(talk.of(do.Ask)) == 1
        end(talk)
        assert asks(talk) == [(1, QUESTION, True), (3, QUESTION, False)]
        talk.failed(Code.LANGUAGE_TIMEOUT)
        assert [error.code for error in talk.events(events.Error)] == [Code.LANGUAGE_TIMEOUT]
        assert talk.history == [(QUESTION, "", False)]

    def test_one_that_breaks_off_in_the_middle_too(self):
        talk = pausing()
        talk.token("It is")
        talk.failed()
        end(talk)
        assert asks(talk)[-1] == (3, QUESTION, False)
        talk.answer("It is noon.")
        assert [event.text for event in talk.events(events.TextChunk)] == ["It is noon."]

    def test_one_that_fails_after_the_turn_was_over_fails_as_ever(self):
        talk = pausing()
        talk.token("It is")
        end(talk)
        talk.failed()
        assert [error.code for error in talk.events(events.Error)] == [Code.LANGUAGE_FAILED]
        assert [event.reason for event in talk.events(events.TextStreamStop)] == ["failed"]

    def test_synthesis_without_room_is_asked_again_once_the_turn_is_over(self):
        talk = pausing()
        talk.token("It is noon.")
        talk.written()
        talk.speech_refused(0)
        talk.wait(0.05)
        assert [one.prepared for one in talk.of(do.Synthesise)] == [True]
        end(talk)
        assert [(one.slot, one.prepared) for one in talk.of(do.Synthesise)] == [(0, True), (0, False)]
        talk.chunk(0)
        talk.spoken(0)
        talk.drained(1.0)
        talk.played(1.0)
        assert talk.history == [(QUESTION, "It is noon.", False)]

    def test_a_refusal_that_comes_when_the_turn_is_over_already(self):
        talk = pausing()
        talk.token("It is noon.")
        talk.written()
        end(talk)
        assert [one.prepared for one in talk.of(do.Synthesise)] == [True]
        talk.speech_refused(0)
        assert [one.prepared for one in talk.of(do.Synthesise)] == [True, False]
        assert told(talk) == ["TextStreamStart", "TextChunk", "TextStreamStop"]


class Slots:
    """A synthesiser of which a test says whether it has room."""

    def __init__(self, refuses=False, chunks=1, breaks=False):
        self.model = "voice"
        self.refuses, self.chunks, self.breaks = refuses, chunks, breaks
        self.asked = []

    async def speak(self, text, voice, speculative=False, traceparent=""):
        self.asked.append((text, speculative))
        if self.refuses and speculative:
            raise SpeechUnavailable(Reason.AT_CAPACITY, "all taken")
        for _ in range(self.chunks):
            yield b"\1\0" * 240
        if self.breaks:
            raise SpeechUnavailable(Reason.UNREACHABLE, "gone")


async def spoken(slots, prepared):
    """What the speaker says of one sentence."""
    heard: asyncio.Queue = asyncio.Queue()
    speaker = Speaker(cast(Any, slots), lambda: 1.0, heard.put_nowait, Playout())
    speaker.playout.begin(1, hold=prepared)
    speaker.synthesise(1, 0, "Hello.", Voice(), untraced(), prepared)
    events_ = []
    while not events_ or isinstance(events_[-1], inputs.SpeechChunk):
        events_.append(await asyncio.wait_for(heard.get(), 5))
    return [type(event) for event in events_]


@pytest.mark.parametrize(
    ("slots", "prepared", "expected"),
    [
        (Slots(), True, [inputs.SpeechChunk, inputs.SpeechDone]),
        (Slots(refuses=True), True, [inputs.SpeechRefused]),
        (Slots(refuses=True), False, [inputs.SpeechChunk, inputs.SpeechDone]),
        (Slots(breaks=True), True, [inputs.SpeechChunk, inputs.SpeechFailed]),
        (Slots(chunks=0, breaks=True), True, [inputs.SpeechRefused]),
        (Slots(chunks=0, breaks=True), False, [inputs.SpeechFailed]),
    ],
    ids=["room", "no room", "no room but wanted", "breaks off", "unreachable", "unreachable and wanted"],
)
async def test_what_the_speaker_says_of_a_sentence(slots, prepared, expected):
    assert await spoken(slots, prepared) == expected
    assert slots.asked == [("Hello.", prepared)]


class TestTemplates:
    """An answer that nobody got leaves no trace in a source that remembers the conversation."""

    TURNS = ("my name is Sam", "i am sad about my dog", "hm", "well", "i dreamt of the sea")

    @staticmethod
    async def replies(discarded):
        source, talk, replies = TemplateSource("Aria", seed=3), Talk(speculation="on"), []
        talk.listen()

        async def write(ask):
            answer = talk.state.answer
            assert answer is not None
            request = AnswerRequest(messages=(Message("user", ask.user),), turn=answer.number)
            return "".join([part async for part in source.answer(request)])

        for said in TestTemplates.TURNS:
            for early in discarded:
                talk.utter(0.5)
                talk.wait(0.21)
                talk.clear()
                talk.partial(talk.state.utterances, early, whole=True)
                for ask in talk.of(do.Ask):
                    await write(ask)
            talk.utter(0.5)
            talk.wait(0.21)
            talk.clear()
            talk.partial(talk.state.utterances, said, whole=True)
            [ask] = talk.of(do.Ask)
            reply = await write(ask)
            end(talk, said)
            assert outcomes(talk)[-1] == "kept"
            talk.token(reply)
            talk.written()
            slot = 0
            while talk.state.answer:
                talk.speech_failed(slot)
                slot += 1
            replies.append(reply)
        assert [turn.user for turn in talk.state.memory.turns] == list(TestTemplates.TURNS)
        return replies

    async def test_discarded_answers_do_not_change_the_conversation(self):
        plain = await self.replies([])
        assert await self.replies(["i remember my mother", "are you a machine?"]) == plain


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("127.0.0.1", True), ("::1", True), ("10.1.2.3", True), ("192.168.0.7", True),
        ("172.16.0.1", True), ("169.254.1.1", True), ("fd00::1", True), ("vllm", True), ("gpu-box.local", True),
        ("vllm.models.svc", True), ("vllm.models.svc.cluster.local", True), ("llm.corp.internal", True),
        ("NAS.LAN", True), ("8.8.8.8", False), ("2606:4700::1111", False), ("openrouter.ai", False),
        ("api.openai.com", False), ("localhost.example.com", False), ("notlocal.com", False), ("mylocal", True),
        ("xlan.org", False),
    ],
)  # fmt: skip
def test_who_is_paid_by_the_token_is_told_by_the_address(host, local):
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("speculation", "adaptive", "prepared"),
    [("off", False, False), ("off", True, True), ("auto", False, True), ("on", False, True)],
)
def test_the_transcript_is_prepared_where_somebody_has_a_use_for_it(speculation, adaptive, prepared):
    talk = Talk(speculation=speculation, adaptive_silence=adaptive)
    talk.listen()
    talk.voice()
    talk.wait(1)
    talk.quiet()
    talk.wait(0.3)
    assert bool(talk.of(do.PauseUtterance)) == prepared
    talk.wait(0.3)
    assert talk.of(do.CloseUtterance) == [do.CloseUtterance(1)]
    talk.transcript(1, "hello")
    assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]


class TestWhoPays:
    @pytest.mark.parametrize(
        ("session", "operator", "costly", "prepared"),
        [
            ("auto", "auto", False, True),
            ("auto", "auto", True, False),
            ("on", "auto", True, False),
            ("auto", "on", True, False),
            ("on", "on", True, True),
            ("on", "auto", False, True),
            ("off", "on", False, False),
            ("on", "off", False, False),
            ("auto", "off", False, False),
        ],
    )
    def test_it_takes_both_to_spend_money_on_answers_that_may_not_be_wanted(self, session, operator, costly, prepared):
        talk = Talk(speculation=session)
        settings = SettingsPatch(response_mode="llm")
        talk.with_settings(can_ask=True, costly=costly, speculation=operator)
        talk.client(commands.Settings(settings=settings))
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.quiet()
        talk.wait(0.2)
        talk.partial(1, "hello there", whole=True)
        assert [ask.prepared for ask in talk.of(do.Ask)] == ([True] if prepared else [])

    def test_a_turn_of_many_pauses_is_guessed_at_so_often_and_no_more(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        for pause in range(20):
            talk.wait(1)
            talk.quiet()
            talk.wait(0.2)
            talk.partial(1, "hello " * (pause + 1), whole=True)
            talk.voice()
        assert len(talk.of(do.Ask)) == MAX_GUESSES
        talk.wait(1)
        talk.quiet()
        talk.wait(1)
        talk.transcript(1, "hello at last")
        assert [ask.user for ask in talk.of(do.Ask)][-1] == "hello at last"
        assert talk.state.guesses == 0


class TestTheFallback:
    """Another source writes the answer: the user is told with the answer, and not in the middle of their sentence."""

    def prepared(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.quiet()
        talk.wait(0.2)
        talk.partial(1, "hello there", whole=True)
        talk.give(
            inputs.AnswerReplaced(
                at=talk.now, generation=talk.state.generation, code=Code.LANGUAGE_FAILED, message="down"
            )
        )
        assert talk.events(events.Error) == []
        return talk

    def test_told_with_the_answer(self):
        talk = self.prepared()
        talk.wait(0.5)
        talk.transcript(1, "hello there")
        assert [error.message for error in talk.events(events.Error)] == ["down"]

    def test_not_told_of_an_answer_that_never_was(self):
        talk = self.prepared()
        talk.voice()
        assert talk.events(events.Error) == []

    def test_told_at_once_where_the_answer_is_wanted(self):
        talk = Talk()
        talk.type_in("hello")
        talk.give(inputs.AnswerReplaced(at=talk.now, generation=1, code=Code.LANGUAGE_FAILED, message="down"))
        assert [error.message for error in talk.events(events.Error)] == ["down"]


def test_a_reset_counts_what_was_prepared_for_nothing():
    talk = Talk()
    talk.listen()
    talk.voice()
    talk.wait(1)
    talk.quiet()
    talk.wait(0.2)
    talk.partial(1, "hello there", whole=True)
    talk.client(commands.Reset())
    assert len(talk.of(do.Speculated)) == 1

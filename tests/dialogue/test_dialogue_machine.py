"""Every race of turn taking is a named test here; nothing sleeps and nothing is mocked."""

import pytest
from conversations import QUESTION, SECOND, SENTENCES, Talk, answering

from services.contracts import commands, events
from services.contracts.errors import Code
from services.contracts.settings import SettingsPatch
from services.dialogue import actions as do
from services.dialogue import inputs
from services.dialogue.conversation import TYPED_WAITS_SECONDS, hearing, open_text


def states(talk):
    return [event.state for event in talk.events(events.ConversationState)]


def test_a_spoken_turn_from_first_sample_to_listening_again():
    talk = Talk()
    talk.listen()
    talk.say("hello there")
    assert talk.of(do.OpenUtterance) == [do.OpenUtterance(1)]
    assert talk.of(do.PauseUtterance) == [do.PauseUtterance(1)]
    assert talk.of(do.CloseUtterance) == [do.CloseUtterance(1)]
    assert [(ask.generation, ask.user) for ask in talk.of(do.Ask)] == [(1, "hello there")]
    talk.token("Good")
    talk.token(" evening to you. ")
    talk.token("How")
    assert [(one.slot, one.text) for one in talk.of(do.Synthesise)] == [(0, "Good evening to you.")]
    talk.token(" are you?")
    talk.written()
    talk.chunk(0, 1.0)
    talk.spoken(0, wall=0.1)
    talk.chunk(1, 1.0)
    talk.spoken(1, wall=0.1)
    assert talk.of(do.CloseAudio) == [do.CloseAudio(1, 2)]
    talk.drained(2.0)
    assert talk.events(events.AudioStreamStop)[0].samples == 2 * SECOND
    assert talk.history == []
    talk.played(2.0)
    assert talk.history == [("hello there", "Good evening to you. How are you?", False)]
    assert states(talk) == ["listening", "user_speaking", "thinking", "answering", "listening"]
    assert hearing(talk.state)


def test_text_streams_token_by_token():
    talk = Talk()
    talk.type_in("hi")
    for token in ("A", "b", " c"):
        talk.token(token)
    assert [event.text for event in talk.events(events.TextChunk)] == ["A", "b", " c"]
    assert len(talk.events(events.TextStreamStart)) == 1


def test_a_typed_message_takes_the_same_path():
    talk = Talk()
    talk.type_in("  hello ")
    talk.answer("Hi.")
    talk.played(2.0)
    assert talk.history == [("hello", "Hi.", False)]
    assert not talk.state.memory.turns[0].spoken


def test_nothing_understandable_was_said():
    talk = Talk()
    talk.listen()
    talk.say("")
    assert talk.mood == "listening"
    assert talk.of(do.Ask) == []
    assert talk.events(events.SttFinished)[0].text == ""


def test_partials_replace_and_the_final_comes_once():
    talk = Talk()
    talk.listen()
    talk.voice()
    talk.wait(0.5)
    talk.partial(1, "hel")
    talk.partial(1, "hello")
    talk.quiet()
    talk.wait(0.6)
    talk.transcript(1, "hello")
    talk.transcript(1, "hello again")
    talk.partial(1, "late")
    assert [event.text for event in talk.events(events.SttUpdate)] == ["hel", "hello"]
    assert [event.text for event in talk.events(events.SttFinished)] == ["hello"]
    assert len({event.utterance for event in talk.events(events.SttUpdate)}) == 1


class TestTheUserGoesOn:
    """The turn was taken for over, and was not."""

    def test_before_the_transcript_is_there(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.quiet()
        talk.wait(0.55)
        talk.voice()
        talk.wait(0.5)
        talk.transcript(1, "i would like")
        assert talk.of(do.Ask) == []
        talk.quiet()
        talk.wait(0.6)
        talk.transcript(2, "a cup of tea")
        assert [ask.user for ask in talk.of(do.Ask)] == ["i would like a cup of tea"]

    def test_while_the_answer_is_being_written(self):
        talk = Talk()
        talk.listen()
        talk.say("i would like")
        talk.token("What")
        talk.say("a cup of tea")
        assert [ask.user for ask in talk.of(do.Ask)] == ["i would like", "i would like a cup of tea"]
        assert [ask.generation for ask in talk.of(do.Ask)] == [1, 3]
        assert [event.reason for event in talk.events(events.TextStreamStop)] == ["withdrawn"]
        assert talk.history == []
        assert talk.state.number == 1

    def test_with_nothing_but_noise(self):
        """What had been said is answered all the same."""
        talk = Talk()
        talk.listen()
        talk.say("what time is it")
        talk.say("")
        assert [ask.user for ask in talk.of(do.Ask)] == ["what time is it", "what time is it"]

    def test_with_a_click_changes_nothing(self):
        talk = Talk()
        talk.listen()
        talk.say("what time is it")
        talk.voice()
        talk.wait(0.05)
        talk.quiet()
        talk.wait(1)
        assert talk.state.generation == 1
        assert talk.mood == "thinking"

    def test_by_typing_while_the_answer_is_being_written(self):
        talk = Talk()
        talk.type_in("tell me")
        talk.type_in("about the sea")
        assert [ask.user for ask in talk.of(do.Ask)] == ["tell me", "tell me about the sea"]

    def test_by_typing_in_the_middle_of_speech(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.type_in("or better not")
        assert talk.of(do.CloseUtterance) == [], "who speaks is not cut off by what they type"
        talk.wait(1)
        talk.quiet()
        talk.wait(0.6)
        assert talk.of(do.CloseUtterance) == [do.CloseUtterance(1)]
        talk.transcript(1, "tell me about the weather")
        assert [ask.user for ask in talk.of(do.Ask)] == ["tell me about the weather or better not"]

    def test_what_is_typed_waits_only_a_moment_for_the_transcript_of_what_was_said(self):
        talk = Talk()
        talk.listen()
        talk.utter(1)
        talk.wait(0.6)
        talk.wait(1)
        talk.type_in("hello")
        talk.wait(TYPED_WAITS_SECONDS - 0.01)
        assert talk.of(do.Ask) == []
        talk.wait(0.02)
        assert talk.of(do.AbandonUtterance) == [do.AbandonUtterance(1)]
        assert [event.code for event in talk.events(events.Error)] == [Code.RECOGNITION_UNAVAILABLE]
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]
        talk.transcript(1, "too late")
        assert [event.text for event in talk.events(events.SttFinished)] == [""]

    def test_what_was_typed_before_the_end_of_the_speech_waits_from_that_end_on(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.type_in("hello")
        talk.wait(10)
        talk.quiet()
        talk.wait(0.6)
        assert talk.of(do.AbandonUtterance) == []
        talk.wait(TYPED_WAITS_SECONDS)
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]

    def test_speech_alone_waits_for_a_slow_recogniser(self):
        talk = Talk()
        talk.listen()
        talk.utter(1)
        talk.wait(9)
        assert talk.of(do.AbandonUtterance) == []
        talk.transcript(1, "hello")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]


def test_a_timer_that_fires_a_moment_early_is_set_again():
    talk = Talk()
    talk.listen()
    talk.voice()
    talk.wait(1)
    talk.quiet()
    due = talk.state.wake_at
    assert due is not None
    talk.now = due - 0.0005
    talk.clear()
    talk.give(inputs.Woken(at=talk.now))
    assert talk.of(do.WakeAt) == [do.WakeAt(due)]


class TestHalfDuplex:
    def test_audio_during_the_answer_is_nobodys_speech(self):
        talk = Talk()
        talk.listen()
        talk.say("hello")
        talk.answer("Hi.")
        assert not hearing(talk.state)
        talk.voice()
        talk.wait(1)
        talk.quiet()
        talk.wait(1)
        assert talk.of(do.OpenUtterance) == [do.OpenUtterance(1)]
        assert talk.state.answer is not None

    def test_voice_that_begins_just_before_the_answer_sounds_is_forgotten(self):
        talk = Talk()
        talk.listen()
        talk.say("hello")
        talk.token("Hi. ")
        talk.token("You")
        talk.voice()
        talk.chunk(0)
        talk.wait(1)
        assert talk.mood == "answering"
        assert len(talk.of(do.OpenUtterance)) == 1
        assert do.ForgetVoice() in talk.actions

    def test_a_stop_pressed_during_the_answer_is_not_undone_by_its_end(self):
        talk = Talk()
        talk.listen()
        talk.say("hello")
        talk.answer("Hi.")
        talk.client(commands.StopListening())
        talk.played(2.0)
        assert talk.mood == "idle"
        assert not hearing(talk.state)

    def test_stop_answers_what_was_said_so_far(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.client(commands.StopListening())
        assert talk.mood == "thinking"
        talk.transcript(1, "hello")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]


class TestInterruption:
    def answering(self):
        talk = Talk()
        talk.type_in("tell me everything")
        talk.token("One two three four. Five six seven eight. Nine ten.")
        talk.written()
        talk.chunk(0, 2.0)
        talk.spoken(0, wall=1.0)
        talk.chunk(1, 2.0)
        talk.clear()
        return talk

    def test_history_is_cut_to_what_was_heard(self):
        talk = self.answering()
        talk.played(2.0)
        talk.client(commands.Interrupt())
        [(user, assistant, cut)] = talk.history
        assert (user, assistant, cut) == ("tell me everything", "One two three four.", True)
        assert talk.events(events.AudioFlush)[0].generation == 2
        assert talk.of(do.StopAnswer) == [do.StopAnswer(2)]

    def test_in_the_middle_of_a_sentence_it_is_cut_to_the_word(self):
        talk = self.answering()
        talk.played(1.0)
        talk.client(commands.Interrupt())
        [(_, assistant, _)] = talk.history
        assert "One two three four. Five".startswith(assistant)
        assert assistant in ("One", "One two", "One two three")

    def test_before_anything_was_heard(self):
        talk = self.answering()
        talk.client(commands.Interrupt())
        assert talk.history == [("tell me everything", "", True)]

    def test_while_thinking_keeps_the_question(self):
        talk = Talk()
        talk.type_in("hello")
        talk.client(commands.Interrupt())
        assert talk.history == [("hello", "", True)]
        assert talk.mood == "idle"

    def test_late_work_of_the_interrupted_answer_changes_nothing(self):
        talk = self.answering()
        talk.client(commands.Interrupt())
        talk.clear()
        before = talk.state
        for event in (
            inputs.Token(at=talk.now, generation=1, text=" late"),
            inputs.AnswerWritten(at=talk.now, generation=1),
            inputs.SpeechChunk(at=talk.now, generation=1, slot=1, samples=100),
            inputs.SpeechDone(at=talk.now, generation=1, slot=1, seconds=1),
            inputs.SpeechFailed(at=talk.now, generation=1, slot=2, message="x"),
            inputs.AudioSent(at=talk.now, generation=1),
            inputs.AudioDrained(at=talk.now, generation=1, last_sequence=3, samples=5),
            inputs.AnswerFailed(at=talk.now, generation=1, code=Code.LANGUAGE_FAILED, message="x"),
        ):
            talk.give(event)
        talk.client(commands.Played(generation=1, samples=10**6))
        talk.client(commands.PlaybackStarted(generation=1, received_ms=1, started_ms=2))
        assert talk.state == before
        assert talk.actions == []

    def test_an_acknowledgement_that_overtakes_what_was_sent_invents_no_words(self):
        talk = self.answering()
        talk.played(3600.0)
        talk.client(commands.Interrupt())
        [(_, assistant, _)] = talk.history
        assert "Nine" not in assistant

    def test_acknowledgements_out_of_order_never_unhear(self):
        talk = self.answering()
        talk.played(2.0)
        talk.played(0.5)
        talk.client(commands.Interrupt())
        assert talk.history[0][1] == "One two three four."

    def test_by_a_typed_message(self):
        talk = self.answering()
        talk.played(2.0)
        talk.type_in("wait")
        assert talk.history == [("tell me everything", "One two three four.", True)]
        assert [ask.user for ask in talk.of(do.Ask)] == ["wait"]
        assert talk.events(events.AudioFlush) != []

    def test_twice_is_once(self):
        talk = self.answering()
        talk.client(commands.Interrupt())
        talk.clear()
        talk.client(commands.Interrupt())
        assert talk.actions == []

    def test_a_listener_that_acknowledges_nothing_for_long_is_not_listening(self):
        talk = self.answering()
        talk.wait(19)
        assert talk.state.answer is not None
        talk.wait(2)
        assert talk.state.answer is None
        assert talk.history == [("tell me everything", "", True)]

    def test_a_model_that_takes_its_time_is_not_a_listener_who_left(self):
        talk = Talk()
        talk.type_in("hello")
        talk.token("This is the first sentence of it. And")
        talk.chunk(0, 1.0)
        talk.spoken(0)
        talk.played(1.0)
        talk.wait(25)
        assert talk.state.answer is not None
        talk.token(" here is the second sentence of it.")
        talk.written()
        talk.chunk(1, 1.0)
        talk.wait(15)
        assert talk.state.answer is not None
        talk.wait(6)
        assert talk.state.answer is None


class TestBounds:
    def test_what_waits_for_an_answer_is_bounded(self):
        talk = Talk()
        for _ in range(10):
            talk.type_in("x" * 3000)
        assert len(open_text(talk.state)) <= 8000
        assert {error.code for error in talk.events(events.Error)} == {Code.TEXT_TOO_LONG}
        talk.answer("Hi.")
        talk.type_in("y" * 3000)
        assert talk.of(do.Ask)[-1].user == "y" * 3000

    def test_history_is_bounded_by_its_length_too(self):
        talk = Talk()
        for n in range(40):
            talk.type_in(f"{n} " + "x" * 3900)
            talk.token("ok")
            talk.written()
            talk.speech_failed(0)
        assert sum(len(turn.user) for turn in talk.state.memory.turns) <= 100_000
        assert talk.state.memory.turns[-1].user.startswith("39 ")

    def test_what_was_said_and_waits_is_owed_too(self):
        talk = Talk()
        talk.listen()
        talk.say("i would like")
        talk.voice()
        talk.wait(1)
        assert talk.state.answer is None
        assert open_text(talk.state) == "i would like"

    def test_speech_that_goes_on_after_a_forced_end_is_another_turn(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(51)
        assert talk.of(do.CutUtterance) == [do.CutUtterance(1)]
        assert talk.of(do.CloseUtterance) == []
        talk.give(inputs.VoiceStarted(at=talk.now - 1.5, client_ms=0.0))  # the voice goes on from where it was cut
        talk.wait(1)
        assert talk.of(do.OpenUtterance) == [do.OpenUtterance(1), do.OpenUtterance(2)]


class TestCancelAndReset:
    def test_cancel_drops_what_is_being_said(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.client(commands.Cancel())
        assert do.DropUtterances() in talk.actions
        talk.transcript(1, "hello")
        assert talk.of(do.Ask) == []
        assert talk.mood == "listening"

    def test_cancel_drops_what_is_being_thought(self):
        talk = Talk()
        talk.type_in("hello")
        talk.client(commands.Cancel())
        assert talk.history == []
        assert talk.mood == "idle"

    def test_cancel_of_a_sounding_answer_is_an_interruption(self):
        talk = Talk()
        talk.type_in("hello")
        talk.answer("Hi there.")
        talk.client(commands.Cancel())
        assert talk.history == [("hello", "", True)]

    def test_reset_forgets_everything(self):
        talk = Talk()
        talk.type_in("hello")
        talk.answer("Hi.")
        talk.played(2.0)
        talk.type_in("again")
        talk.client(commands.Reset())
        assert talk.history == []
        assert talk.state.answer is None
        assert talk.events(events.ResetDone)[0].generation == talk.state.generation
        talk.type_in("new")
        assert talk.state.generation > talk.events(events.ResetDone)[0].generation


class TestFailures:
    def test_a_failed_voice_leaves_the_text(self):
        talk = Talk()
        talk.type_in("hello")
        talk.token("Good day to you. And how are you?")
        talk.written()
        for slot in (0, 1):
            talk.speech_failed(slot)
        assert talk.history == [("hello", "Good day to you. And how are you?", False)]
        errors = talk.events(events.Error)
        assert [error.code for error in errors] == [Code.SYNTHESIS_UNAVAILABLE]
        assert talk.events(events.AudioStreamStart) == []

    def test_a_voice_that_fails_in_mid_answer_never_stalls_it(self):
        talk = Talk()
        talk.type_in("hello")
        talk.token("Good day to you, my friend. And how are you today?")
        talk.written()
        talk.chunk(0, 1.0)
        talk.spoken(0)
        talk.speech_failed(1)
        talk.drained(1.0)
        talk.played(1.0)
        assert talk.history == [("hello", "Good day to you, my friend. And how are you today?", False)]

    def test_recognition_fails(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.quiet()
        talk.wait(0.6)
        talk.give(inputs.RecognitionFailed(at=talk.now, utterance=1, message="gone"))
        assert talk.mood == "listening"
        assert talk.events(events.Error)[0].code == Code.RECOGNITION_UNAVAILABLE

    def test_recognition_fails_in_the_middle_of_speech_and_the_ear_starts_over(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.RecognitionFailed(at=talk.now, utterance=1, message="gone"))
        assert talk.mood == "listening"
        talk.say("hello")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]

    def test_the_language_model_fails_before_the_first_token(self):
        talk = Talk()
        talk.type_in("hello")
        talk.give(inputs.AnswerFailed(at=talk.now, generation=1, code=Code.LANGUAGE_TIMEOUT, message="slow"))
        assert talk.mood == "idle"
        assert talk.history == [("hello", "", False)]
        assert talk.events(events.Error)[0].recoverable

    def test_the_language_model_fails_in_mid_answer_and_what_is_there_is_spoken(self):
        talk = Talk()
        talk.type_in("hello")
        talk.token("It is nice to meet")
        talk.give(inputs.AnswerFailed(at=talk.now, generation=1, code=Code.LANGUAGE_FAILED, message="broke"))
        assert [one.text for one in talk.of(do.Synthesise)] == ["It is nice to meet"]
        assert [event.reason for event in talk.events(events.TextStreamStop)] == ["failed"]
        talk.chunk(0)
        talk.spoken(0)
        talk.drained(1.0)
        talk.played(1.0)
        assert talk.history == [("hello", "It is nice to meet", True)]
        assert [over.outcome for over in talk.of(do.TurnOver)] == ["failed"]

    def test_an_answer_with_nothing_to_say_aloud_is_read(self):
        talk = Talk()
        talk.type_in("hello")
        talk.token("😀")
        talk.written()
        assert talk.history == [("hello", "😀", False)]
        assert talk.of(do.SkipSlot) == [do.SkipSlot(1, 0)]


class TestSettings:
    def test_a_change_is_confirmed_and_kept(self):
        talk = Talk()
        talk.client(commands.Settings(settings=SettingsPatch(silence_ms=300, character="max")))
        assert talk.events(events.SettingsChanged)[0].settings.silence_ms == 300
        talk.type_in("hello")
        assert talk.of(do.Ask)[0].character.id == "max"

    @pytest.mark.parametrize(
        "patch", [SettingsPatch(character="nobody"), SettingsPatch(response_mode="llm")], ids=["character", "llm"]
    )
    def test_what_cannot_be_is_refused_by_name(self, patch):
        talk = Talk()
        before = talk.state
        talk.client(commands.Settings(settings=patch))
        [error] = talk.events(events.Error)
        assert error.code == Code.INVALID_SETTING
        assert talk.state == before

    def test_silence_holds_for_the_turn_that_is_being_said(self):
        talk = Talk(silence_ms=1000)
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.quiet()
        talk.wait(0.9)
        assert talk.of(do.CloseUtterance) == []
        talk.wait(0.2)
        assert talk.of(do.CloseUtterance) == [do.CloseUtterance(1)]


class TestConnection:
    def test_lost_in_the_middle_of_speech_answers_what_was_said(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.transcript(1, "hello")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]

    def test_words_cut_off_by_a_loss_are_not_joined_to_what_is_typed_later(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.transcript(1, "the uh")
        talk.token("Yes?")
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=False))
        talk.type_in("hello")
        assert [ask.user for ask in talk.of(do.Ask)] == ["the uh", "hello"]
        talk.answer("Hi.")
        talk.played(2.0)
        assert talk.history == [("the uh", "", True), ("hello", "Hi.", False)]
        assert [turn.spoken for turn in talk.state.memory.turns] == [True, False]
        assert [event.generation for event in talk.events(events.TurnCommitted)] == [3, 4]

    def test_nor_when_their_transcript_comes_after_it(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=False))
        talk.type_in("hello")
        talk.transcript(1, "the uh")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]
        assert talk.history == [("the uh", "", True)]

    def test_nor_to_what_was_typed_before_them(self):
        talk = Talk()
        talk.listen()
        talk.type_in("hello")
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.transcript(1, "the uh")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello", "hello"]
        assert talk.state.answer is not None
        assert not talk.state.answer.ledger.spoken
        assert talk.state.answer.ledger.client_end_ms == 100_000.0

    def test_nor_when_they_had_ended_before_the_loss(self):
        talk = Talk()
        talk.listen()
        talk.type_in("hello")
        talk.voice()
        talk.wait(1)
        talk.quiet()
        talk.wait(0.6)
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.transcript(1, "the uh")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello", "hello"]
        assert talk.state.answer is not None
        assert not talk.state.answer.ledger.spoken

    def test_speech_goes_on_over_another_connection(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.transcript(1, "i would like")
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=False))
        talk.say("a cup of tea")
        assert [ask.user for ask in talk.of(do.Ask)] == ["i would like", "i would like a cup of tea"]

    def test_a_click_at_the_moment_of_the_loss_is_no_speech(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.give(inputs.ConnectionLost(at=talk.now))
        assert talk.of(do.OpenUtterance) == []
        assert talk.mood == "listening"

    def test_a_loss_that_nobody_told_ends_the_speech_too(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=False))
        assert talk.of(do.CloseUtterance) == [do.CloseUtterance(1)]
        talk.transcript(1, "hello")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]

    def test_a_page_loaded_anew_stops_the_answer_it_no_longer_plays(self):
        talk = Talk()
        talk.type_in("hello")
        talk.answer("Hi there.")
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=True))
        assert talk.state.answer is None

    @pytest.mark.parametrize("lost", [True, False])
    @pytest.mark.parametrize("transcribed", ["before", "after"])
    def test_half_a_sentence_said_to_a_page_loaded_anew_is_kept_and_not_answered(self, lost, transcribed):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        if lost:
            talk.give(inputs.ConnectionLost(at=talk.now))
        if lost and transcribed == "before":
            talk.transcript(1, "i would like to")
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=True))
        talk.transcript(1, "i would like to")
        assert talk.history == [("i would like to", "", True)]
        assert isinstance(talk.of(do.Checkpoint)[-1], do.Checkpoint)
        talk.clear()
        talk.wait(60)
        assert (talk.of(do.Ask), talk.mood) == ([], "idle")
        talk.listen()
        talk.say("have a cup of tea")
        assert [ask.user for ask in talk.of(do.Ask)] == ["have a cup of tea"]

    @pytest.mark.parametrize("typed", ["before", "after"])
    def test_it_stands_before_what_is_typed_on_the_new_page(self, typed):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=True))
        if typed == "before":
            talk.type_in("hello")
            assert talk.of(do.Ask) == []
        talk.transcript(1, "the uh")
        if typed == "after":
            talk.type_in("hello")
        assert [ask.user for ask in talk.of(do.Ask)] == ["hello"]
        talk.answer("Hi.")
        talk.played(2.0)
        assert talk.history == [("the uh", "", True), ("hello", "Hi.", False)]

    def test_and_before_what_is_said_to_it_while_its_transcript_is_made(self):
        talk = Talk(speculation="on")
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=True))
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.transcript(1, "the uh")
        talk.quiet()
        talk.wait(0.25)
        talk.partial(2, "what time is it", whole=True)
        talk.wait(0.6)
        talk.transcript(2, "what time is it")
        assert {ask.user for ask in talk.of(do.Ask)} == {"what time is it"}
        assert talk.history == [("the uh", "", True)]

    def test_half_a_sentence_that_nobody_understood_leaves_nothing(self):
        talk = Talk()
        talk.listen()
        talk.voice()
        talk.wait(1)
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=True))
        talk.no_transcript(1)
        assert (talk.history, talk.mood, talk.state.turn) == ([], "idle", ())

    def test_an_answer_that_a_new_page_cut_keeps_what_was_heard_and_measured(self):
        talk = answering(heard=0)
        started = commands.PlaybackStarted(generation=talk.state.generation, received_ms=103_000, started_ms=103_020)
        talk.client(started)
        talk.wait(2)
        talk.played(2.0)
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=True))
        assert talk.history == [(QUESTION, SENTENCES[0], True)]
        [turn] = talk.state.memory.turns
        assert turn.first_audio_ms
        assert sum(part.ms for part in turn.parts) == pytest.approx(turn.first_audio_ms)

    def test_a_connection_that_comes_back_goes_on(self):
        talk = Talk()
        talk.type_in("hello")
        talk.answer("Hi there.")
        talk.wait(15)
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=False))
        talk.wait(15)
        assert talk.state.answer is not None
        talk.played(2.0)
        assert talk.history == [("hello", "Hi there.", False)]

    def test_a_worker_that_takes_over_owes_the_answer(self):
        talk = Talk()
        talk.type_in("hello")
        talk.answer("Hi.")
        assert open_text(talk.state) == "hello"
        talk.played(2.0)
        assert open_text(talk.state) == ""
        other = Talk()
        other.give(inputs.Restored(at=other.now, user="hello"))
        assert [ask.user for ask in other.of(do.Ask)] == ["hello"]


class TestPacing:
    SENTENCES = "The first sentence is this one. The second sentence is this one. The third sentence is this one. "

    def test_at_most_three_at_once_while_synthesis_is_slow(self):
        talk = Talk()
        talk.type_in("hello")
        talk.token(self.SENTENCES * 2)
        talk.written()
        assert len(talk.of(do.Synthesise)) == 3

    def test_one_after_the_other_where_synthesis_is_well_ahead(self):
        talk = Talk().with_settings(rate=100.0)
        talk.type_in("hello")
        talk.token(self.SENTENCES)
        talk.written()
        assert [one.slot for one in talk.of(do.Synthesise)] == [0]
        talk.chunk(0, 1.0)
        talk.spoken(0, wall=0.01)
        assert [one.slot for one in talk.of(do.Synthesise)] == [0, 1]

    def test_text_is_held_while_much_audio_waits(self):
        talk = Talk().with_settings(rate=100.0)
        talk.type_in("hello")
        talk.token(self.SENTENCES * 2)
        talk.written()
        talk.chunk(0, 6.0)
        talk.spoken(0, wall=0.01)
        assert [one.slot for one in talk.of(do.Synthesise)] == [0]
        talk.played(1.5)
        assert [one.slot for one in talk.of(do.Synthesise)] == [0, 1]

    def test_audio_starts_with_the_first_slot_not_with_the_first_chunk(self):
        talk = Talk()
        talk.type_in("hello")
        talk.token(self.SENTENCES)
        talk.written()
        talk.chunk(1)
        assert talk.events(events.AudioStreamStart) == []
        talk.chunk(0)
        assert len(talk.events(events.AudioStreamStart)) == 1

    def test_a_failed_first_slot_lets_the_second_begin(self):
        talk = Talk()
        talk.type_in("hello")
        talk.token(self.SENTENCES)
        talk.written()
        talk.chunk(1)
        talk.speech_failed(0)
        assert len(talk.events(events.AudioStreamStart)) == 1


def test_a_turns_time_is_measured_once_and_kept_with_the_turn():
    talk = Talk()
    talk.listen()
    talk.say("hello")
    talk.answer("Hi.")
    assert talk.state.answer is not None
    said = talk.state.answer.ledger.client_end_ms
    for _ in range(2):
        talk.client(commands.PlaybackStarted(generation=1, received_ms=said + 700, started_ms=said + 750))
    talk.played(2.0)
    [measured] = talk.of(do.Measure)
    assert measured.metrics.total_ms == pytest.approx(750)
    turn = talk.state.memory.turns[0]
    assert turn.first_audio_ms == pytest.approx(750)
    assert sum(part.ms for part in turn.parts) == pytest.approx(750)
    assert sum(part.ms for part in measured.metrics.parts) == pytest.approx(750)


def test_history_keeps_a_hundred_turns():
    talk = Talk()
    for n in range(105):
        talk.type_in(f"message {n}")
        talk.token("ok")
        talk.give(inputs.AnswerWritten(at=talk.now, generation=talk.state.generation))
        talk.speech_failed(0)
    assert len(talk.state.memory.turns) == 100
    assert talk.state.memory.turns[0].user == "message 5"
    assert talk.state.memory.turns[-1].number == 105

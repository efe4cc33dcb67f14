"""Full duplex: a voice over the answer pauses it; what it says or how long it lasts decides what follows."""

import pytest
from conversations import QUESTION, SECOND, SENTENCES, TEXT, Talk, answering, speak

from services.contracts import commands, events
from services.contracts.errors import Code
from services.contracts.settings import SettingsPatch
from services.dialogue import actions as do
from services.dialogue import barge_in, inputs
from services.dialogue.barge_in import ADAPTING_S, ONSET_S, SETTLING_S, Verdict, backchannel, judge, onset_s
from services.dialogue.conversation import hearing
from services.dialogue.endpointing import Phase


def paused(**settings):
    """A voice of 0.3 s over the answer has paused it, and has itself paused."""
    talk = answering(**settings)
    talk.utter(0.3)
    talk.wait(0.25)
    assert [kind.__name__ for kind in verdicts(talk)] == ["AudioPause"]
    return talk


def verdicts(talk):
    kinds = (events.AudioPause, events.AudioResume, events.AudioFlush)
    return [type(event) for event in talk.sent if isinstance(event, kinds)]


PAUSE, RESUME, FLUSH = events.AudioPause, events.AudioResume, events.AudioFlush


def asked(talk):
    return [ask.user for ask in talk.of(do.Ask)]


JUDGEMENTS = {
    # text, seconds of voice, complete, reply: verdict
    "silence so far": ("", 0.3, False, False, Verdict.UNCLEAR),
    "silence": ("", 0.3, True, False, Verdict.NOTHING),
    "only marks": ("...", 0.5, True, False, Verdict.NOTHING),
    "mm-hm so far": ("mm-hm", 0.3, False, False, Verdict.UNCLEAR),
    "mm-hm": ("mm-hm", 0.3, True, False, Verdict.NOTHING),
    "Mm-hm!": ("Mm-hm!", 0.3, True, False, Verdict.NOTHING),
    "yeah okay right": ("Yeah. Okay, right.", 0.9, True, False, Verdict.NOTHING),
    "four of them": ("yeah yeah yeah yeah", 0.9, True, False, Verdict.SPEECH),
    "I see": ("I see.", 0.4, True, False, Verdict.NOTHING),
    "I see what you mean": ("I see what you mean", 0.8, False, False, Verdict.SPEECH),
    "yes but": ("yes but", 0.5, False, False, Verdict.SPEECH),
    "wait so far": ("wait", 0.3, False, False, Verdict.UNCLEAR),
    "wait": ("wait", 0.3, True, False, Verdict.SPEECH),
    "no": ("No.", 0.25, True, False, Verdict.SPEECH),
    "stop it so far": ("stop it", 0.3, False, False, Verdict.SPEECH),
    "a word out of a click": ("the", 0.15, True, False, Verdict.NOTHING),
    "words out of a click": ("the end of", 0.15, True, False, Verdict.NOTHING),
    "words out of a click so far": ("the end", 0.15, False, False, Verdict.UNCLEAR),
    "yes to an answer that is over": ("yes", 0.3, True, True, Verdict.SPEECH),
    "yes so far": ("yes", 0.3, False, True, Verdict.UNCLEAR),
    "nothing to an answer that is over": ("", 0.3, True, True, Verdict.NOTHING),
    "ja": ("ja, genau", 0.4, True, False, Verdict.NOTHING),
    "oui": ("Oui.", 0.4, True, False, Verdict.NOTHING),
    "nein": ("nein", 0.4, True, False, Verdict.SPEECH),
    "a hum that is heard as syllables": ("im im", 0.4, True, False, Verdict.NOTHING),
    "as which a word may begin": ("im", 0.4, True, False, Verdict.SPEECH),
    "a hum to an answer that is over": ("im im", 0.4, True, True, Verdict.SPEECH),
}


@pytest.mark.parametrize("name", JUDGEMENTS)
def test_what_a_voice_over_the_answer_is(name):
    text, voiced_s, complete, reply, verdict = JUDGEMENTS[name]
    assert judge(text, voiced_s, complete, reply) is verdict


@pytest.mark.parametrize(
    ("text", "listens"),
    [
        ("", True), ("mhmm", True), ("Mmhmm.", True), ("hmmmm", True), ("hm mm mhm", True), ("uhhuh", True),
        ("him", False), ("home", False), ("uh-huh", True), ("Uh huh.", True), ("MM-HM", True), ("of course", True),
        ("got it", True), ("im im", True), ("Im, im.", True), ("em em em", True), ("im im im im", False),
        ("im", False), ("I'm I'm", False), ("im em", False), ("no no", False), ("im im garten", False),
        ("oh really", True), ("oh, wow, nice", True), ("claro", False), ("no", False), ("what", False),
        ("okay stop", False), ("hm hm hm hm", False), ("I see, I see", False), ("12", False),
    ],
)  # fmt: skip
def test_words_of_a_listener(text, listens):
    assert backchannel(text) is listens


def test_each_false_alarm_doubles_the_onset_up_to_a_limit():
    assert [round(onset_s(alarms), 2) for alarms in range(6)] == [0.12, 0.24, 0.48, 0.6, 0.6, 0.6]
    assert onset_s(50) == barge_in.LONGEST_ONSET_S


class TestPausing:
    def test_a_voice_pauses_the_answer_after_its_onset_and_in_the_same_step(self):
        talk = answering()
        began = talk.now
        talk.voice()
        talk.wait(barge_in.ONSET_S - 0.01)
        assert verdicts(talk) == []
        assert talk.mood == "answering"
        talk.wait(0.02)
        assert verdicts(talk) == [PAUSE]
        assert talk.events(events.AudioPause)[0].generation == talk.state.generation
        assert talk.of(do.OpenUtterance) == [do.OpenUtterance(2)]
        assert talk.mood == "user_speaking"
        assert talk.now - began < 0.14

    def test_a_click_does_not(self):
        talk = answering()
        talk.utter(0.1)
        talk.wait(1)
        assert verdicts(talk) == []
        assert talk.of(do.OpenUtterance) == []
        assert talk.state.ear.phase is Phase.QUIET

    def test_it_is_paused_once(self):
        talk = answering()
        talk.utter(0.3)
        talk.wait(0.1)
        talk.utter(0.2)
        talk.wait(0.25)
        assert verdicts(talk) == [PAUSE]

    def test_nobody_is_taken_for_gone_while_it_is_paused(self):
        talk = answering()
        talk.utter(0.3)
        talk.wait(0.6)
        talk.wait(60)
        assert talk.state.answer is not None
        assert verdicts(talk) == [PAUSE]
        talk.transcript(2, "")
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.wait(19)
        assert talk.state.answer is not None
        talk.wait(2)
        assert talk.state.answer is None

    def test_without_barge_in_nothing_of_it(self):
        talk = Talk(speculation="off")
        talk.listen()
        talk.say(QUESTION)
        speak(talk)
        talk.wait(2)
        talk.clear()
        talk.utter(2)
        talk.wait(2)
        talk.played(6)
        assert verdicts(talk) == []
        assert talk.of(do.OpenUtterance) == []
        assert talk.history == [(QUESTION, TEXT, False)]
        assert talk.mood == "listening"


class TestTakenUpAgain:
    @pytest.mark.parametrize("text", ["", "mm-hm", "Okay, right."])
    def test_as_soon_as_the_voice_turns_out_to_be_nothing(self, text):
        talk = paused()
        talk.partial(2, text, whole=True)
        assert verdicts(talk) == [PAUSE, RESUME]
        assert talk.mood == "answering"
        talk.wait(1)
        talk.transcript(2, text)
        talk.played(6)
        assert verdicts(talk) == [PAUSE, RESUME]
        assert asked(talk) == []
        assert [event.text for event in talk.events(events.SttFinished)] == [""]
        assert talk.history == [(QUESTION, TEXT, False)]
        assert talk.state.turn == ()
        assert talk.mood == "listening"

    def test_when_only_the_final_transcript_says_so(self):
        talk = paused()
        talk.wait(0.5)
        assert talk.of(do.CloseUtterance) == [do.CloseUtterance(2)]
        assert verdicts(talk) == [PAUSE]
        talk.transcript(2, "uh-huh")
        assert verdicts(talk) == [PAUSE, RESUME]
        assert talk.state.turn == ()

    def test_when_recognition_fails(self):
        talk = paused()
        talk.wait(0.5)
        talk.no_transcript(2)
        assert verdicts(talk) == [PAUSE, RESUME]
        assert [error.code for error in talk.events(events.Error)] == [Code.RECOGNITION_UNAVAILABLE]
        talk.wait(SETTLING_S)
        talk.utter(0.3)
        assert talk.of(do.OpenUtterance)[-1] == do.OpenUtterance(3)

    def test_when_recognition_fails_in_the_middle_of_the_voice(self):
        talk = answering()
        talk.voice()
        talk.wait(0.3)
        talk.no_transcript(2)
        assert verdicts(talk) == [PAUSE, RESUME]
        assert talk.state.ear.phase is Phase.QUIET
        assert do.ForgetVoice() in talk.actions
        talk.wait(SETTLING_S)
        talk.utter(0.3)
        assert talk.of(do.OpenUtterance)[-1] == do.OpenUtterance(3)

    def test_a_word_that_recognition_finds_in_a_cough_is_neither_believed_nor_answered(self):
        talk = answering()
        talk.utter(0.15)
        talk.wait(0.6)
        talk.transcript(2, "the")
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.played(6)
        assert asked(talk) == []
        assert talk.state.turn == ()
        assert talk.mood == "listening"

    def test_the_next_voice_must_last_twice_as_long(self):
        talk = paused()
        talk.partial(2, "", whole=True)
        talk.wait(1)
        talk.transcript(2, "")
        talk.clear()
        talk.utter(0.2)
        talk.wait(1)
        assert verdicts(talk) == []
        talk.voice()
        talk.wait(0.25)
        assert verdicts(talk) == [PAUSE]

    def test_but_not_over_the_next_answer(self):
        talk = paused()
        talk.partial(2, "", whole=True)
        talk.wait(1)
        talk.transcript(2, "")
        talk.played(6)
        talk.say("and now")
        speak(talk)
        talk.wait(1)
        talk.clear()
        talk.voice()
        talk.wait(0.13)
        assert verdicts(talk) == [PAUSE]

    def test_a_second_mm_hm_soon_after_the_first_is_judged_by_itself(self):
        """The first and the silence between them are no part of a voice that goes on for long."""
        talk = paused()
        talk.partial(2, "mm-hm", whole=True)
        talk.utter(0.3)
        talk.wait(0.25)
        assert FLUSH not in verdicts(talk)
        for utterance in range(2, talk.state.utterances + 1):
            talk.partial(utterance, "mm-hm", whole=True)
        talk.wait(1)
        for utterance in range(2, talk.state.utterances + 1):
            talk.transcript(utterance, "mm-hm")
        assert FLUSH not in verdicts(talk)
        assert talk.mood == "answering"
        assert talk.state.turn == ()

    def test_nor_does_the_silence_count_while_the_first_is_not_recognised_yet(self):
        talk = paused()
        talk.utter(0.25)
        talk.wait(0.25)
        assert verdicts(talk) == [PAUSE]

    def test_a_click_soon_after_is_still_a_click(self):
        talk = paused()
        talk.partial(2, "mm-hm", whole=True)
        talk.wait(0.1)
        talk.utter(0.05)
        talk.wait(1)
        assert verdicts(talk) == [PAUSE, RESUME]


class TestStopped:
    def test_by_words_while_they_are_being_said(self):
        talk = answering()
        talk.voice()
        talk.wait(0.4)
        talk.partial(2, "wait")
        assert verdicts(talk) == [PAUSE]
        talk.partial(2, "wait a moment")
        assert verdicts(talk) == [PAUSE, FLUSH]
        assert talk.history == [(QUESTION, SENTENCES[0], True)]
        assert talk.of(do.StopAnswer) == [do.StopAnswer(2)]
        assert talk.mood == "user_speaking"
        talk.wait(1)
        talk.quiet()
        talk.wait(0.6)
        talk.transcript(2, "wait a moment please")
        assert asked(talk) == ["wait a moment please"]

    def test_by_one_word_once_it_is_all(self):
        talk = paused()
        talk.partial(2, "stop", whole=True)
        assert verdicts(talk) == [PAUSE, FLUSH]
        talk.wait(0.6)
        talk.transcript(2, "stop")
        assert asked(talk) == ["stop"]
        assert talk.history == [(QUESTION, SENTENCES[0], True)]

    def test_history_is_cut_to_what_was_played_when_the_pause_was_told(self):
        talk = paused()
        talk.played(3.0)
        talk.partial(2, "hold on", whole=True)
        [(_, heard, cut)] = talk.history
        assert cut
        assert heard.startswith(SENTENCES[0])
        assert TEXT.startswith(heard)
        assert SENTENCES[1] not in heard

    @pytest.mark.parametrize("offset", [n * 0.0317 for n in range(40)])
    def test_by_a_voice_that_goes_on_whatever_it_says(self, offset):
        talk = answering()
        talk.wait(offset)
        began = talk.now
        talk.voice()
        talk.wait(barge_in.SPEECH_S - 0.01)
        talk.partial(2, "mm")
        assert verdicts(talk) == [PAUSE]
        due = talk.state.wake_at
        assert due is not None
        talk.now = due
        talk.give(inputs.Woken(at=due))
        assert verdicts(talk) == [PAUSE, FLUSH], "woken at the time asked for, and nothing done"
        assert talk.now - began == pytest.approx(barge_in.SPEECH_S)

    def test_words_that_stopped_it_are_answered_even_if_they_are_a_listeners(self):
        """An answer was stopped for them; silence would be the worst reply."""
        talk = answering()
        talk.utter(0.8)
        assert verdicts(talk) == [PAUSE, FLUSH]
        talk.wait(0.6)
        talk.transcript(2, "okay right")
        assert asked(talk) == ["okay right"]

    def test_a_long_noise_stops_it_and_is_no_turn(self):
        talk = answering()
        talk.utter(0.8)
        talk.wait(0.6)
        talk.transcript(2, "")
        assert asked(talk) == []
        assert talk.mood == "listening"

    def test_by_the_final_transcript_after_it_was_taken_up_again(self):
        talk = paused()
        talk.partial(2, "hm", whole=True)
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.wait(0.6)
        talk.transcript(2, "hang up")
        assert verdicts(talk) == [PAUSE, RESUME, FLUSH]
        assert asked(talk) == ["hang up"]

    def test_before_anything_was_heard_it_never_happened_and_the_turn_goes_on(self):
        talk = answering(heard=0)
        talk.wait(1.1)
        talk.voice()
        talk.wait(0.5)
        talk.partial(2, "about the sea")
        assert verdicts(talk) == [PAUSE, FLUSH]
        assert [event.reason for event in talk.events(events.TextStreamStop)] == ["withdrawn"]
        talk.quiet()
        talk.wait(0.6)
        talk.transcript(2, "about the sea please")
        assert asked(talk) == [f"{QUESTION} about the sea please"]
        assert talk.history == []
        assert talk.state.number == 1

    def test_before_anything_was_heard_by_a_noise_it_is_answered_again(self):
        talk = answering(heard=0)
        talk.wait(1.1)
        talk.utter(0.8)
        talk.wait(0.6)
        talk.transcript(2, "")
        assert asked(talk) == [QUESTION]

    def test_a_reply_to_its_last_words_is_one(self):
        talk = answering(heard=5.5)
        talk.utter(0.3)
        talk.wait(0.25)
        talk.partial(2, "yes", whole=True)
        assert verdicts(talk) == [PAUSE, FLUSH]
        talk.wait(0.6)
        talk.transcript(2, "yes")
        assert asked(talk) == ["yes"]

    def test_a_very_short_reply_is_answered_when_the_answer_is_over(self):
        talk = answering(heard=5.5)
        talk.utter(0.15)
        talk.wait(0.6)
        talk.transcript(2, "yes")
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.played(6.0)
        assert asked(talk) == ["yes"]
        assert [turn[0] for turn in talk.history] == [QUESTION]

    def test_a_second_voice_while_the_first_is_being_recognised(self):
        talk = paused()
        talk.wait(0.6)
        talk.voice()
        talk.wait(0.3)
        talk.transcript(2, "mm")
        assert verdicts(talk) == [PAUSE]
        talk.partial(3, "but what about")
        assert verdicts(talk) == [PAUSE, FLUSH]
        talk.quiet()
        talk.wait(1.5)
        talk.transcript(3, "but what about me")
        assert asked(talk) == ["but what about me"]

    def test_the_first_transcript_after_the_second(self):
        talk = paused()
        talk.wait(0.6)
        talk.utter(0.3)
        talk.wait(0.6)
        talk.transcript(3, "")
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.transcript(2, "stop")
        assert verdicts(talk) == [PAUSE, RESUME, FLUSH]
        assert asked(talk) == ["stop"]

    def test_a_transcript_is_weighed_by_its_own_voice_not_by_the_next(self):
        talk = answering()
        talk.utter(0.15)
        talk.wait(0.6)
        talk.voice()
        talk.wait(0.05)
        talk.transcript(2, "the the")
        assert FLUSH not in verdicts(talk)


class TestFirstMoments:
    """The client's echo canceller has not heard this loudspeaker yet, or not this answer."""

    def test_of_the_first_answer(self):
        talk = answering(heard=0)
        talk.utter(0.8)
        talk.wait(0.5)
        assert verdicts(talk) == []
        assert talk.of(do.OpenUtterance) == []

    def test_a_voice_that_outlasts_them_counts_from_their_end(self):
        talk = answering(heard=0)
        talk.wait(0.2)
        talk.voice()
        talk.wait(barge_in.ADAPTING_S - 0.2 + barge_in.ONSET_S - 0.01)
        assert verdicts(talk) == []
        talk.wait(0.02)
        assert verdicts(talk) == [PAUSE]
        talk.wait(barge_in.SPEECH_S - barge_in.ONSET_S - 0.03)
        assert verdicts(talk) == [PAUSE]
        talk.wait(0.03)
        assert verdicts(talk) == [PAUSE, FLUSH]

    def test_of_later_answers_are_shorter(self):
        talk = answering()
        talk.played(6.0)
        talk.say("and then")
        speak(talk)
        talk.clear()
        talk.utter(SETTLING_S)
        talk.wait(0.3)
        assert verdicts(talk) == []
        talk.voice()
        talk.wait(0.13)
        assert verdicts(talk) == [PAUSE]

    def test_begin_anew_with_another_start_of_listening(self):
        talk = answering()
        talk.played(6.0)
        talk.client(commands.StopListening())
        talk.listen()
        talk.say("and then")
        speak(talk)
        talk.clear()
        talk.utter(0.8)
        talk.wait(0.5)
        assert verdicts(talk) == []

    def test_an_echo_that_is_stopped_in_them_says_nothing(self):
        """Pressing stop ends the voice there and then; its words are the answer's own."""
        talk = answering(heard=0)
        talk.voice()
        talk.wait(0.5)
        talk.client(commands.StopListening())
        talk.transcript(2, "one two")
        assert FLUSH not in verdicts(talk)
        talk.played(6.0)
        assert asked(talk) == []
        assert talk.mood == "idle"


class TestWhilePaused:
    """Whatever else happens, the answer goes on or ends, and the next words are heard."""

    @staticmethod
    def ends_well(talk, text="mm-hm"):
        talk.wait(3)
        for one in talk.state.turn:
            if one.text is None:
                talk.transcript(one.number, text)
        answer = talk.state.answer
        assert answer is None or not answer.paused
        if answer:
            talk.played(6.0)
        if not talk.state.listening:
            talk.listen()
        assert talk.state.answer is None
        assert talk.state.turn == ()
        talk.clear()
        talk.say("are you there")
        assert asked(talk) == ["are you there"]

    def test_stop_listening(self):
        talk = paused()
        talk.client(commands.StopListening())
        assert talk.of(do.CloseUtterance) == [do.CloseUtterance(2)]
        self.ends_well(talk)
        assert talk.history[0] == (QUESTION, TEXT, False)

    def test_stop_listening_in_the_middle_of_words(self):
        talk = answering()
        talk.voice()
        talk.wait(0.4)
        talk.client(commands.StopListening())
        talk.transcript(2, "stop it")
        assert verdicts(talk) == [PAUSE, FLUSH]
        assert asked(talk) == ["stop it"]

    def test_the_connection_is_lost(self):
        talk = paused()
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.transcript(2, "mm-hm")
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=False))
        self.ends_well(talk)
        assert talk.history[0] == (QUESTION, TEXT, False)

    def test_the_connection_is_back_before_the_transcript(self):
        talk = paused()
        talk.give(inputs.ConnectionLost(at=talk.now))
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=False))
        talk.transcript(2, "stop that")
        assert verdicts(talk) == [PAUSE, FLUSH]
        assert asked(talk) == ["stop that"]

    def test_the_page_is_loaded_anew(self):
        talk = paused()
        talk.give(inputs.ConnectionBack(at=talk.now, fresh=True))
        assert verdicts(talk) == [PAUSE, FLUSH]
        self.ends_well(talk)

    def test_duplex_becomes_half(self):
        talk = paused()
        talk.client(commands.Settings(settings=SettingsPatch(duplex="half")))
        assert not hearing(talk.state)
        talk.transcript(2, "mm-hm")
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.utter(1.0)
        talk.wait(1)
        assert verdicts(talk) == [PAUSE, RESUME]
        self.ends_well(talk)

    def test_duplex_becomes_half_in_the_middle_of_words(self):
        talk = answering()
        talk.voice()
        talk.wait(0.4)
        talk.client(commands.Settings(settings=SettingsPatch(duplex="half")))
        talk.transcript(2, "stop that")
        assert verdicts(talk) == [PAUSE, FLUSH]
        assert asked(talk) == ["stop that"]

    def test_duplex_becomes_full_in_the_middle_of_an_answer(self):
        talk = Talk(speculation="off")
        talk.listen()
        talk.say(QUESTION)
        speak(talk)
        talk.wait(2)
        talk.client(commands.Settings(settings=SettingsPatch(duplex="full")))
        talk.clear()
        talk.voice()
        talk.wait(0.13)
        assert verdicts(talk) == [PAUSE]

    def test_interrupt(self):
        talk = paused()
        talk.client(commands.Interrupt())
        assert verdicts(talk) == [PAUSE, FLUSH]
        assert talk.history == [(QUESTION, SENTENCES[0], True)]
        self.ends_well(talk)

    def test_interrupt_keeps_what_is_being_said(self):
        talk = paused()
        talk.client(commands.Interrupt())
        talk.voice()
        talk.wait(0.5)
        talk.quiet()
        talk.wait(0.6)
        talk.transcript(2, "what I meant is this")
        assert asked(talk) == ["what I meant is this"]

    def test_cancel(self):
        talk = paused()
        talk.client(commands.Cancel())
        assert verdicts(talk) == [PAUSE, FLUSH]
        assert do.DropUtterances() in talk.actions
        self.ends_well(talk)

    def test_reset(self):
        talk = paused()
        talk.client(commands.Reset())
        assert verdicts(talk) == [PAUSE, FLUSH]
        self.ends_well(talk)
        assert talk.history == []

    def test_a_typed_message(self):
        talk = paused()
        talk.type_in("never mind")
        assert verdicts(talk) == [PAUSE, FLUSH]
        talk.quiet()
        talk.wait(0.6)
        assert talk.of(do.CloseUtterance) == [do.CloseUtterance(2)]
        talk.transcript(2, "mm-hm")
        assert asked(talk) == ["never mind"]
        assert talk.history == [(QUESTION, SENTENCES[0], True)]

    def test_a_typed_message_joins_words_that_were_said(self):
        talk = paused()
        talk.type_in("never mind")
        talk.transcript(2, "what about")
        assert asked(talk) == ["what about never mind"]

    def test_the_answer_is_heard_to_its_end(self):
        """An acknowledgement was under way when the pause was told."""
        talk = answering(heard=5.9)
        talk.utter(0.3)
        talk.played(6.0)
        assert talk.history == [(QUESTION, TEXT, False)]
        talk.wait(0.6)
        talk.transcript(2, "what else")
        assert asked(talk) == ["what else"]

    def test_its_making_goes_on(self):
        talk = Talk(duplex="full", speculation="off")
        talk.listen()
        talk.say(QUESTION)
        talk.token(SENTENCES[0] + " " + SENTENCES[1][:4])
        talk.chunk(0, 2.0)
        talk.wait(1.5)
        talk.played(1.5)
        talk.clear()
        talk.utter(0.3)
        talk.token(SENTENCES[1][4:])
        talk.written()
        talk.spoken(0)
        talk.chunk(1, 2.0)
        talk.spoken(1)
        talk.drained(4.0)
        talk.wait(0.25)
        talk.partial(2, "hm", whole=True)
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.played(4.0)
        assert talk.history == [(QUESTION, " ".join(SENTENCES[:2]), False)]

    def test_the_language_model_fails(self):
        talk = Talk(duplex="full", speculation="off")
        talk.listen()
        talk.say(QUESTION)
        talk.token(SENTENCES[0] + " And")
        talk.chunk(0, 2.0)
        talk.wait(1.5)
        talk.played(1.5)
        talk.utter(0.3)
        talk.failed()
        talk.wait(0.25)
        talk.partial(2, "", whole=True)
        talk.wait(1)
        talk.transcript(2, "")
        assert verdicts(talk) == [PAUSE, RESUME]

    def test_the_settings_change_in_other_ways(self):
        talk = paused()
        talk.client(commands.Settings(settings=SettingsPatch(character="max", silence_ms=300)))
        self.ends_well(talk)


class TestTextAlone:
    def test_an_answer_without_voice_is_heard_when_it_is_shown(self):
        """Talking over what is being read stops it and does not unsay it."""
        talk = Talk(duplex="full", speculation="off")
        talk.listen()
        talk.say(QUESTION)
        talk.token(SENTENCES[0] + " Fi")
        talk.speech_failed(0)
        talk.voice()
        talk.wait(0.3)
        talk.partial(2, "and then")
        assert talk.history == [(QUESTION, SENTENCES[0] + " Fi", True)]
        assert [event.reason for event in talk.events(events.TextStreamStop)] == ["interrupted"]
        talk.quiet()
        talk.wait(0.6)
        talk.transcript(2, "and then")
        assert asked(talk) == [QUESTION, "and then"]

    @pytest.mark.parametrize("duplex", ["half", "full"])
    @pytest.mark.parametrize("said", ["", "mm-hm"])
    def test_a_cough_does_not_end_what_is_being_read(self, duplex, said):
        talk = Talk(duplex=duplex, speculation="off")
        talk.listen()
        talk.say(QUESTION)
        talk.token(SENTENCES[0] + " Fi")
        talk.speech_failed(0)
        talk.voice()
        talk.wait(0.15)
        talk.quiet()
        talk.wait(0.6)
        talk.transcript(2, said)
        talk.token("ve six seven eight.")
        talk.written()
        talk.speech_failed(1)
        assert talk.history == [(QUESTION, " ".join(SENTENCES[:2]), False)]
        assert asked(talk) == [QUESTION]
        assert talk.events(events.SttFinished)[-1].ignored

    def test_typing_does_not_unsay_it_either(self):
        talk = Talk()
        talk.type_in(QUESTION)
        talk.token(SENTENCES[0] + " Fi")
        talk.speech_failed(0)
        talk.type_in("and then")
        assert asked(talk) == [QUESTION, "and then"]
        assert talk.history == [(QUESTION, SENTENCES[0] + " Fi", True)]

    def test_but_words_that_will_be_spoken_are_not_heard_yet(self):
        talk = Talk(duplex="full", speculation="off")
        talk.listen()
        talk.say(QUESTION)
        talk.token("\N{GRINNING FACE} ")
        talk.token(SENTENCES[0])
        talk.utter(0.3)
        assert talk.history == []
        assert [event.reason for event in talk.events(events.TextStreamStop)] == ["withdrawn"]


def test_an_acknowledgement_that_only_the_pause_brought_is_kept_for_the_cut():
    talk = answering(heard=2.0)
    talk.voice()
    talk.wait(0.2)
    talk.client(commands.Played(generation=talk.state.generation, samples=4 * SECOND))
    talk.wait(1)
    assert talk.history == [(QUESTION, " ".join(SENTENCES[:2]), True)]


def test_when_speech_ended_is_not_taken_from_the_turn_before():
    talk = Talk(speculation="off")
    talk.listen()
    talk.say("hello")
    talk.answer("Hi.")
    talk.played(2.0)
    talk.wait(30)
    talk.voice()
    talk.wait(2)
    talk.client(commands.StopListening())
    talk.transcript(2, "good bye")
    answer = talk.state.answer
    assert answer is not None
    assert answer.ledger.client_end_ms == pytest.approx(talk.now * 1000)


class TestEcho:
    """An answer's first moments are counted from where the listener hears them, not from where they were sent."""

    def test_from_the_first_sample_played(self):
        talk = answering(heard=0)
        talk.wait(0.9)
        talk.client(commands.PlaybackStarted(generation=1, received_ms=1, started_ms=2))
        talk.voice()
        talk.wait(ADAPTING_S)
        assert verdicts(talk) == []
        talk.wait(ONSET_S)
        assert verdicts(talk) == [PAUSE]

    def test_from_where_it_goes_on(self):
        talk = paused()
        talk.quiet()
        talk.wait(0.2)
        talk.partial(2, "", whole=True)
        assert verdicts(talk) == [PAUSE, RESUME]
        talk.wait(0.5)
        talk.voice()
        talk.wait(onset_s(1) + 0.01)
        assert verdicts(talk) == [PAUSE, RESUME, PAUSE]

    def test_a_short_answer_teaches_the_canceller_nothing(self):
        talk = answering(heard=0.2)
        talk.client(commands.Interrupt())
        assert not talk.state.echo_known
        speaks = answering(heard=2.0)
        speaks.client(commands.Interrupt())
        assert speaks.state.echo_known

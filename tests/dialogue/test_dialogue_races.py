"""The races that users of other voice agents have reported, each as one short scenario.

A row is named after the thread that reports it, and its sentence says what went wrong there.
"""

from collections.abc import Callable

import pytest
from conversations import QUESTION, SENTENCES, TEXT, Talk, answering, speak

from services.contracts import commands, events
from services.dialogue import actions as do
from services.dialogue import barge_in
from services.dialogue.endpointing import Phase
from services.dialogue.language import build_messages

Scenario = Callable[[], None]


def asked(talk):
    return [ask.user for ask in talk.of(do.Ask)]


def verdicts(talk):
    kinds = (events.AudioPause, events.AudioResume, events.AudioFlush)
    return [type(event).__name__ for event in talk.sent if isinstance(event, kinds)]


def shown_to_the_model(talk, text):
    """What a language model would read, without the system prompt."""
    [character] = talk.of(do.Ask)[-1:]
    messages = build_messages(character.character, talk.state.memory.turns, text, 5)
    return [(message.role, message.content) for message in messages[1:]]


def hard_to_interrupt_and_patient():
    """One number served for both: an agent that bore with slow speakers could not be interrupted."""
    talk = answering(silence_ms=2000)
    talk.voice()
    talk.wait(barge_in.ONSET_S + 0.01)
    assert verdicts(talk) == ["AudioPause"]
    talk.wait(0.2)
    talk.partial(2, "wait a moment")
    assert verdicts(talk) == ["AudioPause", "AudioFlush"]
    talk.quiet()
    talk.wait(1.9)
    assert talk.of(do.CloseUtterance) == []
    talk.wait(0.2)
    assert talk.of(do.CloseUtterance) == [do.CloseUtterance(2)]


def a_mm_hm_and_the_answer_goes_on():
    """After a "mm-hm" over it the answer stopped and was not taken up again."""
    talk = answering()
    talk.utter(0.3)
    talk.wait(0.25)
    talk.partial(2, "mhmm", whole=True)
    talk.wait(1)
    talk.transcript(2, "mhmm")
    assert verdicts(talk) == ["AudioPause", "AudioResume"]
    talk.played(6.0)
    assert talk.history == [(QUESTION, TEXT, False)]
    assert asked(talk) == []


def no_interruption_out_of_the_turn_before():
    """Voice activity that belonged to the turn that had just ended was taken for an interruption of its answer, which
    was held up for seconds."""
    talk = Talk(duplex="full", speculation="off")
    talk.listen()
    talk.say(QUESTION)
    talk.clear()
    speak(talk)
    talk.quiet()
    talk.partial(1, QUESTION)
    talk.transcript(1, QUESTION)
    talk.wait(6)
    talk.played(6.0)
    assert verdicts(talk) == []
    assert talk.history == [(QUESTION, TEXT, False)]


def never_answering_without_a_sound():
    """After the user had gone on within an answer's first moments, the next one was "speaking" and silent."""
    talk = Talk(duplex="full", speculation="off")
    talk.listen()
    talk.say("my name is john")
    talk.token("Hello John. ")
    talk.voice()
    talk.wait(0.5)
    talk.quiet()
    talk.wait(0.6)
    talk.transcript(2, "doe")
    assert asked(talk) == ["my name is john", "my name is john doe"]
    assert talk.mood == "thinking"
    talk.token("Hello John Doe.")
    talk.written()
    assert talk.mood == "thinking"
    talk.chunk(0)
    assert talk.mood == "answering"
    assert [event.generation for event in talk.events(events.AudioStreamStart)] == [talk.state.generation]


def a_cough_before_the_answer_sounds():
    """A cough between the end of the user's speech and the answer withdrew the answer, and none came."""
    talk = Talk(duplex="full", speculation="off")
    talk.listen()
    talk.say(QUESTION)
    talk.token("One")
    talk.utter(0.2)
    talk.wait(0.6)
    talk.transcript(2, "")
    assert asked(talk) == [QUESTION, QUESTION]
    talk.answer("One two three four.")
    talk.played(2.0)
    assert talk.history == [(QUESTION, "One two three four.", False)]


def never_stuck_after_an_interruption():
    """The agent was stuck after an interruption, here one in which recognition fails as well."""
    talk = answering()
    talk.utter(0.7)
    assert verdicts(talk) == ["AudioPause", "AudioFlush"]
    talk.wait(0.6)
    talk.no_transcript(2)
    assert talk.mood == "listening"
    talk.say("are you there")
    assert asked(talk) == ["are you there"]


def not_a_word_more_than_was_heard():
    """History had one or two words more than the user had heard: it was cut by what had been sent."""
    talk = answering(heard=0)
    talk.wait(1.5)
    for position in (0.5, 1.0):
        talk.played(position)
    talk.client(commands.Interrupt())
    [(_, heard, _)] = talk.history
    assert heard in ("One", "One two")


def nothing_heard_and_nothing_kept():
    """The same with an interruption before the first word: the history had words of it all the same."""
    talk = answering(heard=0)
    talk.wait(1.1)
    talk.utter(0.7)
    assert verdicts(talk) == ["AudioPause", "AudioFlush"]
    assert talk.history == []
    talk.wait(0.6)
    talk.transcript(2, "in short please")
    assert asked(talk) == [f"{QUESTION} in short please"]


def paused_before_its_first_frame():
    """An answer that was paused before its first frame was played, and then taken up again, was lost from history."""
    talk = answering(heard=0)
    talk.wait(1.1)
    talk.utter(0.2)
    talk.wait(0.25)
    talk.partial(2, "", whole=True)
    assert verdicts(talk) == ["AudioPause", "AudioResume"]
    talk.wait(1)
    talk.transcript(2, "")
    talk.played(6.0)
    assert talk.history == [(QUESTION, TEXT, False)]


def played_words_survive_the_interruption():
    """The interruption overtook words that had been played already: history lacked them, and they were said again."""
    talk = answering(heard=4.0)
    talk.voice()
    talk.wait(0.2)
    talk.played(4.0)
    talk.partial(2, "and what then")
    assert talk.history == [(QUESTION, " ".join(SENTENCES[:2]), True)]
    assert shown_to_the_model(talk_after(talk, "and what then"), "x")[:2] == [
        ("user", QUESTION),
        ("assistant", " ".join(SENTENCES[:2])),
    ]


def talk_after(talk, text):
    talk.quiet()
    talk.wait(0.6)
    talk.transcript(talk.state.utterances, text)
    return talk


def unspoken_text_is_not_kept():
    """Text that was written and not yet spoken was committed to the history at the interruption."""
    talk = Talk(duplex="full", speculation="off")
    talk.listen()
    talk.say(QUESTION)
    talk.token(TEXT + " And a lot more that is only written.")
    talk.chunk(0, 2.0)
    talk.wait(1.5)
    talk.played(1.0)
    talk.utter(0.7)
    [(_, heard, cut)] = talk.history
    assert cut
    assert SENTENCES[0].startswith(heard)
    assert heard != SENTENCES[0]


def the_model_knows_what_was_said_before_the_interruption():
    """An interrupted answer left nothing in the context, so that the model began it again."""
    talk = answering()
    talk.utter(0.4)
    talk.wait(0.25)
    talk.partial(2, "stop", whole=True)
    talk.wait(0.6)
    talk.transcript(2, "stop")
    assert shown_to_the_model(talk, "stop") == [
        ("user", QUESTION),
        ("assistant", SENTENCES[0]),
        ("user", "stop"),
    ]


def no_words_missing_at_the_end():
    """The context lacked an answer's last words when the user spoke just after them."""
    talk = answering(heard=5.9)
    talk.voice()
    talk.wait(0.13)
    talk.played(6.0)
    assert talk.history == [(QUESTION, TEXT, False)]
    talk.wait(0.5)
    talk.quiet()
    talk.wait(0.6)
    talk.transcript(2, "thanks a lot")
    assert asked(talk) == ["thanks a lot"]


def answers_are_kept_where_they_can_be_interrupted():
    """With interruptions allowed, answers that were heard whole were not appended to the context at all."""
    talk = answering()
    talk.played(6.0)
    talk.say("and then")
    assert shown_to_the_model(talk, "and then") == [
        ("user", QUESTION),
        ("assistant", TEXT),
        ("user", "and then"),
    ]


def the_user_resumes_a_moment_before_the_answer():
    """The bot began to speak 13 ms after the user had resumed."""
    talk = Talk(duplex="full", speculation="on")
    talk.listen()
    talk.utter(1.0)
    talk.wait(0.25)
    talk.partial(1, "i would like", whole=True)
    talk.partial(1, "i would like tea", whole=True)
    talk.token("Here you are.")
    talk.written()
    talk.chunk(0)
    talk.wait(0.237)
    talk.voice()
    talk.wait(0.013)
    talk.spoken(0)
    assert talk.events(events.AudioStreamStart) == []
    assert talk.events(events.TextChunk) == []
    assert talk.mood == "user_speaking"


def a_reset_in_the_middle_of_speech():
    """A reset in the middle of speech cleared what was known of the voice, and the turn ended within a word."""
    talk = Talk(speculation="off")
    talk.listen()
    talk.voice()
    talk.wait(1)
    talk.client(commands.Reset())
    talk.clear()
    talk.voice()
    talk.wait(5)
    assert talk.of(do.OpenUtterance) == [do.OpenUtterance(2)]
    assert talk.of(do.CloseUtterance) == []
    assert talk.state.ear.phase is Phase.SPEAKING


def it_does_not_interrupt_itself():
    """The bot heard its own first words before the echo canceller had adapted: it started, stopped, started."""
    talk = answering(heard=0)
    for _ in range(3):
        talk.utter(0.3)
        talk.wait(0.03)
    assert verdicts(talk) == []
    assert talk.mood == "answering"


def no_markers_in_the_history():
    """Cut answers ended in "..." in the memory, and soon the model answered nothing but "..."."""
    talk = answering()
    talk.played(3.0)
    talk.utter(0.7)
    [(_, heard, _)] = talk.history
    assert TEXT.startswith(heard)
    assert "..." not in heard
    assert "[" not in heard


def an_echo_does_not_stop_it_every_two_seconds():
    """Echo stopped the answer every two seconds: each time as easily as the time before."""
    talk = answering(heard=0.5)
    pauses = []
    for _ in range(4):
        talk.wait(0.7)
        before = len(talk.events(events.AudioPause))
        talk.utter(0.2)
        talk.wait(0.25)
        if len(talk.events(events.AudioPause)) > before:
            pauses.append(True)
            talk.partial(talk.state.utterances, "", whole=True)
    assert pauses == [True]
    assert talk.events(events.AudioFlush) == []


def half_duplex_does_not_hear_the_loudspeaker():
    """Without echo cancellation the bot talked to itself."""
    talk = Talk(speculation="off")
    talk.listen()
    talk.say(QUESTION)
    speak(talk)
    talk.clear()
    for _ in range(5):
        talk.utter(1.0)
        talk.wait(0.2)
    talk.played(6.0)
    assert talk.of(do.OpenUtterance) == []
    assert talk.history == [(QUESTION, TEXT, False)]


RACES: dict[str, Scenario] = {
    "livekit/agents#3427": hard_to_interrupt_and_patient,
    "livekit/agents#4039": a_mm_hm_and_the_answer_goes_on,
    "livekit/agents#4615": no_interruption_out_of_the_turn_before,
    "livekit/agents#3418": never_answering_without_a_sound,
    "livekit/agents#1229": a_cough_before_the_answer_sounds,
    "livekit/agents#4316": never_stuck_after_an_interruption,
    "livekit/agents#2607": not_a_word_more_than_was_heard,
    "livekit/agents#2201": nothing_heard_and_nothing_kept,
    "livekit/agents#5038": paused_before_its_first_frame,
    "pipecat-ai/pipecat#4996": played_words_survive_the_interruption,
    "pipecat-ai/pipecat#5426": unspoken_text_is_not_kept,
    "pipecat-ai/pipecat#2791": the_model_knows_what_was_said_before_the_interruption,
    "pipecat-ai/pipecat#3627": no_words_missing_at_the_end,
    "pipecat-ai/pipecat#1591": answers_are_kept_where_they_can_be_interrupted,
    "pipecat-ai/pipecat#4478": the_user_resumes_a_moment_before_the_answer,
    "pipecat-ai/pipecat#4950": a_reset_in_the_middle_of_speech,
    "kyutai-labs/unmute#135": it_does_not_interrupt_itself,
    "Open-LLM-VTuber/Open-LLM-VTuber#362": no_markers_in_the_history,
    "pipecat-ai/pipecat#1626": an_echo_does_not_stop_it_every_two_seconds,
    "pipecat-ai/pipecat#1771": half_duplex_does_not_hear_the_loudspeaker,
}


@pytest.mark.parametrize("thread", RACES)
def test_race(thread):
    RACES[thread]()

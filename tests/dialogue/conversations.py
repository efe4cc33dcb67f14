"""A conversation without its shell, for tests: events in, actions out, time by hand."""

from dataclasses import replace
from typing import TypeVar

from services.contracts import commands, events
from services.contracts.characters import Character
from services.contracts.errors import Code
from services.contracts.settings import SessionSettings
from services.contracts.speech import RecognitionResult
from services.dialogue import actions as do
from services.dialogue import inputs
from services.dialogue.cast import Cast
from services.dialogue.conversation import Conversation, mood
from services.dialogue.machine import step
from services.dialogue.tracing import SessionTrace, TurnTrace
from services.telemetry.tracing import NoTracer

ARIA = Character(id="aria", name="Aria", persona="warm")
MAX = Character(id="max", name="Max", persona="dry")
SECOND = 24_000

QUESTION = "tell me everything"
SENTENCES = ["One two three four.", "Five six seven eight.", "Nine ten eleven twelve."]
TEXT = " ".join(SENTENCES)

Kind = TypeVar("Kind")


def untraced() -> TurnTrace:
    """The trace of a turn that nobody keeps."""
    return SessionTrace(NoTracer(), lambda: 1.0, "s", None).turn()


class Talk:
    """Feeds events to the machine as a shell would and remembers what it asked for."""

    def __init__(self, **settings):
        self.now = 100.0
        self.state = Conversation(
            settings=SessionSettings(response_mode="template", **settings),
            cast=Cast({"aria": ARIA, "max": MAX}, "aria"),
            can_ask=False,
        )
        self.actions: list[do.Action] = []
        self.sent: list[events.AnyEvent] = []

    # What happens.

    def give(self, event) -> list[do.Action]:
        self.state, actions = step(self.state, event)
        self.actions += actions
        self.sent += [action.event for action in actions if isinstance(action, do.Send)]
        return actions

    def client(self, command) -> list[do.Action]:
        return self.give(inputs.Commanded(at=self.now, command=command))

    def listen(self):
        return self.client(commands.StartListening())

    def type_in(self, text):
        return self.client(commands.UserMessage(text=text, at_ms=self.now * 1000))

    def wait(self, seconds):
        """Time passes; the machine is woken whenever it asked to be."""
        end = self.now + seconds
        for _ in range(1000):
            if self.state.wake_at is None or self.state.wake_at > end:
                self.now = end
                return
            self.now = max(self.now, self.state.wake_at)
            self.give(inputs.Woken(at=self.now))
        raise AssertionError("it is woken again and again, and does nothing")

    def voice(self):
        return self.give(inputs.VoiceStarted(at=self.now, client_ms=self.now * 1000))

    def quiet(self):
        return self.give(inputs.VoiceStopped(at=self.now, client_ms=self.now * 1000))

    def transcript(self, utterance, text):
        result = RecognitionResult(utterance=str(utterance), text=text, is_final=True)
        return self.give(inputs.FinalTranscript(at=self.now, utterance=utterance, result=result))

    def partial(self, utterance, text, whole=False, language=""):
        """`whole`: of all that was said before a pause that still lasts."""
        result = RecognitionResult(utterance=str(utterance), text=text, language=language)
        return self.give(inputs.PartialTranscript(at=self.now, utterance=utterance, result=result, whole=whole))

    def no_transcript(self, utterance):
        return self.give(inputs.RecognitionFailed(at=self.now, utterance=utterance, message="gone"))

    def utter(self, seconds):
        """A voice of so many seconds."""
        self.voice()
        self.wait(seconds)
        return self.quiet()

    def say(self, text, seconds=1.0):
        """A whole spoken turn, from first sample to final transcript."""
        self.voice()
        self.wait(seconds)
        self.quiet()
        self.wait(0.6)
        return self.transcript(self.state.utterances, text)

    def token(self, text, generation=None):
        return self.give(inputs.Token(at=self.now, generation=generation or self.state.generation, text=text))

    def written(self):
        return self.give(inputs.AnswerWritten(at=self.now, generation=self.state.generation))

    def chunk(self, slot, seconds=1.0):
        samples = int(seconds * SECOND)
        return self.give(inputs.SpeechChunk(at=self.now, generation=self.state.generation, slot=slot, samples=samples))

    def spoken(self, slot, wall=0.5):
        return self.give(inputs.SpeechDone(at=self.now, generation=self.state.generation, slot=slot, seconds=wall))

    def speech_refused(self, slot):
        return self.give(inputs.SpeechRefused(at=self.now, generation=self.state.generation, slot=slot))

    def speech_failed(self, slot):
        return self.give(
            inputs.SpeechFailed(at=self.now, generation=self.state.generation, slot=slot, message="no voice")
        )

    def played(self, seconds):
        return self.client(commands.Played(generation=self.state.generation, samples=int(seconds * SECOND)))

    def drained(self, seconds):
        return self.give(
            inputs.AudioDrained(
                at=self.now, generation=self.state.generation, last_sequence=9, samples=int(seconds * SECOND)
            )
        )

    def failed(self, code=Code.LANGUAGE_FAILED):
        return self.give(
            inputs.AnswerFailed(at=self.now, generation=self.state.generation, code=code, message="no answer")
        )

    def answer(self, text, seconds=2.0):
        """An answer of one sentence, written and spoken, not yet heard."""
        self.token(text)
        self.written()
        self.chunk(0, seconds)
        self.spoken(0)
        self.drained(seconds)

    # What can be read off it.

    @property
    def mood(self):
        return mood(self.state)

    @property
    def history(self):
        return [(turn.user, turn.assistant, turn.cut) for turn in self.state.memory.turns]

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [action for action in self.actions if isinstance(action, kind)]

    def events(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.sent if isinstance(event, kind)]

    def clear(self):
        self.actions, self.sent = [], []

    def with_settings(self, **changes):
        self.state = replace(self.state, **changes)
        return self


def answering(heard=2.0, **settings):
    """In the middle of an answer of three sentences of two seconds each, at rest since the last acknowledgement."""
    talk = Talk(duplex="full", speculation="off", **settings)
    talk.listen()
    talk.say(QUESTION)
    speak(talk)
    if heard:
        talk.wait(heard)
        talk.played(heard)
    talk.clear()
    return talk


def speak(talk):
    talk.token(TEXT)
    talk.written()
    for slot in range(3):
        talk.chunk(slot, 2.0)
        talk.spoken(slot)
    talk.drained(6.0)

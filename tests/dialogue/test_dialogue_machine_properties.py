"""Random orders of everything that can happen, held against what must never happen."""

from conversations import Talk
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts import commands, events
from services.contracts.errors import Code
from services.contracts.settings import SettingsPatch
from services.dialogue import actions as do
from services.dialogue import barge_in, inputs
from services.dialogue.conversation import deadline, hearing
from services.dialogue.endpointing import Phase
from services.dialogue.wording import words

WORDS = ["one", "two", "three.", "four", "five,", "six", "seven.", "eight", "nine!", "ten?"]
MOVES = [
    "listen", "stop", "type", "interrupt", "cancel", "reset", "voice", "quiet", "final", "empty", "recognition_failed",
    "token", "written", "language_failed", "chunk", "spoken", "speech_failed", "sent", "drained", "played",
    "started", "lost", "back", "fresh", "tick", "long",
]  # fmt: skip
TALK = [
    "voice", "quiet", "speak", "hesitate", "tick", "partial", "prepared", "guess", "nothing so far", "final", "mm-hm",
    "empty", "turn", "cough", "answer", "answer", "hear", "sent", "token", "written", "chunk", "spoken", "drained",
]  # fmt: skip
TURNS_AND_ANSWERS = [*TALK * 6, *MOVES, "refused", "half", "full", "full", "on", "on", "off", "max"]
"""Mostly conversation, so that the rest meets it in every state."""
OF_AN_ANSWER = (
    events.TextStreamStart | events.TextChunk | events.TextStreamStop | events.AudioStreamStart | events.AudioStreamStop
    | events.AudioPause | events.AudioResume | events.TurnCommitted | events.TurnMetrics
)  # fmt: skip


class Storm(Talk):
    """Performs what the machine asks for in the order that the moves say; late and stale deliveries included.

    After every event it holds the machine to what must be so at any time.
    """

    def __init__(self, **chosen):
        super().__init__(**{"speculation": "off", **chosen})
        self.said: list[str] = []
        """What was typed."""
        self.open: set[int] = set()
        """Utterances that recognition hears."""
        self.pausing: set[int] = set()
        self.waiting: list[int] = []
        self.synthesis: list[tuple[int, int]] = []
        self.writing: list[int] = []
        self.secret: set[int] = set()
        """Generations that are prepared, and nobody is to know."""
        self.holding: int | None = None
        """The generation that the client was told to hold."""
        self.answering: int | None = None
        """The generation that was asked for and neither stopped nor committed."""

    def give(self, event):
        before = self.state
        actions = super().give(event)
        for action in actions:
            self.perform(action)
        state = self.state
        assert state.generation >= before.generation
        assert state.wake_at == deadline(state)
        assert (state.answer.generation if state.answer else None) == self.answering
        assert state.answer is None or state.answer.generation == state.generation
        assert bool(state.answer and state.answer.prepared) == bool(self.secret)
        assert (self.holding is not None) == bool(state.answer and state.answer.paused)
        assert state.listening or not hearing(state)
        if state.settings.duplex == "half":
            assert not (self.mood == "answering" and hearing(state))
        assert state.ear.phase is Phase.QUIET or state.ear.deadline is not None, "an ear that nothing would wake"
        spoken = [one.number for one in state.turn if one.spoken and one.number]
        assert len(set(spoken)) == len(spoken)
        if isinstance(event, inputs.FinalTranscript):
            self.check_final(event, before, actions)
        return actions

    def perform(self, action):
        match action:
            case do.OpenUtterance(utterance):
                self.open.add(utterance)
            case do.PauseUtterance(utterance):
                self.pausing.add(utterance)
            case do.ResumeUtterance(utterance):
                self.pausing.discard(utterance)
            case do.CloseUtterance(utterance) | do.CutUtterance(utterance):
                if utterance in self.open:
                    self.open.discard(utterance)
                    self.pausing.discard(utterance)
                    self.waiting.append(utterance)
            case do.DropUtterances():
                self.open.clear()
                self.pausing.clear()
            case do.Synthesise(generation, slot, _, _, prepared):
                assert prepared == (generation in self.secret)
                self.synthesis.append((generation, slot))
            case do.Ask(generation, _, _, prepared):
                assert self.answering is None, "two answers at once"
                self.answering = generation
                self.writing.append(generation)
                self.secret = {generation} if prepared else set()
            case do.Confirm(generation):
                assert generation in self.secret
                self.secret = set()
                [asked] = [ask.user for ask in self.of(do.Ask) if ask.generation == generation]
                if self.state.answer:
                    assert words(self.state.answer.user) == words(asked), "the answer to other words"
            case do.StopAnswer(generation):
                assert self.answering is not None
                assert self.answering < generation
                self.answering = None
                self.secret = set()
            case do.Send(event):
                self.hear_of(event)
            case _:
                pass

    def hear_of(self, event):
        if isinstance(event, OF_AN_ANSWER):
            assert event.generation not in self.secret, f"told of what is only prepared: {event}"
        match event:
            case events.AudioPause(generation=generation):
                assert self.holding is None
                self.holding = generation
            case events.AudioResume(generation=generation):
                assert self.holding == generation
                self.holding = None
            case events.AudioFlush(generation=generation):
                assert self.holding is None or self.holding < generation
                self.holding = None
            case events.TurnCommitted(generation=generation):
                if self.holding == generation:
                    self.holding = None
                if self.answering == generation:
                    self.answering = None
            case _:
                pass

    def check_final(self, event, before, actions):
        """Words are dropped only where they are a listener's, or a noise's, over an answer."""
        utterance = next((one for one in before.turn if one.number == event.utterance and one.text is None), None)
        told = [one.event for one in actions if isinstance(one, do.Send) and isinstance(one.event, events.SttFinished)]
        assert [finished.utterance for finished in told] == ([str(event.utterance)] if utterance else [])
        if utterance and told[0].text != event.result.text:
            assert told[0].text == ""
            assert utterance.over
            assert barge_in.backchannel(event.result.text) or utterance.voiced_s < barge_in.SHORTEST_WORD_S

    def move(self, name: str, number: int):
        at = self.now
        generation = self.writing[number % len(self.writing)] if self.writing else 1
        job = self.synthesis[number % len(self.synthesis)] if self.synthesis else None
        utterance = self.waiting[number % len(self.waiting)] if self.waiting else None
        heard = sorted({*self.open, *self.waiting})
        partly = heard[number % len(heard)] if heard else None
        match name:
            case "listen":
                self.listen()
            case "stop":
                self.client(commands.StopListening())
            case "type":
                text = f"typed{len(self.said)}"
                self.said.append(text)
                self.type_in(text)
            case "interrupt":
                self.client(commands.Interrupt())
            case "cancel":
                self.client(commands.Cancel())
            case "reset":
                self.client(commands.Reset())
            case "half" | "full":
                self.client(commands.Settings(settings=SettingsPatch(duplex=name)))
            case "on" | "off":
                self.client(commands.Settings(settings=SettingsPatch(speculation=name)))
            case "max":
                self.client(commands.Settings(settings=SettingsPatch(character="max" if number % 2 else "aria")))
            case "voice":
                self.voice()
            case "quiet":
                self.quiet()
            case "speak":
                self.utter(number / 40)
            case "hesitate":
                self.wait(0.21)
            case "cough":
                self.move("speak", 12)
                self.wait(0.21)
                self.move("nothing so far" if number % 2 else "mm-hm so far", len(heard))
            case "turn":
                self.move("speak", 40)
                self.wait(0.21)
                last = ("final", "final", "empty", "mm-hm", "recognition_failed")[number % 5]
                for step in ("guess" if number % 7 == 0 else "prepared", "tick", last):
                    self.move(step, number)
            case "final" | "empty" | "mm-hm" if utterance is not None:
                self.waiting.remove(utterance)
                self.transcript(utterance, {"final": f"spoken{utterance}", "empty": "", "mm-hm": "mm-hm"}[name])
            case "recognition_failed" if partly is not None:
                self.open.discard(partly)
                if partly in self.waiting:
                    self.waiting.remove(partly)
                self.no_transcript(partly)
            case "partial" | "prepared" | "guess" | "nothing so far" | "mm-hm so far" if partly is not None:
                text = {"guess": f"guess{partly} guessed", "nothing so far": "", "mm-hm so far": "mm-hm"}.get(
                    name, f"spoken{partly}"
                )
                self.partial(partly, text, whole=name != "partial" and partly in self.pausing)
            case "token":
                self.token(WORDS[number % len(WORDS)] + " ", generation)
            case "written" if generation in self.writing:
                self.writing.remove(generation)
                self.give(inputs.AnswerWritten(at=at, generation=generation))
            case "language_failed" if generation in self.writing:
                self.writing.remove(generation)
                self.give(inputs.AnswerFailed(at=at, generation=generation, code=Code.LANGUAGE_FAILED, message="x"))
            case "chunk" if job:
                self.give(inputs.SpeechChunk(at=at, generation=job[0], slot=job[1], samples=4800))
            case "spoken" if job:
                self.synthesis.remove(job)
                self.give(inputs.SpeechDone(at=at, generation=job[0], slot=job[1], seconds=0.1))
            case "speech_failed" if job:
                self.synthesis.remove(job)
                self.give(inputs.SpeechFailed(at=at, generation=job[0], slot=job[1], message="x"))
            case "refused" if job and job[0] in self.secret:
                self.synthesis.remove(job)
                self.give(inputs.SpeechRefused(at=at, generation=job[0], slot=job[1]))
            case "answer":
                self.token("A whole sentence of it. ")
                if self.synthesis:
                    generation, slot = self.synthesis[-1]
                    self.give(inputs.SpeechChunk(at=at, generation=generation, slot=slot, samples=72_000))
                    self.wait(number / 30)
            case "hear" if self.state.answer:
                samples = sum(slot.samples for slot in self.state.answer.slots) * (number + 1) // 62
                self.client(commands.Played(generation=self.state.generation, samples=samples))
            case "sent" if self.state.answer and self.state.answer.audible:
                self.give(inputs.AudioSent(at=at, generation=generation))
            case "drained":
                answer = self.state.answer
                if answer and answer.closed and answer.sent is None:
                    samples = sum(slot.samples for slot in answer.slots)
                    self.give(
                        inputs.AudioDrained(at=at, generation=answer.generation, last_sequence=1, samples=samples)
                    )
            case "played":
                self.client(commands.Played(generation=self.state.generation, samples=number * 1000))
            case "started":
                self.client(
                    commands.PlaybackStarted(
                        generation=self.state.generation, received_ms=at * 1000, started_ms=at * 1000
                    )
                )
            case "lost":
                self.give(inputs.ConnectionLost(at=at))
            case "back" | "fresh":
                self.give(inputs.ConnectionBack(at=at, fresh=name == "fresh"))
            case "tick":
                self.wait(number / 100)
            case "long":
                self.wait(60)
            case _:
                pass


def settle(storm: Storm) -> None:
    """Everything outstanding comes to its end, as the deadlines of the shell guarantee."""
    storm.quiet()
    for _ in range(200):
        storm.wait(1)
        for name in ("final", "written", "spoken", "drained"):
            storm.move(name, 0)
        if storm.state.answer and storm.state.answer.sent is not None:
            storm.client(commands.Played(generation=storm.state.generation, samples=storm.state.answer.sent))
        if not (storm.state.answer or storm.state.turn or storm.waiting or storm.state.ear.phase is not Phase.QUIET):
            return
    raise AssertionError(f"never settled: {storm.state}")


def check_what_was_told(storm: Storm) -> None:
    shown: dict[int, str] = {}
    for event in storm.sent:
        if isinstance(event, events.TextChunk):
            shown[event.generation] = shown.get(event.generation, "") + event.text
    committed = storm.events(events.TurnCommitted)
    for event in committed:
        heard = event.turn.assistant
        assert shown.get(event.generation, "").startswith(heard), "history holds words that were never written"
    assert len({event.generation for event in committed}) == len(committed), "an answer was committed twice"
    asked = [ask.generation for ask in storm.of(do.Ask)]
    assert asked == sorted(set(asked)), "two answers share a generation"
    for kind in (events.TextStreamStart, events.AudioStreamStart, events.AudioStreamStop):
        generations = [event.generation for event in storm.events(kind)]
        assert len(set(generations)) == len(generations), f"{kind.__name__} was sent twice"
    finals = [event.utterance for event in storm.events(events.SttFinished)]
    assert len(set(finals)) == len(finals), "a transcript was final twice"
    for metrics in storm.events(events.TurnMetrics):
        assert abs(sum(part.ms for part in metrics.parts) - metrics.total_ms) < 1e-3


def check_that_nobody_is_deaf(storm: Storm) -> None:
    """Whatever happened, a turn still gets its answer; one who was listened to need not ask for it again."""
    storm.clear()
    if not storm.state.listening:
        storm.listen()
    assert hearing(storm.state)
    storm.say("are you there")
    assert [ask.user for ask in storm.of(do.Ask)] == ["are you there"]


def moves(names, size):
    # Of themselves such lists are about six moves long, which is no storm; "nothing" is what a failing one shrinks to.
    return st.lists(
        st.tuples(st.sampled_from(["nothing", *names]), st.integers(0, 60)), min_size=size // 3, max_size=size
    )


@given(moves(MOVES, 120))
@settings(max_examples=150, deadline=None)
def test_invariants_hold_in_every_order(script):
    storm = Storm()
    for name, number in script:
        storm.move(name, number)
    settle(storm)
    check_what_was_told(storm)
    check_that_nobody_is_deaf(storm)


@given(moves(TURNS_AND_ANSWERS, 120), st.sampled_from(["half", "full"]), st.sampled_from(["on", "off"]))
@settings(max_examples=300, deadline=None)
def test_they_hold_while_both_talk_at_once_and_answers_are_prepared(script, duplex, speculation):
    storm = Storm(duplex=duplex, speculation=speculation)
    storm.listen()
    for name, number in script:
        storm.move(name, number)
    settle(storm)
    check_what_was_told(storm)
    prepared = [ask for ask in storm.of(do.Ask) if ask.prepared]
    if not any(name == "reset" for name, _ in script):
        assert len(storm.of(do.Speculated)) == len(prepared), "what was prepared is not accounted for"
    check_that_nobody_is_deaf(storm)


LOSING = ("cancel", "reset")


@given(moves([name for name in TURNS_AND_ANSWERS if name not in LOSING], 100), st.sampled_from(["half", "full"]))
@settings(max_examples=250, deadline=None)
def test_no_word_is_lost_and_none_invented(script, duplex):
    """Without cancel and reset, every word that was typed or understood is in one turn of the history, once, and no
    word that recognition only guessed at in between is."""
    storm = Storm(duplex=duplex, speculation="on")
    storm.listen()
    for name, number in script:
        storm.move(name, number)
    settle(storm)
    history = " ".join(event.turn.user for event in storm.events(events.TurnCommitted)).split()
    understood = [word for event in storm.events(events.SttFinished) for word in event.text.split()]
    assert sorted(history) == sorted([*understood, *storm.said])
    assert [word for word in history if word.startswith("typed")] == storm.said
    numbers = [event.turn.number for event in storm.events(events.TurnCommitted)]
    assert numbers == list(range(1, len(numbers) + 1))


@given(moves([name for name in MOVES if name not in (*LOSING, "empty")], 80))
@settings(max_examples=100, deadline=None)
def test_nothing_that_was_typed_is_lost(script):
    """Without cancel and reset, every typed message ends in the history, once and in order."""
    storm = Storm()
    for name, number in script:
        storm.move(name, number)
    settle(storm)
    history = " ".join(turn.user for turn in storm.state.memory.turns)
    assert [word for word in history.split() if word.startswith("typed")] == storm.said

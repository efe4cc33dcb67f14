"""Random orders of everything that can happen, held against what must never happen."""

from conversations import Talk
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts import commands, events
from services.contracts.errors import Code
from services.dialogue import actions as do
from services.dialogue import inputs
from services.dialogue.conversation import hearing

WORDS = ["one", "two", "three.", "four", "five,", "six", "seven.", "eight", "nine!", "ten?"]
MOVES = [
    "listen", "stop", "type", "interrupt", "cancel", "reset", "voice", "quiet", "final", "empty", "recognition_failed",
    "token", "written", "language_failed", "chunk", "spoken", "speech_failed", "sent", "drained", "played",
    "started", "lost", "back", "fresh", "tick", "long",
]  # fmt: skip


class Storm(Talk):
    """Performs what the machine asks for in the order that the moves say; late and stale deliveries included."""

    def __init__(self):
        super().__init__()
        self.said: list[str] = []
        self.waiting: list[int] = []
        self.synthesis: list[tuple[int, int]] = []
        self.writing: list[int] = []

    def give(self, event):
        actions = super().give(event)
        for action in actions:
            match action:
                case do.CloseUtterance(utterance):
                    self.waiting.append(utterance)
                case do.Synthesise(generation, slot):
                    self.synthesis.append((generation, slot))
                case do.Ask(generation):
                    self.writing.append(generation)
                case _:
                    pass
        return actions

    def move(self, name: str, number: int):
        at = self.now
        generation = self.writing[number % len(self.writing)] if self.writing else 1
        job = self.synthesis[number % len(self.synthesis)] if self.synthesis else None
        utterance = self.waiting[number % len(self.waiting)] if self.waiting else None
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
            case "voice":
                self.voice()
            case "quiet":
                self.quiet()
            case "final" | "empty" if utterance is not None:
                self.waiting.remove(utterance)
                text = f"spoken{utterance}" if name == "final" else ""
                self.transcript(utterance, text)
            case "recognition_failed" if utterance is not None:
                self.waiting.remove(utterance)
                self.give(inputs.RecognitionFailed(at=at, utterance=utterance, message="x"))
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
            case "sent":
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
    storm.client(commands.StopListening())
    for _ in range(200):
        storm.wait(1)
        for name in ("final", "written", "spoken", "drained"):
            storm.move(name, 0)
        if storm.state.answer and storm.state.answer.sent is not None:
            storm.client(commands.Played(generation=storm.state.generation, samples=storm.state.answer.sent))
        if not (storm.state.answer or storm.state.turn or storm.waiting):
            return
    raise AssertionError(f"never settled: {storm.state}")


@given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 60)), max_size=120))
@settings(max_examples=300, deadline=None)
def test_invariants_hold_in_every_order(moves):
    storm = Storm()
    shown: dict[int, str] = {}
    for name, number in moves:
        had = storm.state.generation
        storm.move(name, number)
        state = storm.state
        assert state.generation >= had
        if state.answer:
            assert state.answer.generation == state.generation
        if hearing(state):
            assert state.listening
        assert not (storm.mood == "answering" and hearing(state))
    settle(storm)

    for event in storm.sent:
        if isinstance(event, events.TextChunk):
            shown[event.generation] = shown.get(event.generation, "") + event.text
    for event in storm.events(events.TurnCommitted):
        heard = event.turn.assistant
        assert shown.get(event.generation, "").startswith(heard), "history holds words that were never written"
    committed = storm.events(events.TurnCommitted)
    assert len({event.generation for event in committed}) == len(committed), "an answer was committed twice"
    asked = [ask.generation for ask in storm.of(do.Ask)]
    assert asked == sorted(set(asked)), "two answers share a generation"
    for kind in (events.TextStreamStart, events.AudioStreamStart, events.AudioStreamStop):
        generations = [event.generation for event in storm.events(kind)]
        assert len(set(generations)) == len(generations), f"{kind.__name__} was sent twice"
    finals = [event.utterance for event in storm.events(events.SttFinished)]
    assert len(set(finals)) == len(finals), "a transcript was final twice"

    # Never deaf: whatever happened, a turn still gets its answer.
    storm.clear()
    storm.listen()
    assert hearing(storm.state)
    storm.say("are you there")
    assert [ask.user for ask in storm.of(do.Ask)] == ["are you there"]


@given(
    st.lists(
        st.tuples(st.sampled_from([m for m in MOVES if m not in ("cancel", "reset", "empty")]), st.integers(0, 60)),
        max_size=80,
    )
)
@settings(max_examples=150, deadline=None)
def test_nothing_that_was_typed_is_lost(moves):
    """Without cancel and reset, every typed message ends in the history, once and in order."""
    storm = Storm()
    for name, number in moves:
        storm.move(name, number)
    settle(storm)
    history = " ".join(turn.user for turn in storm.state.memory.turns)
    assert [word for word in history.split() if word.startswith("typed")] == storm.said

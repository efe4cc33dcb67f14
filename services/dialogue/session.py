"""One conversation on this worker: the shell around the pure machine. It reads: receive, step, perform."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from services.contracts import commands, events
from services.contracts.assignment import ABSENT_AFTER_SECONDS, Attach, Control, Mark, Marked, next_epoch
from services.contracts.characters import Character
from services.contracts.errors import Code
from services.contracts.frame import HEADER_BYTES, Flags, FrameError, Header, Kind, unpack
from services.contracts.settings import SessionSettings, Speculation
from services.contracts.trace import TraceContext
from services.dialogue import actions as do
from services.dialogue import asking, inputs
from services.dialogue.cast import Cast
from services.dialogue.checkpoint import Checkpoint, CheckpointStore
from services.dialogue.conversation import Conversation, hearing, mood, mood_event, open_text
from services.dialogue.counting import count
from services.dialogue.language import AnswerSource
from services.dialogue.listening import FrameRefused, Listener
from services.dialogue.machine import step
from services.dialogue.memory import Memory
from services.dialogue.outbox import Outbox
from services.dialogue.playout import Playout
from services.dialogue.speaking import Speaker
from services.dialogue.tracing import SessionTrace
from services.dialogue.vad import SENSITIVITIES, DetectionTicks
from services.speech.recogniser import Recogniser
from services.speech.synthesiser import Synthesiser
from services.telemetry import metrics
from services.telemetry.clocks import Clock
from services.telemetry.tracing import Tracer

log = structlog.get_logger(__name__)

COMPLAINT_SECONDS = 1.0
"""A flood of refused frames gets one error event in so long."""


@dataclass(frozen=True)
class Tools:
    """What all sessions of a worker share."""

    clock: Clock
    ticks: DetectionTicks
    recogniser: Recogniser
    synthesiser: Synthesiser
    source: Callable[[SessionSettings, Character], AnswerSource]
    """A session's own source of answers, for its settings and who answers."""
    characters: dict[str, Character]
    can_ask: bool
    costly: bool
    """The language model's answers cost money."""
    speculation: Speculation
    """What sessions may ask for."""
    checkpoints: CheckpointStore
    tracer: Tracer


class Session:
    def __init__(
        self,
        sid: str,
        token: str,
        settings: SessionSettings,
        tools: Tools,
        publish: Callable[[bytes], None],
        wid: str,
        restored: Checkpoint | None = None,
        measured: Callable[[events.TurnMetrics], None] = lambda turn: None,
        parent: TraceContext | None = None,
    ) -> None:
        """`measured` is told each turn whose time is known. `parent`: what the session's opening was part of."""
        self.sid = sid
        self._trace = SessionTrace(tools.tracer, tools.clock, sid, parent)
        self._wid = wid
        self._measured = measured
        self.token = token
        self._tools = tools
        self._clock = tools.clock
        self._outbox = Outbox(publish, tools.clock)
        self._playout = Playout()
        self._speaker = Speaker(tools.synthesiser, tools.clock, self.receive, self._playout)
        self._log = log.bind(session=sid)
        if restored:
            self._outbox.epoch = restored.epoch
            self._outbox.sequence = restored.sequence
        self._state = Conversation(
            settings=settings,
            cast=Cast(tools.characters, settings.character),
            memory=Memory(tuple(restored.turns)) if restored else Memory(),
            can_ask=tools.can_ask,
            costly=tools.costly,
            speculation=tools.speculation,
            prefix=f"{sid[:8]}-{self._outbox.epoch}-",
            generation=restored.generation if restored else 0,
            number=restored.number if restored else 0,
        )
        self._closed = False
        self._owed = restored.open_text if restored else ""
        self._lost_some = restored is not None and not (restored.closed and not restored.open_text)
        """The worker before this one may have said things that nobody can say again."""
        self._source = self._choose_source()
        self._listener = Listener(
            tools.ticks, tools.recogniser, tools.clock, self.receive, lambda number: f"{self._state.prefix}{number}"
        )
        self._hear_settings()
        self._events: deque[inputs.Event] = deque()
        self._stepping = False
        self._timer: asyncio.TimerHandle | None = None
        self._typed_us = 0
        """When the edge took in what was typed last, on its clock."""
        self._marked_lag = 0.0
        """Seconds from the last sample of speech to the end of its frame, of the turn that the edge was asked about."""
        self._underruns = 0
        self._underruns_of = 0
        """The generation that the count belongs to."""
        self._complained_at = 0.0
        self.detached_at: float | None = self._clock()
        """When the client was lost, or the session opened; None while a connection is known to be there."""
        self._present_at = self._clock()
        """When the last sign of a connection came."""
        self.heard_from_at = self._clock()
        """When the client last said or did something; silence from its microphone is not that."""
        self.superseded = False
        """The session is another worker's now; nothing of this one counts any more."""
        self.quiet = asyncio.Event()
        """Set while the client waits for nothing."""
        self.quiet.set()

    # --- Receive, step, perform ------------------------------------------------------------------------------

    def receive(self, event: inputs.Event) -> None:
        """Takes one event through the machine, and those that follow from it."""
        if isinstance(event, inputs.VoiceStarted):
            self.heard_from_at = event.at
        self._events.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._events:
                cause = self._events.popleft()
                self._state, actions = step(self._state, cause)
                for action in actions:
                    self._perform(action, cause)
                self._trace.settle(self._state)
                self._play()
        finally:
            self._stepping = False
        if self._state.answer is None and not self._state.turn:
            self.quiet.set()
        else:
            self.quiet.clear()

    def _perform(self, action: do.Action, cause: inputs.Event) -> None:
        match action:
            case do.Send(event):
                self._send(event)
            case do.WakeAt(at):
                self._wake_at(at)
            case do.ForgetVoice():
                self._listener.forget()
            case do.ExpectVoice():
                self._listener.expect_voice()
            case do.OpenUtterance(utterance):
                self._listener.open(utterance, self._trace.turn())
            case do.PauseUtterance(utterance):
                self._listener.pause(utterance)
            case do.ResumeUtterance(utterance):
                self._listener.resume(utterance)
            case do.CloseUtterance(utterance):
                self._listener.close(utterance)
            case do.CutUtterance(utterance):
                self._listener.cut(utterance)
            case do.AbandonUtterance(utterance):
                self._listener.abandon(utterance)
            case do.DropUtterances():
                self._listener.drop()
            case do.Ask(generation, user, character, prepared):
                turn, request = self._trace.asked(generation), asking.request(self._state, user, character)
                self._speaker.ask(generation, self._source, request, turn, prepared)
                if not prepared:
                    self._mark(generation)
            case do.Confirm(generation):
                self._speaker.confirm(generation)
                self._mark(generation)
            case do.Synthesise(generation, slot, text, character, prepared):
                voice, turn = asking.voice(self._state, character), self._trace.of(generation)
                self._speaker.synthesise(generation, slot, text, voice, turn, prepared)
            case do.SkipSlot(generation, slot):
                self._playout.end(generation, slot)
            case do.CloseAudio(generation, slots):
                self._playout.close(generation, slots)
            case do.StopAnswer(generation):
                self._speaker.stop(generation)
            case do.Measure(turn, ledger):
                turn = self._named(turn)
                self._trace.measured(turn, ledger)
                count(do.Measure(turn, ledger), cause)
                self._measured(turn)
            case do.Speculated() | do.TurnOver():
                count(action, cause)
            case do.Checkpoint():
                self._tools.checkpoints.save(self.sid, self._checkpoint())

    def _play(self) -> None:
        """Sends all audio that is in order and within the client's credit."""
        generation = self._playout.generation
        while frame := self._playout.take():
            first = self._playout.sent * 2 == len(frame)
            self._outbox.audio(generation, frame, last=self._playout.exhausted())
            if first:
                self._events.append(inputs.AudioSent(at=self._clock(), generation=generation))
        if self._playout.drained():
            drained = inputs.AudioDrained(
                at=self._clock(),
                generation=generation,
                last_sequence=self._outbox.sequence,
                samples=self._playout.sent,
            )
            self._events.append(drained)

    def _send(self, event: events.AnyEvent) -> None:
        generation, flags = self._state.generation, Flags.NONE
        match event:
            case events.AudioFlush():
                flags = Flags.FLUSH
            case events.AudioPause():
                metrics.ANSWERS_PAUSED.inc()
            case events.AudioResume():
                metrics.ANSWERS_RESUMED.inc()
            case events.Error():
                metrics.ERRORS.labels(event.code).inc()
            case events.SettingsChanged():
                # A source that remembers the conversation is not made anew because a slider moved.
                if self._source_for != _source_key(event.settings):
                    self._source = self._choose_source()
                self._hear_settings()
            case events.ResetDone():
                self._source = self._choose_source()
            case events.TurnMetrics():
                event = self._named(event)
            case events.TurnCommitted():
                self._trace.committed(event)
            case _:
                pass
        self._outbox.event(event, generation, flags)

    def _named(self, measured: events.TurnMetrics) -> events.TurnMetrics:
        return msgspec.structs.replace(measured, trace_id=self._trace.trace_id(measured.generation))

    def _mark(self, generation: int) -> None:
        """Have the edge say when this turn passed it, and passes it on its way back."""
        answer, frame = self._state.answer, self._listener.spoken
        spoken = answer is not None and answer.ledger.spoken
        self._marked_lag = frame[1] if spoken and frame else 0.0
        mark = Mark(
            generation=generation,
            sequence=frame[0] if spoken and frame else None,
            heard_us=self._typed_us if answer and not spoken and answer.ledger.client_end_ms else 0,
            traceparent=self._trace.of(generation).context.traceparent,
        )
        self._outbox.control(msgspec.json.encode(Control(verb="mark", mark=mark)))

    def _relayed(self, marked: Marked) -> None:
        ahead = marked.ahead_us
        heard = (marked.heard_us + ahead) / 1e6 - self._marked_lag if marked.heard_us else None
        took, sent = (marked.took_us + ahead) / 1e6, (marked.sent_us + ahead) / 1e6
        relayed = inputs.Relayed(at=self._clock(), generation=marked.generation, heard=heard, took=took, sent=sent)
        self.receive(relayed)

    def _wake_at(self, at: float | None) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if at is not None:
            delay = max(0.0, at - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._woken)

    def _woken(self) -> None:
        self.receive(inputs.Woken(at=self._clock()))

    def _choose_source(self) -> AnswerSource:
        settings = self._state.settings
        self._source_for = _source_key(settings)
        return self._tools.source(settings, self._tools.characters[settings.character])

    def _hear_settings(self) -> None:
        self._listener.sensitivity = SENSITIVITIES[self._state.settings.pause_sensitivity]
        self._listener.language = self._state.settings.language

    # --- The client --------------------------------------------------------------------------------------------

    @property
    def lost_at(self) -> float | None:
        """When its connection was lost; None while there is one, or one is being made."""
        return None if self._outbox.attached else self.detached_at

    @property
    def epoch(self) -> int:
        return self._outbox.epoch

    def attach(self, request: Attach) -> None:
        """A connection of the client is there: greets it and sends what it has missed."""
        outbox = self._outbox
        outbox.epoch = next_epoch(outbox.epoch, request)
        outbox.sequence = max(outbox.sequence, request.last_sequence)
        fresh = request.last_sequence == 0
        complete = not (fresh or self._lost_some) and outbox.remembers(request.last_sequence)
        self._lost_some = False
        # Not counted as connected before the first sign of it: the reply to this may come too late for its edge.
        self.detached_at = self._present_at = self.heard_from_at = self._clock()
        if fresh:
            # Before the greeting, so that its history has the turn that was going on, as far as it was heard.
            outbox.attached = False
            self.receive(inputs.ConnectionBack(at=self._clock(), fresh=True))
        ready = events.Ready(
            protocol=commands.PROTOCOL,
            session_id=self.sid,
            token=self.token,
            epoch=outbox.epoch,
            generation=self._state.generation,
            resumed=request.resume,
            complete=complete or not request.resume,
            settings=self._state.settings,
            characters=list(self._tools.characters.values()),
            answer_source=self._source.about,
            history=list(self._state.memory.turns),
        )
        self._listener.renumber()
        outbox.welcome(ready, request.last_sequence)
        outbox.attached = True
        if complete:
            outbox.replay(request.last_sequence)
        if not fresh:
            self.receive(inputs.ConnectionBack(at=self._clock(), fresh=False))
        self._send(mood_event(self._state, mood(self._state)))
        if self._owed:
            owed, self._owed = self._owed, ""
            self.receive(inputs.Restored(at=self._clock(), user=owed))
        self._tools.checkpoints.save(self.sid, self._checkpoint())

    def message(self, message: bytes) -> None:
        """One message of the uplink subject. Never raises: what is wrong with it goes to the client."""
        try:
            header = unpack(message)
        except FrameError as error:
            self._complain(Code.MALFORMED_FRAME, str(error))
            return
        payload = message[HEADER_BYTES:]
        if header.kind is Kind.CONTROL:
            self._control(header, payload)
        if header.epoch != self._outbox.epoch or self.superseded:
            return
        self._seen()
        match header.kind:
            case Kind.AUDIO:
                try:
                    self._listener.feed(header, payload, hearing(self._state))
                except FrameRefused as refused:
                    self._complain(refused.code, str(refused))
            case Kind.JSON:
                self._command(header, payload)
            case Kind.CONTROL:
                pass

    def _command(self, header: Header, payload: bytes) -> None:
        try:
            command = commands.decode(payload)
        except commands.CommandError as error:
            self._send(events.error(error.code, str(error)))
            return
        now = self._clock()
        match command:
            case commands.Ping():
                self._outbox.event(events.Pong(at_ms=command.at_ms, server_ms=now * 1000))
                return
            case commands.Hello():
                self._send(events.error(Code.INVALID_COMMAND, "This connection has said hello already."))
                return
            case commands.UserMessage():
                self._typed_us = header.time_us
            case commands.Played():
                self._playout.played(command.generation, command.samples)
                before = self._underruns if command.generation == self._underruns_of else 0
                metrics.UNDERRUNS.inc(max(0, command.underruns - before))
                self._underruns, self._underruns_of = command.underruns, command.generation
            case _:
                pass
        self.heard_from_at = now
        self.receive(inputs.Commanded(at=now, command=command))

    def _control(self, header: Header, payload: bytes) -> None:
        control = msgspec.json.decode(payload, type=Control)
        if control.verb == "present" and control.wid != self._wid and header.epoch >= self._outbox.epoch:
            self.superseded = True
        elif control.verb == "detached" and header.epoch == self._outbox.epoch:
            self._lose_connection()
        elif control.verb == "marked" and control.marked and header.epoch == self._outbox.epoch:
            self._relayed(control.marked)

    def _seen(self) -> None:
        """A sign of the connection came."""
        self._present_at = self._clock()
        if self.detached_at is not None and self._outbox.attached:
            self.detached_at = None

    def _lose_connection(self) -> None:
        if self._outbox.attached:
            self._outbox.attached = False
            self.detached_at = self._clock()
            self.receive(inputs.ConnectionLost(at=self._clock()))

    def tend(self) -> None:
        """Called once a second: a connection of which nothing is heard is gone, and its edge with it."""
        if self._clock() - self._present_at > ABSENT_AFTER_SECONDS:
            self._lose_connection()

    def missed(self) -> None:
        """Messages of the client were lost on the way here, since this worker did not take them in time."""
        self._complain(
            Code.INTERNAL_ERROR, "This server fell behind, and some of what you said was lost; say it again."
        )

    def _complain(self, code: Code, message: str) -> None:
        now = self._clock()
        if now - self._complained_at >= COMPLAINT_SECONDS:
            self._complained_at = now
            self._send(events.error(code, message))

    # --- The end -----------------------------------------------------------------------------------------------

    def close(self, code: Code | None) -> None:
        """Ends all work for good; with a code the client is told why and disconnected.

        What is large is let go of here: a session that ended is one of a cycle of objects, and a busy worker's garbage
        collector, which counts objects and not their size, may come to it only after hundreds of others.
        """
        self._closed = True
        self._wake_at(None)
        self._listener.drop()
        self._listener.forget()
        self._speaker.stop(self._state.generation + 1)
        self._trace.close()
        if code:
            self._outbox.control(msgspec.json.encode(Control(verb="close", code=code)))
        self._outbox.forget()

    def checkpoint(self) -> None:
        self._tools.checkpoints.save(self.sid, self._checkpoint())

    def _checkpoint(self) -> Checkpoint:
        state = self._state
        return Checkpoint(
            token=self.token,
            settings=state.settings,
            turns=list(state.memory.turns),
            generation=state.generation,
            number=state.number,
            epoch=self._outbox.epoch,
            sequence=self._outbox.sequence,
            open_text=open_text(state),
            closed=self._closed,
        )


def _source_key(settings: SessionSettings) -> tuple[str, str, int | None]:
    """What a source of answers is chosen by."""
    return settings.response_mode, settings.character, settings.seed

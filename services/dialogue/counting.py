"""What becomes of turns, as counters and histograms."""

from services.contracts import commands
from services.dialogue import actions as do
from services.dialogue import inputs
from services.telemetry import metrics


def count(action: do.Measure | do.Speculated | do.TurnOver, cause: inputs.Event) -> None:
    """`cause`: what the machine was told when it decided so."""
    match action:
        case do.Measure(turn):
            exemplar = {"trace_id": turn.trace_id} if turn.trace_id else None
            metrics.FIRST_AUDIO.observe(turn.total_ms / 1000, exemplar)
            for part in turn.parts:
                metrics.TURN_PART.labels(part.name).observe(max(0.0, part.ms) / 1000, exemplar)
        case do.Speculated("kept", seconds):
            metrics.SPECULATIONS.labels("kept").inc()
            metrics.SPECULATION_WON.observe(seconds)
        case do.Speculated(outcome, seconds, characters):
            metrics.SPECULATIONS.labels(outcome).inc()
            metrics.SPECULATION_WASTED_SECONDS.inc(seconds)
            metrics.SPECULATION_WASTED_CHARACTERS.inc(characters)
        case do.TurnOver(outcome):
            metrics.TURNS.labels(outcome).inc()
            if outcome == "interrupted":
                metrics.INTERRUPTIONS.labels(_kind(cause)).inc()


def _kind(cause: inputs.Event) -> str:
    """How an answer was interrupted."""
    match cause:
        case inputs.VoiceStarted() | inputs.VoiceStopped() | inputs.Woken():
            return "voice"
        case inputs.PartialTranscript() | inputs.FinalTranscript():
            return "voice"
        case inputs.Commanded(command=commands.Interrupt() | commands.Cancel()):
            return "button"
        case inputs.Commanded(command=commands.UserMessage()):
            return "typed"
        case _:
            return "other"

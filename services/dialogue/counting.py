"""What becomes of turns, as counters and histograms."""

from services.dialogue import actions as do
from services.telemetry import metrics


def count(action: do.Measure | do.Speculated | do.TurnOver) -> None:
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
                metrics.INTERRUPTIONS.inc()

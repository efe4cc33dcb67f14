"""What becomes of turns, as a scraper sees it."""

import pytest

from services.contracts import commands
from services.contracts.speech import RecognitionResult
from services.dialogue import actions as do
from services.dialogue import inputs
from services.dialogue.counting import count
from services.telemetry import metrics

PARTIAL = RecognitionResult(utterance="u", text="no wait", is_final=False)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (inputs.PartialTranscript(at=0, utterance=1, result=PARTIAL, whole=False), "voice"),
        (inputs.VoiceStarted(at=0, client_ms=0), "voice"),
        (inputs.Commanded(at=0, command=commands.Interrupt()), "button"),
        (inputs.Commanded(at=0, command=commands.UserMessage(text="no wait")), "typed"),
        (inputs.ConnectionBack(at=0, fresh=True), "other"),
    ],
)
def test_an_answer_is_stopped_by_somebody(cause: inputs.Event, kind: str):
    def counted() -> float:
        return metrics.WORKER.get_sample_value("parley_interruptions_total", {"kind": kind}) or 0.0

    before = counted()
    count(do.TurnOver("interrupted"), cause)
    count(do.TurnOver("answered"), cause)
    assert counted() - before == 1

import pytest

from services.contracts import commands
from services.dialogue import actions as do
from services.dialogue import inputs
from services.dialogue.counting import count
from services.telemetry import metrics


def interruptions(kind: str) -> float:
    return metrics.INTERRUPTIONS.labels(kind)._value.get()


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (inputs.VoiceStarted(at=1.0, client_ms=1000.0), "voice"),
        (inputs.Commanded(command=commands.Interrupt(), at=1.0), "button"),
        (inputs.Commanded(command=commands.UserMessage(text="Wait."), at=1.0), "typed"),
        (inputs.Commanded(command=commands.Reset(), at=1.0), "other"),
    ],
)
def test_an_interruption_is_counted_by_what_caused_it(cause: inputs.Event, kind: str):
    before = interruptions(kind)
    count(do.TurnOver("interrupted"), cause)
    assert interruptions(kind) == before + 1
    count(do.TurnOver("answered"), cause)
    assert interruptions(kind) == before + 1

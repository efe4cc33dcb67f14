"""What is wrong with an answer's audio."""

import pytest

from loadtest.answers import SILENT_RMS, wrong
from loadtest.wires import SAMPLE_RATE

TEXT = "It will rain tomorrow."
SECONDS = 2
SAMPLES = SECONDS * SAMPLE_RATE
LOUD = 1000.0**2 * SAMPLES


@pytest.mark.parametrize(
    ("samples", "sent", "energy", "text", "said"),
    [
        (SAMPLES, SAMPLES, LOUD, TEXT, ""),
        (SAMPLES, None, None, "", ""),
        (SAMPLES - 1, SAMPLES, LOUD, TEXT, f"{SAMPLES - 1} samples of the answer came and {SAMPLES} were sent"),
        (SAMPLES, SAMPLES, SILENT_RMS**2 * SAMPLES * 0.9, TEXT, "the answer is silent"),
        (SAMPLES, SAMPLES, LOUD, TEXT * 20, f"the answer has {20 * len(TEXT)} characters and lasts 2.00 s"),
        (20 * SAMPLES, None, None, TEXT, f"the answer has {len(TEXT)} characters and lasts 40.00 s"),
        (SAMPLES, SAMPLES, LOUD, "7", ""),
    ],
)
def test_an_answer(samples: int, sent: int | None, energy: float | None, text: str, said: str):
    assert wrong(samples, sent, energy, text) == said

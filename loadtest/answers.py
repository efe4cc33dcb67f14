"""Whether what sounded was the answer: all of it, not silence, and as long as its text takes to say. Pure."""

from loadtest.wires import SAMPLE_RATE

SILENT_RMS = 30.0
"""Of 32767: -60 dB. A voice that can be heard at all is ten times as loud."""
CHARACTER_S = (0.02, 0.25)
"""A character takes so long to say, from the fastest voice to the slowest."""
SHORT = 8
"""Characters: what is shorter may be a number or an abbreviation, which take as long as they like."""


def wrong(samples: int, sent: int | None, energy: float | None, text: str) -> str:
    """What is wrong with an answer's audio, or "".

    `sent`: samples that the server says it sent, where it does; `energy`: the sum of the squared samples, where
    somebody looked; `text`: what was said in them, "" where that is not known.
    """
    if sent is not None and samples != sent:
        return f"{samples} samples of the answer came and {sent} were sent"
    if energy is not None and samples and (energy / samples) ** 0.5 < SILENT_RMS:
        return "the answer is silent"
    if len(text) >= SHORT:
        each = samples / SAMPLE_RATE / len(text)
        shortest, longest = CHARACTER_S
        if not shortest <= each <= longest:
            return f"the answer has {len(text)} characters and lasts {samples / SAMPLE_RATE:.2f} s"
    return ""

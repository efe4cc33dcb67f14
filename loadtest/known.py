"""The part of an answer's latency that is known beforehand, because settings and stand-ins make it."""

from loadtest.models.language import TOKENS
from loadtest.models.latencies import Latencies
from services.dialogue.sentences import Cutter, feed

Parts = dict[str, float]
"""Milliseconds by name, in order; they sum to what no server can go below without guessing ahead."""


def tokens_to_the_first_piece(tokens: list[str]) -> int:
    """Tokens after the first that the sentence cutter needs before it gives out something to be said."""
    cutter = Cutter()
    for number, token in enumerate(tokens):
        cutter, pieces = feed(cutter, token)
        if pieces:
            return number
    return len(tokens)


def parts(silence_ms: float, times: Latencies, tokens: int | None = None) -> Parts:
    """`tokens`: how many after the first are waited for; by default what our own sentence cutter needs."""
    count = tokens_to_the_first_piece(TOKENS) if tokens is None else tokens
    return {
        "silence": silence_ms,
        "recognition": times.stt_final_ms,
        "first token": times.llm_first_ms,
        f"{count} tokens": count * times.llm_token_ms,
        "first chunk": times.tts_first_ms,
    }

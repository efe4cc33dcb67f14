"""How long the stand-ins take, from the environment; load tests only."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

PREFIX = "LOADTEST_"


@dataclass(frozen=True)
class Latencies:
    stt_final_ms: float = 100.0
    """A final transcript, from its request."""
    tts_first_ms: float = 200.0
    """A sentence's first samples, from its request."""
    tts_rate: float = 0.3
    """Seconds that a second of speech takes after that."""
    llm_first_ms: float = 200.0
    """An answer's first token, from its request."""
    llm_token_ms: float = 10.0
    """Each further token."""

    def environment(self) -> dict[str, str]:
        return {f"{PREFIX}{field.name.upper()}": str(getattr(self, field.name)) for field in fields(self)}


def from_environment(environment: Mapping[str, str] = os.environ) -> Latencies:
    """Those that are set, the defaults for the rest. Raises ValueError for what is no number of 0 or more."""
    given: dict[str, float] = {}
    for field in fields(Latencies):
        variable = f"{PREFIX}{field.name.upper()}"
        if text := environment.get(variable):
            given[field.name] = float(text)
            if not 0 <= given[field.name] < 1e6:
                raise ValueError(f"{variable} is {text}; it takes a number from 0 on")
    return Latencies(**given)

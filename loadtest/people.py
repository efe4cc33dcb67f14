"""Who talks in a load test: the kinds of users, how often they come and how long they stay. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.talking import Barge

TURN_S = 10.5
"""About what a turn takes, from one's first word to the next one's: speaking, waiting, hearing the answer, thinking."""


@dataclass(frozen=True)
class Kind:
    name: str
    weight: int
    barge: Barge = ""
    full_duplex: bool = False
    types: bool = False
    drops: bool = False
    """Loses its connection in the middle of every other answer and takes the session up again."""
    slow: bool = False
    """Reads what comes hardly faster than it is played, and stalls now and then."""


KINDS = (
    Kind("talking", 10),
    Kind("interrupting", 3, barge="voice", full_duplex=True),
    Kind("reconnecting", 3, drops=True),
    Kind("slow", 2, slow=True),
    Kind("typing", 2, types=True),
)
DROP_SHARE = 0.5
"""Of the answers of somebody who drops."""
DROP_AFTER_S = (0.5, 2.5)
"""Of the answer."""
AWAY_S = (0.2, 1.5)
READ_BYTES_PER_S = 60_000
"""What is played takes 48,000."""
RECEIVE_BUFFER_BYTES = 16_384
STALL_S = 1.0


def mix(text: str) -> dict[str, int]:
    """Weights by kind, as `talking=10,typing=2`; kinds that are not named do not come. Raises ValueError."""
    known = {kind.name for kind in KINDS}
    weights: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in known or not weight.isascii() or not weight.isdigit():
            raise ValueError(f"kinds with weights are wanted, such as talking=10,typing=2; not {part.strip()!r}")
        weights[name] = int(weight)
    if not sum(weights.values()):
        raise ValueError("at least one kind needs a weight above 0")
    return weights


def turns(mean: float, choose: random.Random) -> int:
    """How many turns somebody stays for, 1 and more: geometric, so that who is there already stays as long again."""
    count = 1
    while choose.random() > 1 / mean:
        count += 1
    return count


def arrivals(mean_turns: float, choose: random.Random) -> Iterator[float]:
    """Seconds after the beginning at which somebody comes, of a source that has one person there on average.

    The first comes within one turn's time: as stays are geometric, the load is steady from then on. The others come by
    a Poisson process that knows nothing of how the server does: where answers are slow, people pile up.
    """
    first = choose.uniform(0, TURN_S)
    at = choose.expovariate(1 / (mean_turns * TURN_S))
    while at < first:
        yield at
        at += choose.expovariate(1 / (mean_turns * TURN_S))
    yield first
    while True:
        yield at
        at += choose.expovariate(1 / (mean_turns * TURN_S))

"""A rule of the template answers: what is recognised, and what is said to it.

A pattern sees lower-case words without punctuation, contractions written out. In a reply, {it} is the pattern's
group of that name with the pronouns turned round, {name} the character, {user} the user's name, {last} the reply
before. A reply for which something is missing is not taken. One to three short sentences:
the first may be spoken while the next is still being prepared, and the last gives the user something to go on with.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    rank: int
    """Of all that match, the rule with the highest rank replies."""
    pattern: re.Pattern[str]
    replies: tuple[str, ...]
    otherwise: tuple[str, ...] = ()
    """Taken when something is missing for each of `replies`."""


def rule(rank: int, pattern: str, *replies: str, otherwise: tuple[str, ...] = ()) -> Rule:
    return Rule(rank, re.compile(pattern), replies, otherwise)

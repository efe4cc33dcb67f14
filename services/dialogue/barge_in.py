"""Is the voice over an answer someone who wants to speak? Pure.

A voice over the answer pauses it. It is then taken up again, if the voice was a cough or an "mm-hm", or stopped for
good, if it said something or went on for long.
"""

from enum import Enum, auto

from services.dialogue.wording import words

ONSET_S = 0.12
"""Voice over an answer that pauses it; doubles with each time that it was nothing, so that a noisy room or a poor echo
canceller does not make the answer stutter."""
LONGEST_ONSET_S = 0.6
ADAPTING_S = 1.0
"""The first answer's first moments: the client's echo canceller has not heard this loudspeaker yet."""
SETTLING_S = 0.3
"""Later answers' first moments."""
SPEECH_S = 0.6
"""A voice that goes on for so long over a paused answer is someone who speaks, whatever recognition makes of it."""
SHORTEST_WORD_S = 0.2
"""Words that recognition finds in less voice than this are not believed."""
NEAR_END_S = 1.0
"""With less than this left of an answer, a "yes" over it is a reply to it."""


def _set(words_of_it: str) -> frozenset[str]:
    return frozenset(words_of_it.split())


_LISTENERS_WORDS = _set(
    "huh uh um uhuh uhhuh aha ah oh ooh yeah yes yep yup okay ok right sure really wow nice cool great true exactly "
    "indeed ja genau oui sí vale"
)
_HUM = frozenset("mh")
"""What a hum is spelt with, each recogniser in its own way: "mm", "hmm", "mhm", "mmhmm"."""
_HUMMED = _set("im em")
"""What a recogniser with a fixed vocabulary makes of a hum, "im im": no words of their own when said twice and nothing
else. A voice that lasts is believed all the same; see SPEECH_S."""
_LISTENERS_PHRASES = frozenset({"i see", "got it", "oh really", "all right", "of course"})
_LONGEST_BACKCHANNEL = 3


class Verdict(Enum):
    NOTHING = auto()
    """A noise, or a listener's "mm-hm"."""
    UNCLEAR = auto()
    SPEECH = auto()


def backchannel(text: str) -> bool:
    """Words by which a listener shows that they listen; also no words at all."""
    said = words(text)
    if len(said) > _LONGEST_BACKCHANNEL:
        return False
    hummed = len(said) > 1 and len(set(said)) == 1 and said[0] in _HUMMED
    listens = all(word in _LISTENERS_WORDS or _HUM.issuperset(word) for word in said)
    return hummed or listens or " ".join(said) in _LISTENERS_PHRASES


def judge(text: str, voiced_s: float, complete: bool, reply: bool) -> Verdict:
    """What a voice over the answer is. `text`: what recognition has made of it; `complete`: that is all of it, the
    voice has paused; `reply`: the answer was nearly over, so that a "yes" is one."""
    said = words(text)
    if not said or voiced_s < SHORTEST_WORD_S or (backchannel(text) and not reply):
        return Verdict.NOTHING if complete else Verdict.UNCLEAR
    # The only word of an unfinished transcript is often another one a moment later.
    return Verdict.SPEECH if complete or len(said) > 1 else Verdict.UNCLEAR


def onset_s(false_alarms: int) -> float:
    """Voice over an answer that pauses it, after so many pauses of it that were for nothing."""
    return min(LONGEST_ONSET_S, ONSET_S * 2**false_alarms)

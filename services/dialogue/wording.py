"""Does what was said so far sound finished? Judged from the words alone: how long a silence ends the turn.

Careful on one side only: a sentence wrongly taken for unfinished costs the listener half a second, one wrongly taken
for finished cuts the speaker off. So only questions and set phrases count as finished, and only by a little.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Wording(Enum):
    OPEN = auto()
    """Nothing to go by."""
    FINISHED = auto()
    UNFINISHED = auto()


@dataclass(frozen=True)
class _Words:
    dangling: frozenset[str]
    """No sentence ends with these."""
    leaning: frozenset[str] = frozenset()
    """Nor with these, unless it is a question: "Where are you from"."""
    asking: frozenset[str] = frozenset()
    """A question begins with one of these."""
    closing: frozenset[str] = frozenset()
    """Whole utterances that need nothing more."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LANGUAGES: Mapping[str, _Words] = {
    "en": _Words(
        dangling=_set(
            "and or but because although though unless until while whereas whether if than nor the a an my your his "
            "their our its i i'm we're they're you're um uh er uhm erm every each very gonna wanna"
        ),
        leaning=_set("of to with for from at into as by is are was were am be been between about like"),
        asking=_set(
            "who what where when why how which whose do does did is are was were can could would will should shall "
            "may might have has had isn't aren't don't doesn't didn't can't couldn't won't wouldn't what's where's "
            "who's how's when's"
        ),
        closing=frozenset(
            {
                *_set("yes no yeah yep nope okay ok sure thanks stop goodbye bye hello hi please"),
                *("yes please", "no thanks", "no thank you", "thank you", "thanks a lot", "never mind", "that's all"),
                *("that's it", "good bye", "of course", "not really", "i don't know", "go on", "please go on"),
            }
        ),
    ),
    "de": _Words(
        dangling=_set(
            "und oder aber weil dass obwohl während wenn falls damit ob sondern denn der die das ein eine einen einem "
            "einer mein meine dein deine ich äh ähm hm sehr"
        ),
        closing=_set("ja nein doch danke okay genau bitte stopp tschüss hallo"),
    ),
    "fr": _Words(
        dangling=_set("et ou mais parce que puisque donc car si le la les un une des du de mon ma mes ton ta je euh à"),
        closing=_set("oui non merci d'accord stop salut bonjour"),
    ),
    "es": _Words(
        dangling=_set("y o pero porque aunque si que el la los las un una unos mi tu su yo eh de del para con por"),
        closing=_set("sí no gracias vale hola adiós"),
    ),
}
_QUESTION_WORDS = 4
"""A question in so many words or more is taken for one without its mark: fewer may be its beginning."""
_ASSENT = re.compile(r"\b(?:think|thought|hope|guess|say|said|believe|do|if|or|why|how|ever) so$")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def words(text: str) -> list[str]:
    """The words of a text, in lower case, without marks."""
    return [word.casefold().replace("\u2019", "'") for word in _WORD.findall(text)]


def wording(text: str, language: str = "en") -> Wording:
    """How `text` ends. Of a language that is not known here only the marks are read."""
    text = text.rstrip()
    spoken = words(text)
    if not spoken:
        return Wording.OPEN
    if text.endswith("?"):
        return Wording.FINISHED
    if text.endswith(("...", "\u2026", ",", ":", ";", "-", "\u2013", "\u2014")):
        return Wording.UNFINISHED
    known = _LANGUAGES.get(language, _Words(frozenset()))
    if " ".join(spoken) in known.closing:
        return Wording.FINISHED
    last, asked = spoken[-1], spoken[0] in known.asking
    if last in known.dangling:
        return Wording.UNFINISHED
    if last == "so" and language == "en":
        return Wording.OPEN if _ASSENT.search(" ".join(spoken)) or len(spoken) == 1 else Wording.UNFINISHED
    if last in known.leaning:
        return Wording.OPEN if asked else Wording.UNFINISHED
    if asked and len(spoken) >= _QUESTION_WORDS:
        return Wording.FINISHED
    return Wording.OPEN

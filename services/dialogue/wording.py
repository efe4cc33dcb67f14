"""Does what was said so far sound finished? Judged from the words alone: how long a silence ends the turn.

Careful on one side only: a sentence wrongly taken for unfinished costs the listener up to a second, one wrongly taken
for finished cuts the speaker off. So only questions and set phrases count as finished, and only by a little.
"""

import re
import unicodedata
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
    openers: frozenset[str] = frozenset()
    auxiliaries: frozenset[str] = frozenset()
    """A question begins with an auxiliary, or with an opener and an auxiliary, …"""
    opening: frozenset[str] = frozenset()
    """… or with one of these, which are both."""
    hanging: frozenset[str] = frozenset()
    """A question may end with these, but more often goes on."""
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
        openers=_set("who what where when why how which whose"),
        auxiliaries=_set(
            "do does did am is are was were can could would will should shall may might have has had isn't aren't "
            "don't doesn't didn't can't couldn't won't wouldn't"
        ),
        opening=_set("what's where's who's how's when's"),
        hanging=_set(
            "me you us them that this it if how where what when why who which tell explain think know say mean believe "
            "imagine remember suppose help show give please just maybe possibly"
        ),
        closing=frozenset(
            {
                *_set("yes no yeah yep nope okay ok sure thanks stop goodbye bye hello hi please"),
                *("yes please", "no thanks", "no thank you", "thank you", "thanks a lot", "never mind", "that's all"),
                *("that's it", "good bye", "of course", "not really", "i don't know", "go on", "please go on"),
                *("how are you", "who are you", "what is it", "is that so", "is that it"),
            }
        ),
    ),
    "de": _Words(
        dangling=_set("und oder aber weil dass obwohl während wenn falls damit ob sondern denn äh ähm"),
        closing=_set("ja nein doch danke okay genau bitte stopp tschüss hallo"),
    ),
    "fr": _Words(
        dangling=_set("et ou mais que puisque car les des du mon ma mes ton ta je euh à"),
        closing=_set("oui non merci d'accord stop salut bonjour"),
    ),
    "es": _Words(
        dangling=_set("y o pero porque aunque que el las los mi tu su eh de del con por"),
        closing=_set("sí no gracias vale hola adiós"),
    ),
}
_QUESTION_WORDS = 4
_REQUEST_WORDS = 5
"""Without its mark a question is taken for one in so many words or more, "what is …" and "can you …": fewer may be its
beginning."""
_SENTENCE_MARKS = re.compile(
    r"[.,!?;:\u2026\u3002\uff0c\uff1f\uff01\u0964\u061f\"\u201c\u201d\u201e\u00ab\u00bb\u00bf\u00a1]"
)
_ASSENT = re.compile(r"\b(?:think|thought|hope|guess|say|said|believe|do|if|or|why|how|ever) so$")
_GAPS = re.compile(r"[\s\u2026]+|(?<=\w)[-\u2013\u2014](?=\w)")


def words(text: str) -> list[str]:
    """The words of a text, in lower case, without the marks around them."""
    found = (_bare(part) for part in _GAPS.split(text.casefold().replace("\u2019", "'")))
    return [word for word in found if word]


def _bare(word: str) -> str:
    return word.strip("".join({mark for mark in word if unicodedata.category(mark)[0] == "P"}))


def alike(one: str, other: str) -> bool:
    """The same words, however they are set: only case, spaces and sentence marks may differ."""
    return _set_plainly(one) == _set_plainly(other)


def _set_plainly(text: str) -> list[str]:
    return _SENTENCE_MARKS.sub(" ", unicodedata.normalize("NFC", text).casefold().replace("\u2019", "'")).split()


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
    last = spoken[-1]
    if last == "i" and len(spoken) > 1 and spoken[-2] in known.auxiliaries:
        return Wording.OPEN  # "so do I"
    if last in known.dangling:
        return Wording.UNFINISHED
    if last == "so" and language == "en":
        return Wording.OPEN if _ASSENT.search(" ".join(spoken)) or len(spoken) == 1 else Wording.UNFINISHED
    least = _asks(spoken, known)
    if last in known.leaning:
        return Wording.OPEN if least else Wording.UNFINISHED
    return Wording.FINISHED if least and len(spoken) >= least and last not in known.hanging else Wording.OPEN


def _asks(spoken: list[str], known: _Words) -> int:
    """How many words a question has at least that begins like this: "what is …", "where do …", "can you …". 0: it is
    none, as in "what I want", "when I was", "how we met".
    """
    first, second = spoken[0], spoken[1] if len(spoken) > 1 else ""
    if first in known.opening or (first in known.openers and second in known.auxiliaries):
        return _QUESTION_WORDS
    return _REQUEST_WORDS if first in known.auxiliaries else 0

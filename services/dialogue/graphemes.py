"""Which neighbouring characters belong together on the screen, and how long a character takes to say."""

import re
import unicodedata

PICTOGRAPHS = (
    "\U0001f000-\U0001faff"  # emoji, flags and skin tones
    "\u2300-\u23ff\u2460-\u24ff\u2500-\u27bf\u2b00-\u2bff"  # technical, enclosed, boxes, shapes, dingbats, stars
    "\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f"  # what only ever follows one of them
)
"""Body of a regular-expression class: signs that are looked at, not said."""

WIDE = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u3098\u309b-\u33ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003134f"
)
"""Body of a regular-expression class: ideographs, kana and Hangul, where one character is about a syllable."""

WIDE_PARTS = "\u1160-\u11ff\uff9e\uff9f"
"""Body of a regular-expression class: vowels and finals of Hangul, and voicing marks, that continue a syllable."""

WIDE_WEIGHT = 3
"""A syllable takes as long to say as about three letters of an alphabet."""

_WIDE = re.compile(f"[{WIDE}]")
_WIDE_PART = re.compile(f"[{WIDE_PARTS}]")
_ZERO_WIDTH_JOINER = "\u200d"


def weight(text: str) -> int:
    """How long `text` takes to say, in letters of an alphabet; never less than its length."""
    if text.isascii():
        return len(text)
    return len(text) + (WIDE_WEIGHT - 1) * len(_WIDE.findall(text))


def fitting(text: str, start: int, limit: int) -> int:
    """The first index from which on text[start:] is heavier than `limit`; len(text) when all of it fits."""
    end = min(start + limit, len(text))
    if text.isascii():
        return end
    room = limit
    for index in range(start, end):
        room -= WIDE_WEIGHT if _WIDE.match(text, index) else 1
        if room < 0:
            return index
    return end


def joined(text: str, index: int) -> bool:
    """Whether text[index - 1] and text[index] are parts of one visible character."""
    if not 0 < index < len(text):
        return False
    before, after = text[index - 1], text[index]
    if after == _ZERO_WIDTH_JOINER or before == _ZERO_WIDTH_JOINER:
        return True
    if unicodedata.category(after) in ("Mn", "Mc", "Me") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if _WIDE_PART.match(after) and _WIDE.match(before):
        return True
    if "\U000e0020" <= after <= "\U000e007f" or (before == "\r" and after == "\n"):
        return True
    if _is_flag_half(before) and _is_flag_half(after):
        run = index
        while run > 0 and _is_flag_half(text[run - 1]):
            run -= 1
        return (index - run) % 2 == 1
    return False


def whole(text: str, start: int, end: int) -> int:
    """The last index in (start, end] that does not cut a visible character; `end` when there is none."""
    index = end
    while index > start and joined(text, index):
        index -= 1
    return index if index > start else end


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"

"""Cuts an answer, as a language model writes it, into the pieces that are spoken.

Pure: `feed` and `finish` take a `Cutter` and give back the next. What is cut depends on the text alone and
never on how it came in tokens: a decision is taken as soon as no further text can change it, and not before.

Judged is a word at a time, once the character after it is known, by how it ends: "3.14", "U.S.", "example.com/a.b"
need no rules of their own then, because a full stop counts only in front of white space. Where the word alone
does not say (after "No.", "p.m.", "...", or a closing quote) the first letter of the next word does. Tokenisers put the
space and that letter into one token, so a finished sentence waits for one token and no longer.
"""

import re
from dataclasses import dataclass, field, replace
from enum import IntEnum

from services.dialogue import graphemes


@dataclass(frozen=True)
class Limits:
    """Lengths in letters (see `graphemes.weight`); spoken English has about 15 a second."""

    opening: int = 60
    """The longest first piece: speech starts with it, so it must not be waited for."""
    growth: int = 2
    """A later piece may be longer by this many times what was cut before it: while that is being spoken the model
    writes more than three times as fast, so that the voice does not run dry."""
    maximum: int = 200
    minimum: int = 20
    """A shorter sentence is spoken together with the next, except as the first piece; so is a shorter first clause."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of an answer. The pieces' raw texts, one after the other, are the answer.

    White space belongs to the piece after it; white space at the answer's end belongs to none.
    """

    start: int
    """Offset of `raw` in the answer."""
    raw: str
    code: bool = False
    """Part of a fenced code block: to be shown, not said."""

    @property
    def end(self) -> int:
        return self.start + len(self.raw)

    @property
    def text(self) -> str:
        return self.raw.strip()


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far the pending text has been judged and where it could be cut; offsets from its start, 0: nowhere."""

    judged: int = 0
    weight: int = 0
    """Of the visible text up to `judged`."""
    clause: int = 0
    phrase: int = 0
    word: int = 0
    bound: int = 0
    """After a word that leans on the next, such as "the" or "5"."""


@dataclass(frozen=True)
class Cutter:
    """An answer being cut. At most one piece's worth of visible text is pending, so each call's cost is bounded."""

    limits: Limits = Limits()
    offset: int = 0
    """Length of the answer that has been given out."""
    said: int = 0
    """Weight of the pieces given out that have words in them."""
    pending: str = ""
    fence: str = ""
    """The back-ticks that opened the code block we are in."""
    opening: bool = False
    """The pending text begins with the line that opened the code block."""
    _progress: _Progress = field(default=_Progress(), repr=False)


def feed(cutter: Cutter, text: str) -> tuple[Cutter, list[Piece]]:
    """The pieces that are certain now that `text` has been written."""
    return _advance(cutter, text, final=False)


def finish(cutter: Cutter) -> list[Piece]:
    """The pieces that remain when the answer has ended."""
    return _advance(cutter, "", final=True)[1]


class _Break(IntEnum):
    """What may happen after a word."""

    NONE = 0
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3


# Sentence ends of scripts that put no space after them, and what ends a clause there.
_UNSPACED_STOPS = "。！？｡।॥።፧။។։"
_UNSPACED_CLAUSES = "，、；：､—―"
_STOPS = frozenset(".!?…؟۔" + _UNSPACED_STOPS)
_CLAUSES = frozenset(",;:،؛–" + _UNSPACED_CLAUSES)
_CLOSERS = frozenset("\"'”’»›)]}」』】）》〉*_~`")
_PICTOGRAPH = re.compile(f"[{graphemes.PICTOGRAPHS}\u200d]")
_OPENERS = "([{\"'“‘«‹„¿¡「『*_~`#>-–—"
_DASHES = frozenset(("-", "--", "---", "–", "—"))

# A word: up to white space, or up to a mark that ends something without white space, with what belongs to the mark.
_UNSPACED = re.escape(_UNSPACED_STOPS + _UNSPACED_CLAUSES)
_AFTER_MARK = re.escape("".join(sorted(_STOPS | _CLAUSES | _CLOSERS))) + graphemes.PICTOGRAPHS + "\u200d"
_WORD = re.compile(f"[^\\s{_UNSPACED}]*(?:[{_UNSPACED}][{_AFTER_MARK}]*)?")
_VISIBLE = re.compile(r"\S")
_FENCE = re.compile(r"(`{3,})[^`]*")
_DOTTED = re.compile(r"(?:[^\W\d_]\.-?)+[^\W\d_]")
_LIST_MARKER = re.compile(r"\d{1,3}|[^\W\d_]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Never the end of a sentence worth a cut: a wrong cut is heard, a missing one only makes a longer piece.
_TITLES = _words(
    "dr mr mrs ms mx prof st mt sr sra srta capt cmdr col gen lt maj sgt rev hon pres gov sen rep messrs mme mlle "
    "vs cf viz approx resp dept est univ e.g i.e z.b d.h u.a bzw ca"
)
# The end of a sentence unless a number follows.
_BEFORE_NUMBERS = _words("no nos nr vol vols fig figs p pp ch chap art eq c v")
# The end of a sentence unless it goes on in lower case or with a number.
_MID_SENTENCE = _words(
    "etc jr inc ltd co corp bros al ph.d b.c a.d b.c.e c.e ave blvd rd apt ft lbs oz hr hrs min mins sec usw "
    "jan feb apr jun jul aug sep sept oct nov dec tue tues wed thu thurs fri"
)
# A phrase begins with these: where a long stretch has no punctuation, the best place for a breath is before one.
_PHRASE_STARTS = _words(
    "and but or nor so because since although though while when where which who whose that if unless until after "
    "before as than with without for from into about between through during"
)
# A voice does not pause after these.
_LEANING = _PHRASE_STARTS | _words(
    "a an the of to at in on by my your his her its our their this these those is are was were be am not very no i you "
    "he she it we they can will would have has had do does did more most"
)


def _advance(cutter: Cutter, text: str, *, final: bool) -> tuple[Cutter, list[Piece]]:
    buffer = cutter.pending + text
    pieces: list[Piece] = []
    begin, said = 0, cutter.said
    fence, opening, progress = cutter.fence, cutter.opening, cutter._progress  # pyright: ignore[reportPrivateUsage]
    while True:
        if fence:
            end, closed = _code_end(buffer, begin, cutter.limits.maximum, fence, opening, final)
        else:
            end, fenced, progress = _prose_end(
                buffer, begin, progress, cutter.limits, said, cutter.offset + begin == 0, final
            )
            closed = False
            if fenced:
                fence, opening = fenced, True
                continue
        if end is None:
            break
        piece = Piece(cutter.offset + begin, buffer[begin:end], bool(fence))
        pieces.append(piece)
        if not fence and _has_words(piece.raw):
            said += graphemes.weight(piece.text)
        if fence:
            opening = False
        if closed:
            fence = ""
        begin, progress = end, _Progress()
    after = replace(
        cutter,
        offset=cutter.offset + begin,
        said=said,
        pending=buffer[begin:],
        fence=fence,
        opening=opening,
        _progress=progress,
    )
    return after, pieces


def _prose_end(
    buffer: str, begin: int, progress: _Progress, limits: Limits, said: int, answer_start: bool, final: bool
) -> tuple[int | None, str, _Progress]:
    """Where the piece that starts at `begin` ends, or None and how far we came.

    With an empty piece in front of a code block: the back-ticks that open it.
    """
    limit = min(limits.maximum, limits.opening + limits.growth * said)
    first = said == 0
    judged, weight = begin + progress.judged, progress.weight
    clause, phrase, word, bound = progress.clause, progress.phrase, progress.word, progress.bound
    end: int | None = None
    while True:
        started = judged > begin
        visible = _next_visible(buffer, judged)
        new_line = "\n" in buffer[judged:visible]
        if started and new_line and (first or weight >= limits.minimum) and _has_words(buffer[begin:judged]):
            end = judged
            break
        if visible == len(buffer):
            if final and started:
                end = judged
            break
        found = _WORD.match(buffer, visible)
        word_end = found.end() if found else len(buffer)
        text = buffer[visible:word_end]
        heavier = graphemes.weight(text) + (weight + visible - judged if started else 0)
        if heavier > limit:
            end = _overflow_end(buffer, begin, judged, visible, limit, (clause, phrase, word, bound))
            break
        if word_end == len(buffer) and not final:
            break
        line_start = new_line or (answer_start and not started)
        if line_start and (opened := _FENCE.fullmatch(text)):
            if not started:
                return None, opened[1], _Progress()
            end = judged
            break
        verdict = _judge(text, _following(buffer, word_end, final), line_start)
        if verdict is None:
            break
        if word == judged - begin and weight * 2 >= limit and text.lower() in _PHRASE_STARTS:
            phrase = word
        judged, weight = word_end, heavier
        if verdict is _Break.WORD and (text[-1].isdigit() or text.lower() in _LEANING):
            bound = judged - begin
        elif verdict >= _Break.WORD:
            word = judged - begin
        if verdict >= _Break.CLAUSE:
            long_enough = weight >= limits.minimum
            ready = (first or long_enough) if verdict is _Break.SENTENCE else (first and long_enough)
            if ready and _has_words(buffer[begin:judged]):
                end = judged
                break
            if weight * 2 >= limits.minimum:
                clause = judged - begin
    return end, "", _Progress(judged - begin, weight, clause, phrase, word, bound)


def _overflow_end(buffer: str, begin: int, judged: int, visible: int, limit: int, candidates: tuple[int, ...]) -> int:
    """Where to cut before the word at `visible`, with which the piece is too long: at the best place there was.

    `candidates`: from the best kind to the worst, offsets from `begin`, 0 for none.
    """
    for candidate in candidates:
        if candidate:
            return begin + candidate
    first = _next_visible(buffer, begin)
    end = graphemes.whole(buffer, first, graphemes.fitting(buffer, first, limit))
    return end if end > visible or judged == begin else judged


def _code_end(buffer: str, begin: int, limit: int, fence: str, opening: bool, final: bool) -> tuple[int | None, bool]:
    """Where a piece of a code block ends (None: not yet), and whether the block ends there, too."""
    visible = _next_visible(buffer, begin)
    fits = graphemes.fitting(buffer, visible, limit)
    line, last = visible, 0
    while (stop := buffer.find("\n", line, fits + 1)) >= 0:
        text = buffer[line:stop].rstrip()
        if text:
            last = line + len(text)
        run = text.lstrip()
        if opening and line == visible:
            closes = len(run) > len(fence) and run.endswith(fence)
        else:
            closes = run.startswith(fence) and not run.strip("`")
        if closes:
            return last, True
        line = stop + 1
    if fits < len(buffer):
        return last or graphemes.whole(buffer, visible, fits), False
    return (len(buffer.rstrip()) if final and visible < len(buffer) else None), False


def _judge(word: str, following: str | None, line_start: bool) -> _Break | None:
    """What may happen after a complete word. None: it depends on the character that follows, not known yet.

    `following` is the first visible character after the word, "" when the line or the answer ends.
    """
    tail = len(word)
    while tail and (word[tail - 1] in _STOPS or word[tail - 1] in _CLAUSES or _closes(word[tail - 1])):
        tail -= 1
    if line_start and not _has_words(word):
        return _Break.NONE  # a bullet, a heading's or a quotation's mark
    if word in _DASHES:
        return _Break.CLAUSE
    marks = word[tail:]
    significant = len(marks)
    while significant and _closes(marks[significant - 1]):
        significant -= 1
    if not significant:
        return _Break.CLAUSE if ")" in marks and "(" not in word else _Break.WORD
    mark = marks[significant - 1]
    if mark in _CLAUSES:
        return _Break.CLAUSE
    stem = word[:tail].lstrip(_OPENERS)
    stops = "".join(char for char in marks[:significant] if char in _STOPS)
    if stops == ".":
        verdict = _judge_full_stop(stem, following, line_start)
        if verdict is not _Break.SENTENCE:
            return verdict
    if significant < len(marks) or stops.endswith(("..", "…")):
        if following is None:
            return None
        return _Break.CLAUSE if following.islower() else _Break.SENTENCE
    return _Break.SENTENCE


def _judge_full_stop(stem: str, following: str | None, line_start: bool) -> _Break | None:
    """What a single full stop after `stem` means."""
    lower = stem.lower()
    if lower in _TITLES or (line_start and _LIST_MARKER.fullmatch(stem)):
        return _Break.NONE
    initial = len(stem) == 1 and stem.isupper() and stem != "I"
    acronym = bool(_DOTTED.fullmatch(stem)) and lower not in _MID_SENTENCE
    if initial or (acronym and not stem.islower() and lower not in ("a.m", "p.m")):
        goes_on = following and following.isalnum()
    elif lower in _BEFORE_NUMBERS:
        goes_on = following and following.isdigit()
    elif acronym or lower in _MID_SENTENCE:
        goes_on = following and (following.islower() or following.isdigit())
    else:
        return _Break.SENTENCE
    if following is None:
        return None
    return _Break.NONE if goes_on else _Break.SENTENCE


def _following(buffer: str, index: int, final: bool) -> str | None:
    """The first visible character from `index` on, "" if the line ends before it, None if it has not come yet."""
    visible = _next_visible(buffer, index)
    if "\n" in buffer[index:visible]:
        return ""
    if visible < len(buffer):
        return buffer[visible]
    return "" if final else None


def _next_visible(buffer: str, index: int) -> int:
    found = _VISIBLE.search(buffer, index)
    return found.start() if found else len(buffer)


def _closes(char: str) -> bool:
    return char in _CLOSERS or (char > "\u2000" and _PICTOGRAPH.match(char) is not None)


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))

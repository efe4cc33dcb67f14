"""The sentence cutter: what is cut where, and that tokens never matter."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.dialogue import graphemes
from services.dialogue.sentences import Cutter, Limits, Piece, feed, finish

START = Cutter()
LATER = Cutter(said=1000)
"""A cutter in the middle of an answer: full length allowed, no hurry."""


def cut(text: str, cutter: Cutter = START) -> list[Piece]:
    cutter, pieces = feed(cutter, text)
    return pieces + finish(cutter)


def texts(text: str, cutter: Cutter = START) -> list[str]:
    return [piece.text for piece in cut(text, cutter)]


def each(sentences: list[str]) -> list[str]:
    """The sentences' pieces when no minimum merges them."""
    return texts(" ".join(sentences), Cutter(said=1000, limits=Limits(minimum=1)))


# --- where sentences end ---


@pytest.mark.parametrize(
    "sentences",
    [
        ["I like it.", "You do too.", "They don't."],
        ["Is it true?", "It is!", "Really?!", "Yes!!", "Hm."],
        ["Dr. Smith met Mrs. Jones and Prof. Lee.", "They talked."],
        ["It opens at 9 a.m. on Mondays.", "It shuts at 5 p.m.", "Be early."],
        ["At 10 P.M. we leave.", "We met at 8 A.M.", "He slept."],
        ["Take fruit, e.g. apples, i.e. something sweet.", "Then go."],
        ["The U.S. Army and the U.K. agree.", "Fine."],
        ["J. R. R. Tolkien and C. S. Lewis met.", "They wrote."],
        ["George W. Bush won.", "You and I.", "Who else?"],
        ["It is No. 5 on the list.", "No.", "It is not."],
        ["See fig. 3 and vol. 2 on p. 14 of it.", "He ate a fig.", "Then he left."],
        ["Pi is 3.14 and not 3.", "The rest follows."],
        ["It costs 1,000.50 dollars.", "That is .5 more."],
        ["The answer is 42.", "It was 1985.", "Then came 1986."],
        ["Use version 2.0.1 or v1.2.", "Not 3.0."],
        ["It is 12:30 now.", "At 7:45 we go."],
        ["See example.com/a.b for more.", "Or go to https://x.org/y?z=1.2.", "Mail me@host.co.uk today."],
        ["Open main.py and README.md first.", "Then run a.out."],
        ["Is it example.com?", "It is not."],
        ["He works at Acme Inc. as a clerk.", "She left Acme Inc.", "They closed."],
        ["Bring pens, paper, etc. to class.", "Bring pens, etc.", "Be there."],
        ["Well... maybe so.", "Hm...", "Who knows."],
        ["Well… maybe so.", "Hm…", "Who knows."],
        ['"Stop!" he said.', '"Why?" she asked.', '"Because."', "He left."],
        ["“Stop!” he said.", "“Because.”", "He left."],
        ["(It rained.)", "We stayed (all of us).", "So be it."],
        ["It is [sic] so.", "**Yes.**", "*No!*", "`Done.`"],
        ["He has a Ph.D. in law.", "She has a Ph.D.", "Good."],
        ["On Jan. 5 we met.", "It was Dec.", "It snowed."],
        ["It is.😀", "So there."],
        ["I met him vs. the others.", "It's approx. five miles."],
        ["¿Cómo estás?", "¡Muy bien!", "Gracias."],
        ["Das ist z.B. gut bzw. besser.", "Ja."],
        ["Yahoo!, the firm, paid.", "It did."],
        ["He said (quietly, etc.) nothing.", "Then left."],
        ["Was it the U.S.?", "It was."],
    ],
)
def test_sentences_are_cut_where_they_end_and_nowhere_else(sentences: list[str]) -> None:
    assert each(sentences) == sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好吗？我很好。谢谢！", ["你好吗？", "我很好。", "谢谢！"]),
        ("「行く。」と言った。はい。", ["「行く。」", "と言った。", "はい。"]),
        ("मैं ठीक हूँ। आप कैसे हैं?", ["मैं ठीक हूँ।", "आप कैसे हैं?"]),
        ("안녕하세요. 반갑습니다!", ["안녕하세요.", "반갑습니다!"]),
        ("كيف حالك؟ أنا بخير.", ["كيف حالك؟", "أنا بخير."]),
        ("ما هذا؟ نعم۔ لا.", ["ما هذا؟", "نعم۔", "لا."]),
    ],
)
def test_sentence_marks_of_other_scripts(text: str, expected: list[str]) -> None:
    assert texts(text, Cutter(said=1000, limits=Limits(minimum=1))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("First line\nSecond line\n\nThird", ["First line", "Second line", "Third"]),
        ("1. Eggs\n2. Milk\n10. Bread", ["1. Eggs", "2. Milk", "10. Bread"]),
        ("a. One thing\nb. Two things", ["a. One thing", "b. Two things"]),
        ("- Eggs\n* Milk\n• Bread", ["- Eggs", "* Milk", "• Bread"]),
        ("# Title\nText here.\n> Quoted. More.", ["# Title", "Text here.", "> Quoted.", "More."]),
        ("We saw Dr.\nNew line.", ["We saw Dr.", "New line."]),
        ("Above\n---\nBelow", ["Above", "---\nBelow"]),
    ],
)
def test_a_line_ends_what_is_said(text: str, expected: list[str]) -> None:
    assert texts(text, Cutter(said=1000, limits=Limits(minimum=1))) == expected


# --- lengths ---


def test_a_tiny_sentence_is_a_first_piece() -> None:
    assert texts("Yes. I will come to your party. Sure. I would love to do that.") == [
        "Yes.",
        "I will come to your party.",
        "Sure. I would love to do that.",
    ]


def test_a_first_clause_is_spoken_early_but_a_later_one_is_not() -> None:
    text = "If you ask me about that, the answer is clear, as it ever was. Take the road by the sea, and enjoy it."
    assert texts(text) == [
        "If you ask me about that,",
        "the answer is clear, as it ever was.",
        "Take the road by the sea, and enjoy it.",
    ]


def test_a_very_short_first_clause_is_not_cut_off() -> None:
    assert texts("Well, I never thought of it in that way.") == ["Well, I never thought of it in that way."]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("The reason for all of it, I think, is rain.", "The reason for all of it,"),
        ("The reason for all of it: there was rain.", "The reason for all of it:"),
        ("The reason for all of it — you know it — is rain.", "The reason for all of it —"),
        ("The reason for all of it—you know it—is rain.", "The reason for all of it—"),
        ("The reason for all of it - you know - is rain.", "The reason for all of it -"),
        ("The reason (I will tell you) is the rain.", "The reason (I will tell you)"),
        ('"The reason for all of it," he said, "is rain."', '"The reason for all of it,"'),
        ("这就是为什么我喜欢，因为它很好。", "这就是为什么我喜欢，"),
    ],
)
def test_clause_marks(text: str, first: str) -> None:
    assert texts(text)[0] == first


def test_no_clause_ends_inside_a_number_a_time_or_a_range() -> None:
    text = "It was between 1,000,000 and 12:30 or 10–20 or so;"
    assert texts(text) == [text]


def test_a_long_opening_is_cut_before_a_conjunction() -> None:
    first = texts("I would really like to tell you something now because nobody else will ever do it for you")[0]
    assert first == "I would really like to tell you something now"


def test_a_cut_does_not_follow_a_word_that_leans_on_the_next() -> None:
    assert texts("He wrote down everything before leaving his own house at 5 p.m. yesterday")[0].endswith(" house")
    assert texts("We bought bread and wine yesterday evening near the old harbour")[0].endswith(" the old")
    assert texts("the " * 40)[0] == ("the " * 15).strip()


def test_a_long_opening_is_cut_at_an_early_clause() -> None:
    text = "As of Jan. 5, 2024, Dr. Smith who came all the way here for it left"
    assert texts(text)[0] == "As of Jan. 5, 2024,"


def test_a_conjunction_near_the_beginning_is_no_place_to_cut() -> None:
    assert texts("He came and went along one long road by night by day in rain in snow")[0].endswith("rain")


def test_words_without_any_punctuation_are_cut_at_the_maximum() -> None:
    pieces = texts("word " * 200)
    assert len(pieces[0]) <= 60
    assert all(len(piece) <= 200 for piece in pieces)
    assert all(set(piece.split()) == {"word"} for piece in pieces)


def test_a_long_sentence_is_cut_at_its_last_clause() -> None:
    clause = "this part goes on for quite a while and has some words in it"
    text = f"{clause}, {clause}, {clause}, {clause}, {clause}."
    assert [piece.count(clause) for piece in texts(text, LATER)] == [3, 2]
    assert texts(text, LATER)[0].endswith(",")


def test_pieces_grow_with_what_was_cut_before() -> None:
    text = "abcd " * 100
    lengths = [len(piece) for piece in texts(text)]
    assert lengths[0] <= 60 < lengths[1] <= 60 + 2 * lengths[0]
    assert lengths[2] <= 200


def test_one_endless_word_is_cut_at_the_maximum() -> None:
    assert [len(piece) for piece in texts("x" * 450, LATER)] == [200, 200, 50]


def test_ideographs_count_as_the_syllables_they_are() -> None:
    assert [len(piece) for piece in texts("好" * 150, LATER)] == [66, 66, 18]


def test_a_hard_cut_leaves_visible_characters_whole() -> None:
    for sign in ("👩‍👩‍👧‍👦", "e\u0301", "क्षि", "🇩🇪", "👍🏽"):
        for piece in cut("x" + sign * 300, LATER):
            assert not unicodedata.combining(piece.raw[0])
            assert piece.raw[0] not in "\u200d\U0001f3fd"
            if sign == "🇩🇪":
                assert piece.raw.lstrip("x").startswith(sign)


# --- code blocks ---


def test_a_code_block_is_a_piece_of_its_own() -> None:
    text = "Do this:\n```python\nprint('Hi. There. You.')\n\nx = 1\n```\nThat was all of it."
    pieces = cut(text)
    assert [(piece.text, piece.code) for piece in pieces] == [
        ("Do this:", False),
        ("```python\nprint('Hi. There. You.')\n\nx = 1\n```", True),
        ("That was all of it.", False),
    ]


def test_a_short_line_before_code_is_not_swallowed() -> None:
    assert [(p.text, p.code) for p in cut("So:\n```\na\n```", LATER)] == [("So:", False), ("```\na\n```", True)]


def test_long_code_is_cut_at_line_ends_and_stays_code() -> None:
    pieces = cut("```\n" + "value = compute(1, 2)\n" * 30 + "```\nDone now.")
    assert all(piece.code for piece in pieces[:-1])
    assert all(piece.text.endswith("compute(1, 2)") for piece in pieces[:-2])
    assert (pieces[-1].text, pieces[-1].code) == ("Done now.", False)


def test_a_cut_just_before_its_last_line_does_not_keep_code_open() -> None:
    pieces = cut("```\n" + "x" * 196 + "\n```\nDone now.")
    assert [(piece.text[-4:], piece.code) for piece in pieces] == [("xxxx", True), ("```", True), ("now.", False)]


def test_code_that_never_ends_stays_code() -> None:
    assert [piece.code for piece in cut("Look:\n```\nx = 1. Then y.")] == [False, True]


def test_a_code_block_on_one_line_ends_with_it() -> None:
    pieces = cut("```echo it is```\nThat is how it is done.")
    assert [piece.code for piece in pieces] == [True, False]


def test_code_in_a_line_is_prose() -> None:
    assert [piece.code for piece in cut("Use ```x.y``` or `z` here.\n```a``` too.")] == [False, False]


def test_code_does_not_count_as_the_opening() -> None:
    assert texts("```\nx\n```\nYes. I will do that for you.") == ["```\nx\n```", "Yes.", "I will do that for you."]


# --- when ---


def delays(tokens: list[str]) -> list[tuple[int, str]]:
    """Each piece with the number of the token that released it."""
    cutter, out = Cutter(), list[tuple[int, str]]()
    for number, token in enumerate(tokens):
        cutter, pieces = feed(cutter, token)
        out += [(number, piece.text) for piece in pieces]
    return out + [(len(tokens), piece.text) for piece in finish(cutter)]


@pytest.mark.parametrize(
    ("tokens", "number", "piece"),
    [
        (["It", " is", " so", ".", " Then", " go"], 4, "It is so."),
        (["It", " is", " so", ".", "\n\n", "Then"], 4, "It is so."),
        (["It", " is", " so", ".\n", "Then"], 3, "It is so."),
        (["It", " is", " so", ". ", "Then"], 3, "It is so."),
        (["Pi", " is", " 3", ".", "14", ".", " Good"], 6, "Pi is 3.14."),
        (['"', "It", " is", '."', " Then"], 4, '"It is."'),
        (["No", ".", " It", " is"], 2, "No."),
        (["好的", "。", "我", "来"], 2, "好的。"),
        (["It is so", "."], 2, "It is so."),
    ],
)
def test_a_finished_sentence_waits_for_one_token(tokens: list[str], number: int, piece: str) -> None:
    assert delays(tokens)[0] == (number, piece)


# --- properties ---

FRAGMENTS = st.sampled_from(
    [
        *"abIx1. ,;:!?…-—\n\"'()[]*_`#>。，、」किé́😀\u200d\ufe0f🇩 ",
        "Dr.",
        "e.g.",
        "U.S.",
        "p.m.",
        "No.",
        "3.14",
        "...",
        "\n\n",
        "```",
        "```py\n",
        "\n```\n",
        "word ",
        "and ",
        "sentence. ",
        "好好好",
        "https://a.b/c.d ",
        "  ",
        "x" * 70,
        "ab " * 30,
        "1. ",
        "\r\n",
        "\u00a0",
    ]
)
ANSWERS = st.lists(FRAGMENTS, max_size=60).map("".join) | st.text(max_size=300)
CUTTERS = st.sampled_from(
    [
        Cutter(),
        LATER,
        Cutter(limits=Limits(opening=5, growth=0, maximum=9, minimum=3)),
        Cutter(limits=Limits(opening=12, growth=1, maximum=30, minimum=1)),
    ]
)


def split(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *sorted(position % (len(text) + 1) for position in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@settings(max_examples=400)
@given(ANSWERS, st.lists(st.integers(min_value=0), max_size=40), CUTTERS)
@example("a. b", [1, 2, 3], Cutter())
def test_tokens_never_matter(text: str, cuts: list[int], cutter: Cutter) -> None:
    whole = cut(text, cutter)
    for tokens in (split(text, cuts), list(text)):
        state, pieces = cutter, list[Piece]()
        for token in tokens:
            state, more = feed(state, token)
            pieces += more
        assert pieces + finish(state) == whole


@given(ANSWERS, CUTTERS)
def test_nothing_is_lost_and_nothing_doubled(text: str, cutter: Cutter) -> None:
    pieces = cut(text, cutter)
    assert "".join(piece.raw for piece in pieces) == text.rstrip()
    position = 0
    for piece in pieces:
        assert piece.start == position
        assert text[piece.start : piece.end] == piece.raw
        position = piece.end


@given(ANSWERS, CUTTERS)
def test_every_piece_can_be_seen_and_none_is_too_long(text: str, cutter: Cutter) -> None:
    limits, said = cutter.limits, cutter.said
    for piece in cut(text, cutter):
        assert piece.text
        allowed = limits.maximum if piece.code else min(limits.maximum, limits.opening + limits.growth * said)
        assert graphemes.weight(piece.text) <= max(allowed, graphemes.WIDE_WEIGHT)
        if not piece.code and any(map(str.isalnum, piece.text)):
            said += graphemes.weight(piece.text)


@given(ANSWERS)
def test_what_waits_is_never_more_than_a_piece(text: str) -> None:
    cutter = Cutter()
    for char in text:
        cutter, _ = feed(cutter, char)
        assert graphemes.weight(cutter.pending.strip()) <= cutter.limits.maximum


@given(ANSWERS)
def test_the_cutter_itself_does_not_change(text: str) -> None:
    cutter = Cutter()
    feed(cutter, text)
    assert cutter == Cutter()

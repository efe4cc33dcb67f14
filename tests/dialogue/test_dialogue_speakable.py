"""What is said of a model's text, and how much of a piece was heard."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialogue import graphemes
from services.dialogue.sentences import Cutter, feed, finish
from services.dialogue.speakable import heard, speakable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # emphasis, code, escapes
        ("**Hello** *there*, __you__ and _me_.", "Hello there, you and me."),
        ("***All*** of it ~~was~~ is ==so==.", "All of it was is so."),
        ("Use `git status` or ``x``.", "Use git status or x."),
        ("Call snake_case_name.", "Call snake case name."),
        (r"\*Not bold\* and 5\.", "Not bold and 5."),
        ("3 * 4 and 3*4", "3 × 4 and 3 × 4"),
        # headings, lists, quotations, tables, rules
        ("# Title\nSome text.", "Title. Some text."),
        ("## The end ##", "The end"),
        ("- Eggs\n- Milk\n* Bread", "Eggs. Milk. Bread"),
        ("1. Eggs\n2. Milk", "1. Eggs. 2. Milk"),
        ("- [ ] Wash\n- [x] Cook", "Wash. Cook"),
        ("> He said\n> so.", "He said. so."),
        ("| Name | Age |\n|:---|---:|\n| Ann | 5 |", "Name, Age. Ann, 5"),
        ("Above\n---\nBelow", "Above. Below"),
        ("Title\n=====\nText", "Title. Text"),
        ("A soft\nbreak here.\n\nNew one", "A soft break here. New one"),
        ("Shall we:\n- go", "Shall we: go"),
        ("**Bold.**\nText", "Bold. Text"),
        ("你好\n再见", "你好。再见"),
        # code blocks
        ("Look:\n```python\nx = 1\n```\nDone.", "Look: Done."),
        ("```python\nx = 1", ""),
        ("```python", ""),
        ("```", ""),
        ("Use ```x``` here.", "Use x here."),
        # links, images, addresses
        ("See [the docs](https://a.b/c_(d)?e=f.g) now.", "See the docs now."),
        ("![A cat](cat.png) sits.", "A cat sits."),
        ("See [this][1] and that[^2] [3].\n[1]: http://x.y", "See this and that."),
        ("See [the docs](https://a.b/c", "See the docs"),
        ("docs](https://a.b/c) are here.", "docs are here."),
        ("Go to https://www.example.com:8080/a/b.html?c=d.", "Go to example.com."),
        ("Go to <https://example.com/x> or www.foo.org, or a.co/b!", "Go to example.com or foo.org, or a.co!"),
        ("(see http://u:p@x.org/a)", "(see x.org)"),
        ("Mail me@host.co.uk or open main.py.", "Mail me@host.co.uk or open main.py."),
        # tags and stage directions
        ("[happy] Hello! [laughs] You!", "Hello! You!"),
        ("[SPEAKER1] So <emotion value='sad'/>it is<|end|>.", "So it is."),
        ("[happy][whispers] Oh!", "Oh!"),
        ("{excited} Oh yes", "Oh yes"),
        ("He [that is the king of France] left.", "He that is the king of France left."),
        ("*smiles warmly* Hello.", "Hello."),
        ("*leans back in her chair* Well, I *really* do.", "Well, I really do."),
        ("Yes. *adjusts glasses* Now then.", "Yes. Now then."),
        ("_whispers_ Come here.", "Come here."),
        ("(laughs softly) Oh. (pause) Fine (for now).", "Oh. Fine (for now)."),
        (
            "(Laughter of us all was heard in the old town.) Yes.",
            "(Laughter of us all was heard in the old town.) Yes.",
        ),
        ("*Really* good. I am *always* here. *yes*", "Really good. I am always here. yes"),
        ("*sighs*", ""),
        # pictographs
        ("Great! 😀👍🏽 Is 👩‍👩‍👧‍👦 it? ❤️", "Great! Is it?"),
        ("Hello 😀\nBye 🇩🇪", "Hello. Bye"),
        ("Hi :) there ;-) <3", "Hi there"),
        ("It is 20°C, ½ of it: 5€ ±2 %.", "It is 20°C, ½ of it: 5€ ±2 %."),
        ("A → B -> C", "A, B, C"),
        ("Parley™ and Co®", "Parley and Co"),
        # punctuation
        ("Wow!!! What?!?! No...... Yes…", "Wow! What? No... Yes..."),
        ("Wait — no—yes – or -- so - then", "Wait, no, yes, or, so, then"),
        ("Wait. — No.", "Wait. No."),
        ("5–10 days, 555-1234, 8 - 3, well-known", "5–10 days, 555-1234, 8 - 3, well-known"),
        ("“So,” he said, ‘it’s fine’ «here».", '"So," he said, \'it\'s fine\' "here".'),
        ("...and then,, it ended .", "and then, it ended."),
        ("well, (sighs), fine", "well, fine"),
        ("Mr. Li, Dr. Wu and St. Paul", "Mr Li, Dr Wu and St Paul"),
        ("  a \t b\u00a0c  ", "a b c"),
        ("Tom &amp; Ann &lt;b&gt; &amp;lt;i&amp;gt;", "Tom & Ann"),
        ("[[happy]] Hi", "Hi"),
        ("AT&T, C# and #1 of #fun", "AT&T, C# and #1 of fun"),
        # left to the engine
        ("It costs $3.14 at 10:30 on 5/6/2024, i.e. 50%.", "It costs $3.14 at 10:30 on 5/6/2024, i.e. 50%."),
        (".5 is half", ".5 is half"),
        ("Is 5 > 3 and a < b?", "Is 5 > 3 and a < b?"),
        ("¿Qué? ¡Sí!", "¿Qué? ¡Sí!"),
        ("मैं ठीक हूँ। क्‍ष", "मैं ठीक हूँ। क्‍ष"),
        # pieces cut in the middle of their markup
        ("**bold start", "bold start"),
        ("end** of it", "end of it"),
        ("*She leans back.", "She leans back."),
        ("and (so", "and (so"),
        # nothing to say
        ("", ""),
        (" \n ", ""),
        ("...", ""),
        ("---", ""),
        ("**", ""),
        ("😀", ""),
        ('"', ""),
    ],
)
def test_what_is_said(text: str, said: str) -> None:
    assert speakable(text) == said


MARKUP = st.sampled_from(
    [
        *"*_`#>-+|[](){}<>~=!?.,;:'\"\\/&…—–“”•→😀\u200d\ufe0f 1aZ好\n\t",
        "](",
        "http://a.b/c",
        "www.x.org",
        "```",
        "```py\n",
        "\n- ",
        "\n1. ",
        "| a |",
        "|---|",
        "&amp;",
        "&#10;",
        "&mdash;",
        "&lt;",
        "word ",
        "laughs",
        "*smiles* ",
        "[happy]",
        "<b>",
        "</b>",
        "...",
        "Dr. ",
        "a.b/c",
        " - ",
        "--",
        ". ",
        ", ",
        "me@x.org",
        ":)",
        "\r",
        "\u2028",
    ]
)
TEXTS = st.lists(MARKUP, max_size=40).map("".join) | st.text(max_size=120)


@given(TEXTS)
def test_what_is_said_is_said_as_it_is(text: str) -> None:
    said = speakable(text)
    assert speakable(said) == said


@given(TEXTS)
def test_no_markup_or_pictograph_reaches_the_voice(text: str) -> None:
    said = speakable(text)
    assert not re.search(r"[*`_~\[\]{}|\n\t“”…—→]|  |😀", said)
    assert said == said.strip()
    assert not said or any(map(str.isalnum, said))


@given(st.lists(st.from_regex(r"[A-Za-z]{1,9}", fullmatch=True), min_size=1, max_size=20))
def test_plain_words_are_said_as_they_are(words: list[str]) -> None:
    text = " ".join(words) + "."
    assert speakable(text) == text


def test_a_hostile_piece_takes_no_long_time() -> None:
    for text in ("[" * 4000, "*" * 4000, "(" * 4000, "<a" * 2000, "| " * 2000, "- " * 2000, "![](" * 1000, "*a" * 2000):
        speakable(text)


# --- heard ---

RAW = "Hello there, my dear friend. How are you?"


@pytest.mark.parametrize(
    ("fraction", "prefix"),
    [
        (-1, ""),
        (0, ""),
        (0.02, ""),
        (0.1, "Hello"),
        (0.5, "Hello there, my dear"),
        (0.62, "Hello there, my dear friend."),
        (0.999, RAW),
        (1, RAW),
        (2, RAW),
    ],
)
def test_a_prefix_is_heard(fraction: float, prefix: str) -> None:
    assert heard(RAW, fraction) == prefix


def test_a_word_counts_when_most_of_it_was_played() -> None:
    raw = "abcdefghij klmnopqrst"  # each word weighs 10 and a rest of 1
    assert heard(raw, 7.4 / 22) == ""
    assert heard(raw, 7.6 / 22) == "abcdefghij"
    assert heard(raw, 18.4 / 22) == "abcdefghij"
    assert heard(raw, 18.6 / 22) == raw


def test_what_is_not_said_takes_no_time() -> None:
    raw = "[happy] One two https://example.com/a/very/long/address three"
    assert heard(raw, 0.4) == "[happy] One two"
    assert heard(raw, 1) == raw


def test_leading_white_space_stays_so_that_prefixes_join() -> None:
    assert heard(" How are you?", 0.3) == " How"


def test_ideographs_are_heard_one_by_one() -> None:
    assert heard("你好，我是小爱。", 0.5) == "你好，我"


def test_all_of_a_piece_is_heard_at_its_end() -> None:
    assert heard("Bye! 😀", 1) == "Bye! 😀"


@given(TEXTS, st.floats(0, 1), st.floats(0, 1))
def test_what_was_heard_grows(raw: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert raw.startswith(heard(raw, less))
    assert heard(raw, more).startswith(heard(raw, less))


@given(TEXTS | st.text(alphabet="aé\u0301 好か\u3099한\u1112\u1161क्षि😀\u200d👩🏽", max_size=40), st.floats(0, 1))
def test_nothing_is_cut_inside_a_word_or_a_visible_character(raw: str, fraction: float) -> None:
    end = len(heard(raw, fraction))
    if 0 < end < len(raw):
        wide = re.compile(f"[{graphemes.WIDE}]")
        at_space = raw[end].isspace()
        at_ideograph = wide.match(raw, end) or any(wide.match(char) for char in raw[:end].split()[-1])
        assert at_space or at_ideograph
        assert not graphemes.joined(raw, end)


@given(st.lists(st.sampled_from(["Yes. ", "I *do* like it, you know. ", "See [it](http://a.b). ", "😀 "]), max_size=8))
def test_pieces_of_an_answer_are_said_as_the_answer_is(parts: list[str]) -> None:
    answer = "".join(parts)
    cutter, pieces = feed(Cutter(), answer)
    said = [speakable(piece.text) for piece in pieces + finish(cutter)]
    assert " ".join(filter(None, said)) == speakable(answer)

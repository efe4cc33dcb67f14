"""What a language model writes between its words, as the page shows it."""

from typing import Any

import pytest
from page_driver import OpenPage, until
from playwright.async_api import Page
from scripted_edge import Edge

from services.contracts import events

pytestmark = pytest.mark.asyncio(loop_scope="session")

# strong as <b>, em as <i>, code as <c>: only in these tables.
TABLE: dict[str, tuple[str, str]] = {
    "plain": ("Just words.\nAnd more.", "Just words.\nAnd more."),
    "bold": ("a **very old** sea", "a <b>very old</b> sea"),
    "bold at both ends": ("**one** and **two**", "<b>one</b> and <b>two</b>"),
    "italics": ("*wide* and _deep_", "<i>wide</i> and <i>deep</i>"),
    "bold and italic": ("***both***", "<b><i>both</i></b>"),
    "italic within bold": ("**so *very* old**", "<b>so <i>very</i> old</b>"),
    "bold within italic": ("*so **very** old*", "<i>so <b>very</b> old</i>"),
    "code": ("say `a * b * c`.", "say <c>a * b * c</c>."),
    "a link": ("see [the sea](https://sea.example/a)", "see the sea (https://sea.example/a)"),
    "a link to itself": ("[https://a.example](https://a.example)", "https://a.example"),
    "a link with a title": ('[sea](https://a.example "The sea")', "sea (https://a.example)"),
    "a picture": ("![a boat](boat.png)", "a boat (boat.png)"),
    "a bold link": ("[**sea**](s)", "<b>sea</b> (s)"),
    "no link": ("[laughs] (softly)", "[laughs] (softly)"),
    "headings": ("# The sea\n### It *is* wide ###\ntext", "<b>The sea</b>\n<b>It <i>is</i> wide</b>\ntext"),
    "no heading": ("#1 of 3, #sea", "#1 of 3, #sea"),
    "lists": ("- one\n* two\n  + **three**\n1. four", "• one\n• two\n  • <b>three</b>\n1. four"),
    "a dash is no list": ("well - no\n-5 degrees", "well - no\n-5 degrees"),
    "sums": ("2 * 3 * 4 = 24, 2*3*4, 2**3**4", "2 * 3 * 4 = 24, 2*3*4, 2**3**4"),
    "names": ("snake_case_name and __init__", "snake_case_name and __init__"),
    "never closed": ("**bold and *italic and `code", "**bold and *italic and `code"),
    "closed on another line": ("**one\ntwo**", "**one\ntwo**"),
    "only marks": ("** * _ ` **** __", "** * _ ` **** __"),
    "escaped": (r"\*not\* \_this\_ C:\dir", r"*not* _this_ C:\dir"),
    "a block of code": ("so:\n```python\nx = a*b*c\n# y\n```\ndone", "so:\n<c>x = a*b*c\n# y</c>\ndone"),
    "a script without spaces": ("这是**重点**内容", "这是<b>重点</b>内容"),
    "markup": ("<b>**<i>**</b>", "<b><b><i></b></b>"),
}
UNFINISHED: dict[str, tuple[str, str]] = {
    "bold begins": ("a **", "a "),
    "bold goes on": ("a **ver", "a <b>ver</b>"),
    "bold half closed": ("a **very*", "a <b>very</b>"),
    "bold closed": ("a **very**", "a <b>very</b>"),
    "after it": ("a **very** old", "a <b>very</b> old"),
    "italics go on within bold": ("**so *ver", "<b>so <i>ver</i></b>"),
    "code goes on": ("say `a *", "say <c>a </c>"),
    "a link goes on": ("see [the sea](https://se", "see the sea"),
    "a heading begins": ("##", ""),
    "a heading goes on": ("## The s", "<b>The s</b>"),
    "a list begins": ("- ", "• "),
    "a block of code goes on": ("```\nx = **", "<c>x = **</c>"),
    "only the last line is unfinished": ("**one\ntwo", "**one\ntwo"),
    "a star alone": ("two * three", "two * three"),
}
WRITTEN = """async ([text, unfinished]) => {
  const { parse } = await import("/js/markdown.js");
  const NAMES = { strong: "b", em: "i", code: "c" };
  const write = (tree) => tree.map((node) => typeof node === "string"
    ? node : `<${NAMES[node.kind]}>${write(node.children)}</${NAMES[node.kind]}>`).join("");
  return write(parse(text, { unfinished }));
}"""


@pytest.mark.parametrize("name", TABLE)
async def test_what_is_made_of_a_text(blank: Page, name: str) -> None:
    text, expected = TABLE[name]
    assert await blank.evaluate(WRITTEN, [text, False]) == expected


@pytest.mark.parametrize("name", UNFINISHED)
async def test_what_is_made_of_a_text_that_goes_on(blank: Page, name: str) -> None:
    text, expected = UNFINISHED[name]
    assert await blank.evaluate(WRITTEN, [text, True]) == expected


async def test_a_long_line_of_marks_takes_no_time(blank: Page) -> None:
    took: Any = await blank.evaluate(
        """async () => {
          const { parse } = await import("/js/markdown.js");
          const begin = performance.now();
          for (const piece of ["**a ", "*a ", "_a ", "`a ", "[a](", "[", "***", "\\\\"]) {
            for (const unfinished of [true, false]) parse(piece.repeat(2000), { unfinished });
          }
          return performance.now() - begin;
        }"""
    )
    assert took < 2000


async def test_an_answer_is_shown_as_it_is_meant_and_saved_as_it_was_written(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    said = "document.querySelector('.line-answer:not(.greeting) .said')"
    text = "The **sea** is <b>wide</b>:\n- *deep*\n"
    await server.send(events.TextStreamStart(turn=1, generation=1, character="aria"))
    await server.send(events.TextChunk(generation=1, text="The **se"))
    await until(page, f"{said}?.textContent === 'The se'")
    assert await page.locator(".said strong").all_inner_texts() == ["se"]
    await server.send(events.TextChunk(generation=1, text=text.removeprefix("The **se")))
    await server.send(events.TextStreamStop(generation=1, reason="complete"))
    turn = events.Turn(number=1, user="hello", assistant=text, character="aria", at=1.0)
    await server.send(events.TurnCommitted(generation=1, turn=turn))
    await until(page, "parley.counters.turns === 1")
    shown = "The sea is <b>wide</b>:\n• deep\n"
    assert await page.evaluate(f"{said}.textContent") == shown
    assert await page.locator(".said b").count() == 0
    assert await page.locator(".said em").all_inner_texts() == ["deep"]
    await until(page, "document.getElementById('announcer').textContent.includes('• deep')")
    assert "**" not in await page.inner_text("#announcer")
    # As history has it, an interrupted answer ends within its marks.
    cut = events.Turn(number=1, user="hello", assistant="It is **very", character="aria", cut=True, at=1.0)
    await server.ready(resumed=True, complete=False, epoch=2, history=[cut])
    await until(page, f"parley.connection.epoch === 2 && {said}.textContent === 'It is very'")

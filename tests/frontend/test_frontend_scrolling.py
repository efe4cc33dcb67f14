"""What is said last stays in view, and a reader who went up is left alone."""

import pytest
from page_driver import OpenPage, until
from playwright.async_api import Page
from scripted_edge import Connection, Edge

from services.contracts import events
from services.contracts.moments import Part

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCROLLER = "document.getElementById('scroller')"
AT_END = f"{SCROLLER}.scrollHeight - {SCROLLER}.scrollTop - {SCROLLER}.clientHeight < 2"
TURNS = [
    events.Turn(number=number, user=f"question {number}", assistant="An answer. " * 30, character="aria", at=1.0)
    for number in range(1, 9)
]


async def answered(server: Connection, generation: int) -> None:
    """An answer, and where its time went."""
    await server.send(events.TextStreamStart(turn=generation, generation=generation, character="aria"))
    await server.send(events.TextChunk(generation=generation, text="Once upon a time. " * 10))
    await server.send(events.TextStreamStop(generation=generation, reason="complete"))
    parts = [Part(name=f"part {number}", owner="parley", ms=100) for number in range(12)]
    await server.send(
        events.TurnMetrics(turn=generation, generation=generation, total_ms=1200, spoken=False, parts=parts)
    )


async def opened(edge: Edge, open_page: OpenPage) -> tuple[Page, Connection]:
    """A page with a long conversation, whose last answer shows where its time went."""
    page = await open_page(viewport={"width": 900, "height": 620})
    server = await edge.ready_connection(history=TURNS)
    await answered(server, 9)
    await until(page, f"document.querySelector('details.times') && {AT_END}")
    return page, server


async def scrolled_up(page: Page) -> None:
    await page.locator("#scroller").hover()
    await page.mouse.wheel(0, -900)
    await until(page, f"!({AT_END})")


async def test_an_opened_table_is_shown_and_does_not_end_the_following(edge: Edge, open_page: OpenPage) -> None:
    page, server = await opened(edge, open_page)
    await page.locator("details.times summary").click()
    await until(
        page,
        "document.querySelector('details[open] tfoot')?.getBoundingClientRect().bottom"
        f" <= {SCROLLER}.getBoundingClientRect().bottom + 1",
    )
    await answered(server, 10)
    await until(page, f"document.querySelectorAll('details.times').length === 2 && {AT_END}")
    await server.send(events.SttUpdate(utterance="a-1", text="please tell me a story " * 20))
    await until(page, f"document.querySelector('.line-user.live') && {AT_END}")


async def test_a_smaller_window_keeps_the_end_in_view(edge: Edge, open_page: OpenPage) -> None:
    page, _ = await opened(edge, open_page)
    await page.set_viewport_size({"width": 900, "height": 420})
    await until(page, AT_END)


async def test_a_reader_who_went_up_is_left_there_until_something_is_sent(edge: Edge, open_page: OpenPage) -> None:
    page, server = await opened(edge, open_page)
    await scrolled_up(page)
    top = await page.evaluate(f"{SCROLLER}.scrollTop")
    await answered(server, 10)
    await until(page, "document.querySelectorAll('details.times').length === 2")
    assert await page.evaluate(f"{SCROLLER}.scrollTop") == top
    await page.fill("#messageInput", "And then?")
    await page.press("#messageInput", "Enter")
    await server.command("user_message")
    await until(page, AT_END)


async def test_a_reader_who_comes_back_to_the_end_follows_again(edge: Edge, open_page: OpenPage) -> None:
    page, server = await opened(edge, open_page)
    await scrolled_up(page)
    await page.mouse.wheel(0, 5000)
    await until(page, AT_END)
    await answered(server, 10)
    await until(page, f"document.querySelectorAll('details.times').length === 2 && {AT_END}")

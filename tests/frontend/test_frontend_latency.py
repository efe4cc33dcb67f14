"""The page's view of all conversations' latencies, drawn from what the edge's own code makes of turns."""

import http
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import scripted_edge
from page_driver import OpenPage
from playwright.async_api import Page
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from services.contracts.moments import PARTS, Part
from services.contracts.turns import MeasuredTurn
from services.edge.latency import Turns

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOON = 1_764_072_000.0
SLOW = [Part(name=name, owner=owner, ms=1900.0 if name == "voice" else 150.0) for name, owner, _start, _end in PARTS]


def turn(seed: int) -> MeasuredTurn:
    choose = random.Random(seed)
    longest = 1800 / len(PARTS)
    parts = [Part(name=name, owner=owner, ms=choose.uniform(5, longest)) for name, owner, _start, _end in PARTS]
    total = sum(part.ms for part in parts)
    return MeasuredTurn(at=NOON + seed, total_ms=total, spoken=True, parts=parts)


class Figures:
    """What an edge has heard of, and the clock of who asks."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.now = 0.0
        self.asked = 0

    def answer(self, _socket: ServerConnection, request: Request) -> Response | None:
        if request.path != "/v1/latency":
            return scripted_edge.serve_file(_socket, request)
        self.now += 1
        self.asked += 1
        body = self.turns.encoded(self.now, NOON + self.now)
        return Response(http.HTTPStatus.OK, "OK", Headers({"Content-Type": "application/json"}), body)


@asynccontextmanager
async def showing(open_page: OpenPage, figures: Figures, **options: Any) -> AsyncIterator[Page]:
    """The view of these figures; it is closed before its edge is, which it would miss."""

    async def nobody(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve(nobody, "127.0.0.1", 0, process_request=figures.answer, compression=None) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        page = await open_page("/latency", url=url, **options)
        yield page
        await page.context.close()


def filled(count: int = 100) -> Figures:
    figures = Figures()
    for seed in range(count - 1):
        figures.turns.add(turn(seed))
    slow = MeasuredTurn(at=NOON, total_ms=sum(p.ms for p in SLOW), spoken=True, parts=SLOW, trace_id="4bf92f3577b3")
    figures.turns.add(slow)
    return figures


async def texts(page: Page, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in await page.locator(selector).all_inner_texts()]


async def test_a_bad_turn_leads_to_its_slowest_hop(open_page: OpenPage):
    async with showing(open_page, filled()) as page:
        await page.wait_for_selector("#slowest li")
        figures = dict(zip(await texts(page, "#summary dt"), await texts(page, "#summary dd"), strict=True))
        assert figures["turns"] == "100"
        assert figures["over 2 s"] == "1.0 %"
        hops = await texts(page, "#hops tbody th")
        assert hops == [part[0] for part in PARTS]
        first = page.locator("#slowest li").first
        assert "longest: voice" in await first.inner_text()
        await first.locator("summary").click()
        assert "trace 4bf92f3577b3" in await first.inner_text()
        rows = await first.locator("table tbody tr").all_inner_texts()
        assert any("voice" in row and "1900 ms" in row for row in rows)
        # The bars are as long as the times: the slow hop takes its share of the bar.
        widths = await first.locator(".segment").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().width)"
        )
        assert max(widths) / sum(widths) == pytest.approx(1900 / (1900 + 150 * (len(PARTS) - 1)), abs=0.05)


async def test_it_follows_and_leaves_open_what_is_open(open_page: OpenPage):
    figures = filled(20)
    async with showing(open_page, figures) as page:
        await page.locator("#slowest li summary").first.click()
        for seed in range(100, 105):
            figures.turns.add(turn(seed))
        await page.locator("#summary dd", has_text="25").wait_for()
        assert await page.locator("#slowest li").first.locator("details").get_attribute("open") is not None


async def test_before_the_first_turn_it_says_so(open_page: OpenPage):
    async with showing(open_page, Figures()) as page:
        await page.locator("#status", has_text="No turn has been measured").wait_for()
        assert not await page.locator("#figures").is_visible()


@pytest.mark.parametrize("width", [320, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_wider_than_the_screen(open_page: OpenPage, width: int, scheme: str):
    async with showing(open_page, filled(), viewport={"width": width, "height": 700}, color_scheme=scheme) as page:
        await page.wait_for_selector("#slowest li")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ink, paper = await page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.documentElement).backgroundColor]"
        )
        assert ink != paper

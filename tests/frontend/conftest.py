"""One headless Chromium for this folder's tests, and one scripted edge per test."""

import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from page_driver import OpenPage, launch
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright
from scripted_edge import Edge, scripted_edge

SPEECH = Path(__file__).parents[2] / "loadtest" / "speech" / "02-slt.wav"


@pytest.fixture(scope="session")
def microphone_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears, again and again: a second of quiet, a sentence, and quiet."""
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    with wave.open(str(SPEECH)) as source, wave.open(str(path), "wb") as target:
        target.setparams(source.getparams())
        rate = source.getframerate()
        target.writeframes(bytes(2 * rate) + source.readframes(source.getnframes()) + bytes(2 * rate))
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(microphone_wav: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright, microphone_wav)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def edge() -> AsyncIterator[Edge]:
    async with scripted_edge() as edge:
        yield edge


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, edge: Edge) -> AsyncIterator[OpenPage]:
    """Opens the page in a browser context of its own. Errors in its console fail the test."""
    contexts: list[Any] = []
    troubles: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            troubles.append(message.text)

    async def open_one(path: str = "/", url: str = "", script: str = "", **options: Any) -> Page:
        context = await browser.new_context(**options)
        contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", note)
        if script:
            await page.add_init_script(script)
        await page.goto((url or edge.url) + path)
        return page

    yield open_one
    for context in contexts:
        await context.close()
    assert not [trouble for trouble in troubles if "WebSocket connection to" not in trouble]


@pytest_asyncio.fixture(loop_scope="session")
async def blank(open_page: OpenPage) -> Page:
    """An empty page of the edge's origin, for calling single modules."""
    return await open_page("/blank")

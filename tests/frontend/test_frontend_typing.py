"""Nothing that was typed is lost: what is too long, what the server refuses, what gets no answer."""

import pytest
from page_driver import OpenPage, until
from playwright.async_api import Page
from scripted_edge import Connection, Edge

from services.contracts import events
from services.contracts.commands import MAX_TEXT_CHARS
from services.contracts.errors import MEANINGS, Code

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTICES = "document.getElementById('notices').textContent"
PASTE = """(text) => {
  const field = document.getElementById("messageInput");
  field.focus();
  document.execCommand("insertText", false, text);
}"""


@pytest.mark.parametrize("letter", ["a", "\U0001f30a"])
async def test_a_text_that_is_too_long_stays_in_the_field(edge: Edge, open_page: OpenPage, letter: str) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    text = letter * MAX_TEXT_CHARS
    await page.evaluate(PASTE, text + "!")
    await page.press("#messageInput", "Enter")
    await until(page, f"{NOTICES} !== ''")
    assert MEANINGS[Code.TEXT_TOO_LONG].message in await page.inner_text("#notices")
    assert await page.input_value("#messageInput") == text + "!"
    await page.press("#messageInput", "Backspace")
    await page.press("#messageInput", "Enter")
    assert (await server.command("user_message"))["text"] == text
    assert server.commands == ["user_message"]
    await until(page, f"document.getElementById('messageInput').value === '' && {NOTICES} === ''")


@pytest.mark.parametrize("text", [" \n", "\u200b\u200d", "\ufeff\u00a0", "\u3164\ufe0f", "\u2800"])
async def test_a_message_of_which_nothing_can_be_seen_is_none(edge: Edge, open_page: OpenPage, text: str) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await type_in(page, text)
    assert await page.locator(".line-user").count() == 0
    await type_in(page, f"{text}Hello")
    assert (await server.command("user_message"))["text"].endswith("Hello")
    assert server.commands == ["user_message"]
    assert await page.locator(".line-user").count() == 1


async def test_a_message_that_nothing_answers_is_said_to_be_soon(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page("/blank")
    await page.clock.install()
    await page.goto(edge.url)
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await server.command("ping")  # of the new connection, which compares the clocks
    await page.fill("#messageInput", "Are you there?")
    await page.press("#messageInput", "Enter")
    ping = await server.command("ping")
    await page.clock.fast_forward(2500)
    assert await page.evaluate("parley.state") == "idle"
    await page.clock.fast_forward(500)
    assert await page.evaluate("parley.state") == "silent"
    assert await page.inner_text("#stateText") == "No answer: the network or the server may be gone"
    await server.send(events.Pong(at_ms=ping["at_ms"], server_ms=0))
    await until(page, "parley.state === 'idle'")
    # Without any answer the connection is given up, and the message goes to the next one.
    await page.fill("#messageInput", "And now?")
    await page.press("#messageInput", "Enter")
    await page.clock.fast_forward(8000)
    again = await edge.connection()
    assert again.hello["token"] == "token-1"
    again.sequence = server.sequence
    await again.ready(resumed=True, epoch=2)
    await again.send(events.ConversationState(state="idle", turn=0))
    ping = await again.command("ping")
    await again.send(events.Pong(at_ms=ping["at_ms"], server_ms=0))
    assert (await again.command("user_message"))["text"] == "Are you there?"
    assert (await again.command("user_message"))["text"] == "And now?"


async def test_a_message_that_is_answered_ends_the_wait(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page("/blank")
    await page.clock.install()
    await page.goto(edge.url)
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await page.fill("#messageInput", "Are you there?")
    await page.press("#messageInput", "Enter")
    await server.command("user_message")
    await server.send(events.ConversationState(state="thinking", turn=1))
    await until(page, "parley.state === 'thinking'")
    await page.clock.fast_forward(7000)
    assert await page.evaluate("parley.state") == "thinking"


async def type_in(page: Page, text: str) -> None:
    await page.fill("#messageInput", text)
    await page.press("#messageInput", "Enter")


async def answer(server: Connection, generation: int, user: str) -> None:
    await server.send(events.ConversationState(state="thinking", turn=generation))
    await server.send(events.TextStreamStart(turn=generation, generation=generation, character="aria"))
    await server.send(events.TextChunk(generation=generation, text="Indeed."))
    turn = events.Turn(number=generation, user=user, assistant="Indeed.", character="aria", at=1.0)
    await server.send(events.TurnCommitted(generation=generation, turn=turn))
    await server.send(events.ConversationState(state="idle", turn=generation))


async def test_a_refused_message_stays_and_can_be_sent_again(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await type_in(page, "Tell me about the sea")
    await server.command("user_message")
    await server.send(events.error(Code.RATE_LIMITED))
    await until(page, "document.querySelector('.unsent')")
    assert "faster than a conversation needs" in await page.inner_text("#notices")
    assert await page.inner_text(".unsent .said") == "Tell me about the sea"
    assert "not sent" in await page.inner_text(".unsent .mark")
    # Another turn comes and goes, and a loss of what was shown: it is still there.
    await type_in(page, "And the sky?")
    await server.command("user_message")
    await answer(server, 1, "And the sky?")
    await until(page, "parley.counters.turns === 1")
    await server.ready(resumed=True, complete=False, epoch=2)
    await until(page, "parley.connection.epoch === 2")
    await page.get_by_role("button", name="Send again").click()
    assert (await server.command("user_message"))["text"] == "Tell me about the sea"
    assert await page.locator(".unsent").count() == 0
    assert await page.locator(".line-user .said").all_inner_texts() == ["Tell me about the sea"]


async def test_a_message_that_was_refused_without_a_word_is_found_missing(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    for text in ("one", "two", "three"):
        await type_in(page, text)
        await server.command("user_message")
    # The server says at most once a second that it takes nothing; the turn tells which it took.
    await answer(server, 1, "two")
    await until(page, "parley.counters.turns === 1")
    assert await page.locator(".line:not(.unsent) .said").all_inner_texts() == ["two", "Indeed."]
    assert await page.locator(".unsent .said").all_inner_texts() == ["one", "three"]


async def test_a_message_that_was_taken_after_all_is_not_shown_twice(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await type_in(page, "one")
    await server.send(events.error(Code.RATE_LIMITED))
    await until(page, "document.querySelector('.unsent')")
    await answer(server, 1, "one")
    await until(page, "parley.counters.turns === 1")
    assert await page.locator(".said").all_inner_texts() == ["one", "Indeed."]
    assert await page.locator(".unsent").count() == 0


async def test_what_was_cancelled_is_not_called_unsent(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await type_in(page, "one")
    await server.send(events.ConversationState(state="thinking", turn=1))
    await until(page, "parley.state === 'thinking'")
    await page.click("#interruptButton")
    await server.command("cancel")
    await type_in(page, "two")
    await answer(server, 1, "two")
    await until(page, "parley.counters.turns === 1")
    assert await page.locator(".said").all_inner_texts() == ["two", "Indeed."]
    assert await page.locator(".unsent").count() == 0

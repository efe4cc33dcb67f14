"""Nothing that was typed is lost: what is too long, what the server refuses, what gets no answer."""

import pytest
from page_driver import OpenPage, until
from scripted_edge import Edge

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


async def test_a_message_that_nothing_answers_is_said_to_be_soon(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page("/blank")
    await page.clock.install()
    await page.goto(edge.url)
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await page.fill("#messageInput", "Are you there?")
    await page.press("#messageInput", "Enter")
    ping = await server.command("ping")
    await page.clock.fast_forward(2900)
    assert await page.evaluate("parley.state") == "idle"
    await page.clock.fast_forward(100)
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

"""Nothing that was typed is lost: what is too long, what the server refuses, what gets no answer."""

import pytest
from page_driver import OpenPage, until
from scripted_edge import Edge

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

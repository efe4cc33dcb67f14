"""What the page says it is doing, as a table of what it knows."""

from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLOSED: dict[str, Any] = {"wanted": False, "connected": True, "answers": [], "open": False}
OPEN: dict[str, Any] = {**CLOSED, "wanted": True, "open": True}
TAIL: dict[str, Any] = {**CLOSED, "wanted": True, "answers": [1]}
FULL: dict[str, Any] = {**OPEN, "full": True, "answers": [1]}
KNOWN: dict[str, Any] = {
    "connection": "ready", "waitingFor": "", "everReady": True, "silent": False, "server": "idle", "listening": CLOSED,
    "opening": False, "sounding": False, "name": "Aria",
}  # fmt: skip

TABLE: dict[str, tuple[dict[str, Any], str]] = {
    "nothing happens": ({}, "idle"),
    "the gate is open": ({"listening": OPEN}, "listening"),
    "the gate is open and the user speaks": ({"listening": OPEN, "server": "user_speaking"}, "hearing"),
    "wanted, but the gate is closed": ({"listening": {**OPEN, "open": False}}, "idle"),
    "the server listens, the gate is closed": ({"server": "listening"}, "idle"),
    "the user spoke, the gate is closed": ({"server": "user_speaking"}, "idle"),
    "an answer sounds": ({"listening": TAIL, "sounding": True, "server": "answering"}, "answering"),
    "full duplex: an answer sounds": ({"listening": FULL, "sounding": True, "server": "answering"}, "answering"),
    "full duplex: a voice over it": ({"listening": FULL, "sounding": True, "server": "user_speaking"}, "hearing"),
    "full duplex: the tail of an answer": ({"listening": FULL, "server": "listening"}, "listening"),
    "full duplex, but the button is off": (
        {"listening": {**FULL, "wanted": False, "open": False}, "sounding": True, "server": "answering"},
        "answering",
    ),
    "the tail of an answer": ({"listening": TAIL}, "answering"),
    "the tail of an answer, and the server listens already": ({"listening": TAIL, "server": "listening"}, "answering"),
    "an answer to a page that does not listen has ended": ({"listening": {**CLOSED, "answers": [1]}}, "idle"),
    "the next answer is thought of": ({"listening": OPEN, "server": "thinking"}, "thinking"),
    "the microphone opens": ({"opening": True}, "opening"),
    "between two workers": ({"listening": OPEN, "server": "moving"}, "reconnecting"),
    "nothing comes back": ({"silent": True}, "silent"),
    "nothing comes back while the page listens": ({"silent": True, "listening": OPEN}, "silent"),
    "nothing comes back, and between two workers": ({"silent": True, "server": "moving"}, "reconnecting"),
    "the connection is lost": ({"connection": "waiting", "listening": TAIL}, "reconnecting"),
    "the first connection": ({"connection": "connecting", "everReady": False}, "connecting"),
    "no place is free": ({"connection": "waiting", "waitingFor": "at_capacity"}, "waiting"),
    "ended": ({"connection": "stopped", "waitingFor": "session_idle"}, "stopped"),
}


@pytest.mark.parametrize("name", TABLE)
async def test_the_state_that_is_shown(blank: Page, name: str) -> None:
    known, expected = TABLE[name]
    [state, words] = await blank.evaluate(
        """async (known) => (await import("/js/status.js")).describe(known)""", {**KNOWN, **known}
    )
    assert state == expected
    assert words.startswith("Listening") == (expected == "listening")

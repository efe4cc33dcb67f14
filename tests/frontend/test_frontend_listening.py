"""Half and full duplex as a table: what happens, and what the page says to the server and does to its gate."""

from typing import Any

import pytest
from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

READY: dict[str, Any] = {"type": "connected", "fresh": True}
RESUMED: dict[str, Any] = {"type": "connected", "fresh": False}
LOST: dict[str, Any] = {"type": "disconnected"}
ON: dict[str, Any] = {"type": "pressed", "wanted": True}
OFF: dict[str, Any] = {"type": "pressed", "wanted": False}
FULL: dict[str, Any] = {"type": "duplex", "full": True}
HALF: dict[str, Any] = {"type": "duplex", "full": False}
OPENED = ["start_listening", "open_gate"]
CLOSED = ["close_gate"]


def starts(generation: int) -> dict[str, Any]:
    return {"type": "audio_started", "generation": generation}


def heard(generation: int) -> dict[str, Any]:
    return {"type": "heard", "generation": generation}


def flushed(generation: int) -> dict[str, Any]:
    return {"type": "flushed", "generation": generation}


TABLE: dict[str, list[tuple[dict[str, Any], list[str]]]] = {
    "pressed once, it listens": [(READY, []), (ON, OPENED)],
    "pressed before the server is there, it listens when it is": [(ON, []), (READY, OPENED)],
    "pressed again, it stops and says so": [(READY, []), (ON, OPENED), (OFF, ["close_gate", "stop_listening"])],
    "an answer closes the gate silently and its end opens it": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (heard(1), OPENED),
    ],
    "once per turn": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (starts(1), []),
        (heard(1), OPENED), (heard(1), []), (flushed(2), []),
    ],
    "only after the last of several answers": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (starts(2), []), (heard(1), []), (heard(2), OPENED),
    ],
    "the user's stop during the answer is not undone": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (OFF, ["stop_listening"]), (heard(1), []),
    ],
    "the user's stop is not undone by later answers either": [
        (READY, []), (ON, OPENED), (OFF, ["close_gate", "stop_listening"]), (starts(1), []), (heard(1), []),
        (starts(2), []), (flushed(3), []),
    ],
    "the user's stop is not undone by a new connection": [
        (READY, []), (ON, OPENED), (OFF, ["close_gate", "stop_listening"]), (LOST, []), (RESUMED, []),
    ],
    "pressed during an answer, it waits for its end": [
        (READY, []), (starts(1), []), (ON, []), (heard(1), OPENED),
    ],
    "stopped and wanted again during an answer": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (OFF, ["stop_listening"]), (ON, []), (heard(1), OPENED),
    ],
    "an interruption opens it at once": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (flushed(2), OPENED), (flushed(2), []), (heard(1), []),
    ],
    "an interruption of an older answer leaves the newer one": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (starts(2), []), (flushed(2), []), (heard(2), OPENED),
    ],
    "an answer of text alone changes nothing": [(READY, []), (ON, OPENED), (flushed(2), [])],
    "a lost connection closes it and the next opens it": [(READY, []), (ON, OPENED), (LOST, CLOSED), (RESUMED, OPENED)],
    "lost during an answer that goes on after the resume": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (LOST, []), (RESUMED, []), (heard(1), OPENED),
    ],
    "heard to its end while the connection was lost": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (LOST, []), (heard(1), []), (RESUMED, OPENED),
    ],
    "a new session has none of the old answers": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (LOST, []), (READY, OPENED),
    ],
    "another worker takes over on the same connection and is asked to listen": [
        (READY, []), (ON, OPENED), (RESUMED, OPENED), (starts(1), CLOSED), (heard(1), OPENED),
    ],
    "a new session on the same connection is asked to listen": [(READY, []), (ON, OPENED), (READY, OPENED)],
    "another worker takes over during an answer": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (RESUMED, []), (heard(1), OPENED),
    ],
    "another worker takes over and nobody wants to be heard": [
        (READY, []), (ON, OPENED), (OFF, ["close_gate", "stop_listening"]), (RESUMED, []),
    ],
    "in full duplex an answer leaves it open": [
        (READY, []), (FULL, []), (ON, OPENED), (starts(1), []), (flushed(2), []), (starts(2), []), (heard(2), []),
    ],
    "full duplex chosen during an answer opens it, half closes it": [
        (READY, []), (ON, OPENED), (starts(1), CLOSED), (FULL, OPENED), (HALF, CLOSED), (heard(1), OPENED),
    ],
    "stopped while there is no connection": [(READY, []), (ON, OPENED), (LOST, CLOSED), (OFF, []), (RESUMED, [])],
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
async def test_what_it_says_and_does(blank: Page, name: str) -> None:
    actions = await blank.evaluate(
        """async (events) => {
          const { INITIAL, step } = await import("/js/listening.js");
          let state = INITIAL;
          return events.map((event) => {
            const result = step(state, event);
            state = result.state;
            return result.actions;
          });
        }""",
        [event for event, _ in TABLE[name]],
    )
    assert actions == [expected for _, expected in TABLE[name]]

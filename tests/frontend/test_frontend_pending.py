"""Typed messages that a loss may have swallowed: sent again, and never twice."""

from typing import Any

import pytest
from page_driver import OpenPage, until
from playwright.async_api import Page
from scripted_edge import Connection, Edge

from services.contracts import events
from services.contracts.errors import Code

pytestmark = pytest.mark.asyncio(loop_scope="session")


def sent(text: str) -> list[Any]:
    return ["sent", {"type": "user_message", "text": text}]


def ready(*users: str, fresh: bool = False) -> list[Any]:
    return ["ready", {"history": [{"user": user} for user in users]}, fresh]


def state(word: str) -> list[Any]:
    return ["take", {"type": "conversation_state", "state": word}]


def committed(user: str) -> list[Any]:
    return ["take", {"type": "turn_committed", "turn": {"user": user}}]


def error(code: Code) -> list[Any]:
    return ["take", {"type": "error", "code": code}]


IDLE = state("idle")
AGAIN: list[Any] = ["sendAgain"]

TABLE: dict[str, tuple[list[list[Any]], list[str]]] = {
    "swallowed": ([sent("hello"), ready(), IDLE, AGAIN], ["hello"]),
    "swallowed while the page listens": ([sent("hello"), ready(), state("listening"), AGAIN], ["hello"]),
    "in their order": ([sent("one"), sent("two"), ready(), IDLE, AGAIN], ["one", "two"]),
    "at most the last three": ([*map(sent, "abcd"), ready(), IDLE, AGAIN], ["b", "c", "d"]),
    "nothing was sent": ([ready(), IDLE, AGAIN], []),
    "thought about before the loss": ([sent("hello"), state("thinking"), ready(), IDLE, AGAIN], []),
    "thought about after it": ([sent("hello"), ready(), IDLE, state("thinking"), AGAIN], []),
    "thought about and done within the replay": ([sent("hello"), ready(), state("thinking"), IDLE, AGAIN], []),
    "being answered": ([sent("hello"), ready(), state("answering"), AGAIN], []),
    "an answer has begun": ([sent("hello"), ["take", {"type": "text_stream_start"}], ready(), IDLE, AGAIN], []),
    "in history, with what was said before it": ([sent("two"), ready("one two"), IDLE, AGAIN], []),
    "in a turn that is sent again": ([sent("two"), ready("one"), committed("two"), IDLE, AGAIN], []),
    "only the one that is in history": ([sent("one"), sent("two"), ready("one"), IDLE, AGAIN], ["two"]),
    "the user speaks, and it may be part of that turn": ([sent("hello"), ready(), state("user_speaking"), AGAIN], []),
    "refused": ([sent("hello"), error(Code.TEXT_TOO_LONG), ready(), IDLE, AGAIN], []),
    "not refused, but the worker was lost": ([sent("hello"), error(Code.WORKER_LOST), ready(), IDLE, AGAIN], ["hello"]),
    "another session": ([sent("hello"), ready(fresh=True), IDLE, AGAIN], []),
    "forgotten": ([sent("hello"), ["take", {"type": "reset_done"}], ready(), IDLE, AGAIN], []),
    "dropped": ([sent("hello"), ["dropAll"], ready(), IDLE, AGAIN], []),
    "lost again": ([sent("hello"), ready(), IDLE, AGAIN, ready(), IDLE, AGAIN], ["hello", "hello"]),
    "not for ever": ([sent("hello"), *[ready(), IDLE, AGAIN] * 5], ["hello", "hello"]),
}


@pytest.mark.parametrize("name", TABLE)
async def test_what_is_sent_again(blank: Page, name: str) -> None:
    steps, expected = TABLE[name]
    texts = await blank.evaluate(
        """async (steps) => {
          const { createPending } = await import("/js/pending.js");
          const pending = createPending();
          const texts = [];
          for (const [method, ...given] of steps) {
            const result = pending[method](...given);
            if (method === "sendAgain") texts.push(...result.map(({ text }) => text));
          }
          return texts;
        }""",
        steps,
    )
    assert texts == expected


REFUSALS: dict[str, tuple[list[list[Any]], list[str]]] = {
    "too fast": ([sent("one"), sent("two"), error(Code.RATE_LIMITED)], ["one", "two"]),
    "too long": ([sent("one"), error(Code.TEXT_TOO_LONG)], ["one"]),
    "too long beside one that is thought about": (
        [sent("one"), sent("two"), state("thinking"), error(Code.TEXT_TOO_LONG)], ["two"],
    ),
    "once": ([sent("one"), error(Code.TEXT_TOO_LONG), error(Code.TEXT_TOO_LONG)], ["one"]),
    "too fast, but it was not a text": ([sent("one"), state("thinking"), error(Code.RATE_LIMITED)], []),
    "another trouble": ([sent("one"), error(Code.LANGUAGE_FAILED)], []),
    "in history by now": ([sent("one"), committed("one"), error(Code.TEXT_TOO_LONG)], []),
    "of another session": ([sent("one"), ready(fresh=True), error(Code.TEXT_TOO_LONG)], []),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
async def test_what_was_refused(blank: Page, name: str) -> None:
    steps, expected = REFUSALS[name]
    texts = await blank.evaluate(
        """async (steps) => {
          const { createPending } = await import("/js/pending.js");
          const pending = createPending();
          const texts = [];
          for (const [method, ...given] of steps) {
            const result = pending[method](...given);
            if (method === "take") texts.push(...result.map(({ text }) => text));
          }
          return texts;
        }""",
        steps,
    )
    assert texts == expected


async def typed(page: Page, server: Connection, text: str) -> dict[str, Any]:
    await page.fill("#messageInput", text)
    await page.press("#messageInput", "Enter")
    command = await server.command("user_message")
    # It asks for a sign of life, too.
    await server.command("ping")
    return command


async def caught_up(server: Connection) -> None:
    ping = await server.command("ping")
    await server.send(events.Pong(at_ms=ping["at_ms"], server_ms=0))


@pytest.mark.parametrize("by_edge", [False, True])
async def test_a_message_to_a_worker_that_died_is_sent_to_the_next(
    edge: Edge, open_page: OpenPage, by_edge: bool
) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    first = await typed(page, server, "Tell me about the sea")
    if by_edge:
        await server.send(events.error(Code.WORKER_LOST))
        again = server
    else:
        await server.socket.close(1012)
        again = await edge.connection()
        again.sequence = server.sequence
    await again.ready(resumed=True, complete=False, epoch=2)
    await again.send(events.ConversationState(state="idle", turn=0))
    await caught_up(again)
    assert await again.command("user_message") == first
    assert await page.locator(".line-user .said").all_inner_texts() == ["Tell me about the sea"]


async def test_what_a_resumed_session_sends_again_is_waited_for(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    first = await edge.ready_connection()
    await typed(page, first, "Tell me about the sea")
    await first.socket.close(1012)
    second = await edge.connection()
    second.sequence = first.sequence
    await second.ready(resumed=True, epoch=2)
    ping = await second.command("ping")
    second.sequence = first.sequence
    turn = events.Turn(number=1, user="Tell me about the sea", assistant="It is wide.", character="aria", at=1.0)
    await second.send(events.TurnCommitted(generation=1, turn=turn))
    await second.send(events.ConversationState(state="idle", turn=1))
    await second.send(events.Pong(at_ms=ping["at_ms"], server_ms=0))
    await until(page, "parley.counters.turns === 1 && parley.counters.roundTripMs !== null")
    await typed(page, second, "And the sky?")
    assert second.commands == ["user_message"]


async def test_an_answer_to_a_ping_that_is_the_edges_own_says_nothing_of_the_session(
    edge: Edge, open_page: OpenPage
) -> None:
    page = await open_page("/blank")
    await page.clock.install()
    await page.goto(edge.url)
    server = await edge.ready_connection()
    await typed(page, server, "Tell me about the sea")
    await server.ready(resumed=True, complete=False, epoch=2)
    await server.send(events.ConversationState(state="idle", turn=0))
    ping = await server.command("ping")
    await server.socket.send(events.encode(events.Pong(at_ms=ping["at_ms"], server_ms=0)).decode())
    await until(page, "parley.counters.roundTripMs !== null")
    await page.clock.fast_forward(15_000)
    ping = await server.command("ping")
    assert server.commands == ["user_message"]
    await server.send(events.Pong(at_ms=ping["at_ms"], server_ms=0))
    assert (await server.command("user_message"))["text"] == "Tell me about the sea"

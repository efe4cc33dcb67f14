"""Losing the connection and coming back: tokens, sequence numbers, and an explanation for each way it can end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from page_driver import INSECURE_HOST, OpenPage, pressed_and_listening, until
from playwright.async_api import Page
from scripted_edge import Edge
from sounds import tone_24k

from services.contracts import events, frame
from services.contracts.errors import MEANINGS, Code
from services.contracts.moments import Part

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTS = [Part(name="voice", owner="synthesis", ms=600), Part(name="network", owner="network", ms=40)]
TURN = events.Turn(
    number=1, user="hello", assistant="Hello to you.", character="aria", at=1.0, first_audio_ms=640.0, parts=PARTS
)


async def test_the_first_hello_opens_a_new_session(edge: Edge, open_page: OpenPage) -> None:
    await open_page()
    server = await edge.connection()
    assert server.hello == {"type": "hello", "protocol": 1, "client": "parley-page/1", "settings": {}}


async def test_a_lost_connection_is_taken_up_where_it_was(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    first = await edge.ready_connection(token="secret-1")
    await pressed_and_listening(page)
    await first.until(lambda: len(first.frames) >= 10)
    await first.send(events.SttFinished(utterance="a-1", text="tell me"))
    await first.send(events.TextStreamStart(turn=1, generation=1, character="aria"))
    await first.send(events.TextChunk(generation=1, text="Once "))
    await until(page, "document.querySelector('.line-answer .said')?.textContent === 'Once '")
    await first.socket.close(1012)
    second = await edge.connection()
    assert second.hello["token"] == "secret-1"
    assert second.hello["last_sequence"] == first.sequence
    assert "settings" not in second.hello
    # The resumed session repeats one message and goes on; `ready` has the highest number, as it is the newest.
    second.sequence = first.sequence + 1
    await second.ready(token="secret-1", epoch=2, resumed=True, generation=1)
    second.sequence = first.sequence - 1
    await second.send(events.TextChunk(generation=1, text="Once "))
    await second.send(events.TextChunk(generation=1, text="upon a time."))
    await until(page, "document.querySelector('.line-answer .said').textContent === 'Once upon a time.'")
    await second.until(lambda: len(second.frames) >= 5)
    assert second.commands[0] == "start_listening"
    last, header = frame.unpack(first.frames[-1]), frame.unpack(second.frames[0])
    assert header.epoch == 2
    assert 1 <= header.sequence - last.sequence <= 10
    assert await page.evaluate("parley.counters.resumes") == 1


async def test_an_answer_goes_on_sounding_while_the_connection_is_lost(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    first = await edge.ready_connection()
    await pressed_and_listening(page)
    pcm = tone_24k(0.8)
    await first.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    await first.audio(1, pcm, frame.Flags.LAST)
    await first.command("playback_started")
    await first.socket.close(1012)
    second = await edge.connection()
    await until(page, f"parley.counters.playedSamples === {len(pcm) // 2}")
    await second.ready(resumed=True, generation=1)
    assert (await second.command("played"))["samples"] == len(pcm) // 2
    await second.command("start_listening")


async def test_what_was_told_into_a_dying_connection_is_told_again(edge: Edge, open_page: OpenPage) -> None:
    """Else the session would wait for the end of an answer that was heard long ago."""
    page = await open_page()
    first = await edge.ready_connection()
    await pressed_and_listening(page)
    pcm = tone_24k(0.3)
    await first.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    await first.audio(1, pcm, frame.Flags.LAST)
    await first.until(
        lambda: any(one.get("samples") == len(pcm) // 2 for one in first.messages if isinstance(one, dict))
    )
    await first.socket.close(1012)
    second = await edge.connection()
    await second.ready(resumed=True, generation=1)
    assert (await second.command("played"))["samples"] == len(pcm) // 2


async def test_what_was_heard_of_an_interrupted_answer_is_told_after_the_resume(
    edge: Edge, open_page: OpenPage
) -> None:
    page = await open_page()
    first = await edge.ready_connection()
    await first.send(events.ConversationState(state="answering", turn=1))
    await first.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    await page.click("#messageInput")
    await first.audio(1, tone_24k(1.4))
    await first.command("playback_started")
    await first.socket.close(1012)
    second = await edge.connection()
    await page.keyboard.press("Escape")
    await until(page, "parley.counters.playedSamples > 0 && parley.listening.answers.length === 0")
    await second.ready(resumed=True, generation=1)
    await second.command("interrupt")
    assert [message["type"] for message in second.messages if isinstance(message, dict)][:2] == ["played", "interrupt"]


async def test_a_reload_takes_the_session_up_again(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    await edge.ready_connection(token="secret-1")
    await until(page, "parley.state === 'idle'")
    await page.reload()
    again = await edge.connection()
    assert again.hello["token"] == "secret-1"
    # It remembers nothing of what it has seen, so that the server stops an answer that nobody hears any more.
    assert again.hello["last_sequence"] == 0
    await again.ready(token="secret-1", resumed=True, complete=False, history=[TURN])
    await until(page, "parley.counters.turns === 1")
    assert await page.locator("#chat .said").all_inner_texts() == ["hello", "Hello to you."]
    assert await page.inner_text(".times .figure-text") == "0.64 s after you sent it"
    assert await page.locator(".times tbody tr").count() == 2
    assert await page.inner_text("#latencyText") == "p50 0.64 s · p95 0.64 s"


async def test_after_a_gap_history_is_what_remains(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    first = await edge.ready_connection()
    await first.send(events.TextStreamStart(turn=1, generation=1, character="aria"))
    await first.send(events.TextChunk(generation=1, text="half an ans"))
    await until(page, "document.querySelector('.line-answer.live')")
    await first.socket.close(1012)
    second = await edge.connection()
    second.sequence = 100
    await second.ready(resumed=True, complete=False, generation=4, history=[TURN])
    await until(page, "parley.counters.turns === 1")
    assert await page.locator("#chat .said").all_inner_texts() == ["hello", "Hello to you."]
    assert "was lost" in await page.inner_text("#notices")


@pytest.mark.parametrize("code", [Code.SESSION_UNKNOWN, Code.TOKEN_INVALID])
async def test_a_session_that_is_gone_makes_room_for_a_new_one(edge: Edge, open_page: OpenPage, code: Code) -> None:
    page = await open_page()
    first = await edge.ready_connection(token="secret-1", history=[TURN])
    await until(page, "parley.counters.turns === 1")
    await first.socket.close(1012)
    second = await edge.connection()
    await second.refuse(code)
    third = await edge.connection()
    assert "token" not in third.hello
    await third.ready()
    await until(page, "parley.state === 'idle'")
    assert "This is a new one" in await page.inner_text("#chat")


@pytest.mark.parametrize(
    ("code", "heading", "button"),
    [
        (Code.SESSION_SUPERSEDED, "open elsewhere", "Use it here"),
        (Code.SESSION_IDLE, "Still there?", "Go on"),
        (Code.UNSUPPORTED_PROTOCOL, "out of date", "Load it again"),
        (Code.MESSAGE_TOO_LARGE, "too much at once", "Connect again"),
    ],
)
async def test_an_end_that_needs_the_user_waits_for_the_user(
    edge: Edge, open_page: OpenPage, code: Code, heading: str, button: str
) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await server.refuse(code)
    await until(page, "parley.state === 'stopped'")
    assert heading in await page.inner_text("#cardTitle")
    assert edge.accepted.empty()
    await page.get_by_role("button", name=button).click()
    again = await edge.connection()
    assert again.hello["token"] == "token-1"
    await again.ready(resumed=True)
    await until(page, "parley.state === 'idle'")
    assert await page.is_hidden("#card")


async def test_a_full_server_is_explained_and_tried_again(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    await (await edge.connection()).refuse(Code.AT_CAPACITY, retry_after_ms=60_000)
    await until(page, "parley.state === 'waiting'")
    assert await page.inner_text("#cardTitle") == "All places are taken"
    assert "Trying again in" in await page.inner_text("#cardText")
    await page.get_by_role("button", name="Try now").click()
    await (await edge.connection()).refuse(Code.AT_CAPACITY, retry_after_ms=100)
    await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    assert await page.is_hidden("#card")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (Code.NO_WORKER, "no dialogue worker is running"),
        (Code.SERVER_DRAINING, "being replaced"),
        (Code.SLOW_CLIENT, "too slow for the conversation"),
    ],
)
async def test_a_loss_that_mends_itself_says_what_it_is(
    edge: Edge, open_page: OpenPage, code: Code, words: str
) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await server.refuse(code)
    await until(page, "parley.connection.phase !== 'ready'")
    assert await page.inner_text("#stateText") == "Reconnecting…"
    assert words in await page.inner_text("#notices")
    await edge.ready_connection(resumed=True)
    await until(page, "parley.state === 'idle'")
    assert "Connected again." in await page.inner_text("#notices")


async def test_a_lost_worker_is_said_until_another_has_taken_over(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await page.click(".wordmark")
    await server.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    await server.audio(1, tone_24k(0.3))
    await server.send(events.ConversationState(state="answering", turn=1))
    await server.send(events.error(Code.WORKER_LOST))
    await until(page, "parley.state === 'reconnecting'")
    assert "taken up elsewhere" in await page.inner_text("#notices")
    # The same connection gets a new `ready`, with the next epoch and without the answer that was cut off.
    await server.ready(resumed=True, complete=False, epoch=2, generation=1)
    await until(page, "parley.state === 'idle' && parley.connection.epoch === 2")
    assert "taken up elsewhere" not in await page.inner_text("#notices")
    pcm = tone_24k(0.2)
    await server.send(events.AudioStreamStart(generation=2, character="aria", sample_rate=24_000))
    await server.audio(2, pcm, frame.Flags.LAST)
    while (played := await server.command("played"))["generation"] != 2 or played["samples"] < len(pcm) // 2:
        pass


async def test_a_worker_that_takes_over_while_the_user_speaks_is_asked_to_listen(
    edge: Edge, open_page: OpenPage
) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await pressed_and_listening(page)
    await server.command("start_listening")
    await server.send(events.error(Code.WORKER_LOST))
    await until(page, "parley.state === 'reconnecting'")
    await server.ready(resumed=True, complete=False, epoch=2)
    await server.command("start_listening")
    await server.until(lambda: server.frames and frame.unpack(server.frames[-1]).epoch == 2)
    await until(page, "parley.state === 'listening'")


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Takes connections and answers nothing, as a host behind a broken proxy does."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in writers:
            writer.close()


async def with_clock(edge: Edge, open_page: OpenPage, script: str = "") -> Page:
    """The page, with timers that a test can let run out."""
    page = await open_page("/blank", script=script)
    await page.clock.install()
    await page.goto(edge.url)
    return page


async def test_a_hello_that_nobody_answers_is_given_up(edge: Edge, open_page: OpenPage) -> None:
    page = await with_clock(edge, open_page)
    await edge.connection()
    await page.clock.fast_forward(13_000)
    assert await page.evaluate("parley.connection.phase") == "connecting"
    await page.clock.fast_forward(2_000)
    await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    # The time to be ready is over then: it ends no connection that is.
    await page.clock.fast_forward(14_900)
    assert await page.evaluate("[parley.connection.phase, parley.counters.connects]") == ["ready", 1]


async def test_a_handshake_that_nobody_answers_is_given_up(edge: Edge, open_page: OpenPage) -> None:
    async with silent_server() as silent:
        script = f"""
          const Real = WebSocket;
          let made = 0;
          window.WebSocket = class extends Real {{
            constructor(url) {{ super(made++ === 0 ? {silent!r} : url); }}
          }};
        """
        page = await with_clock(edge, open_page, script)
        await until(page, "parley.connection.phase === 'connecting'")
        await page.clock.fast_forward(15_000)
        await edge.ready_connection()
        await until(page, "parley.state === 'idle'")


async def test_a_silent_connection_is_given_up_but_not_while_a_worker_is_looked_for(
    edge: Edge, open_page: OpenPage
) -> None:
    page = await with_clock(edge, open_page)
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await server.send(events.error(Code.WORKER_LOST))
    await until(page, "parley.state === 'reconnecting'")
    await page.clock.fast_forward(15_000)
    await server.command("ping")
    await page.clock.fast_forward(8_500)
    assert await page.evaluate("[parley.connection.phase, parley.counters.connects]") == ["ready", 1]
    await server.ready(resumed=True, epoch=2)
    await until(page, "parley.state === 'idle' && parley.connection.epoch === 2")
    await page.clock.fast_forward(15_000)
    await server.command("ping")
    await page.clock.fast_forward(8_000)
    again = await edge.connection()
    assert again.hello["token"] == "token-1"


async def test_a_worker_that_is_never_found_is_not_waited_for_without_end(edge: Edge, open_page: OpenPage) -> None:
    page = await with_clock(edge, open_page)
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await server.send(events.error(Code.WORKER_LOST))
    await until(page, "parley.state === 'reconnecting'")
    await page.clock.fast_forward(25_000)
    await edge.connection()


async def test_every_close_code_of_the_contract_is_known_to_the_page(open_page: OpenPage) -> None:
    page = await open_page("/blank")
    known = await page.evaluate("async () => (await import('/js/protocol.js')).CLOSE_CODES")
    assert known == {str(meaning.close): code.value for code, meaning in MEANINGS.items() if meaning.close}


async def test_an_error_that_the_session_survives_is_a_passing_notice(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await server.send(events.error(Code.LANGUAGE_TIMEOUT))
    await until(page, "document.getElementById('notices').textContent.includes('took too long')")
    assert await page.is_hidden("#card")
    await page.get_by_role("button", name="Dismiss").click()
    assert await page.inner_text("#notices") == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "allow the microphone for this page"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "another program may be using it"),
    ],
)
async def test_a_microphone_that_does_not_open_is_explained(
    edge: Edge, open_page: OpenPage, name: str, words: str
) -> None:
    refuse = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{name}'));"
    page = await open_page(script=refuse)
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await page.click("#voiceButton")
    await until(page, "document.getElementById('notices').textContent !== ''")
    assert words in await page.inner_text("#notices")
    assert await page.get_attribute("#voiceButton", "aria-pressed") == "false"
    await page.fill("#messageInput", "I can type")
    await page.press("#messageInput", "Enter")
    await server.command("user_message")
    assert server.commands == ["user_message"]


async def test_without_https_typing_works_answers_sound_and_the_reason_is_said(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page(url=edge.url.replace("127.0.0.1", INSECURE_HOST))
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    assert not await page.evaluate("isSecureContext")
    assert "only to pages that come over HTTPS or from localhost" in await page.inner_text("#notices")
    await page.fill("#messageInput", "hello")
    await page.press("#messageInput", "Enter")
    await server.command("user_message")
    pcm = tone_24k(0.3)
    await server.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    await server.audio(1, pcm, frame.Flags.LAST)
    await server.command("playback_started")
    await until(page, f"parley.counters.playedSamples === {len(pcm) // 2}")


# Headless Chromium lets every page sound; this one waits for a press, as browsers with a screen do.
HELD_BACK = """
  const Real = AudioContext;
  let pressed = false;
  addEventListener("pointerdown", () => (pressed = true), { capture: true });
  window.AudioContext = function (options) {
    const context = new Real(options);
    const resume = context.resume.bind(context);
    context.suspend();
    context.resume = () => (pressed ? resume() : new Promise(() => {}));
    return context;
  };
"""


async def test_sound_that_the_browser_holds_back_is_explained(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page(script=HELD_BACK)
    server = await edge.ready_connection()
    await server.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    pcm = tone_24k(0.3)
    await server.audio(1, pcm, frame.Flags.LAST)
    await until(page, "document.getElementById('notices').textContent.includes('holds back the sound')")
    await page.click(".wordmark")
    await until(page, f"parley.counters.playedSamples === {len(pcm) // 2}")
    assert "holds back" not in await page.inner_text("#notices")


# As when the server restarts at the first gesture: the player's file does not come, once or until told otherwise.
PLAYER_MISSING = """
  const add = AudioWorklet.prototype.addModule;
  window.missing = true;
  window.tries = 0;
  AudioWorklet.prototype.addModule = function (url) {
    if (!String(url).includes("player")) return add.call(this, url);
    window.tries += 1;
    if (!window.missing) return add.call(this, url);
    return Promise.reject(new DOMException("Unable to load a worklet's module.", "AbortError"));
  };
"""


async def test_a_player_that_did_not_load_is_tried_again_at_the_next_gesture(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page(script=PLAYER_MISSING)
    server = await edge.ready_connection()
    pcm = tone_24k(0.6)
    await server.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    await server.audio(1, pcm, frame.Flags.LAST)
    await until(page, "document.getElementById('notices').textContent.includes('The sound did not load')")
    await until(page, "parley.listening.answers.length === 1")
    assert await page.locator(".notice").count() == 1
    # Each answer tries once, not each of its frames.
    assert await page.evaluate("window.tries") == 1
    await page.evaluate("window.missing = false")
    await page.click(".wordmark")
    await until(page, f"parley.counters.playedSamples === {len(pcm) // 2} && parley.listening.answers.length === 0")
    assert await page.inner_text("#notices") == ""


async def test_a_player_that_did_not_load_is_tried_again_with_the_next_answer(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page(script=PLAYER_MISSING)
    server = await edge.ready_connection()
    await page.click(".wordmark")
    await until(page, "document.getElementById('notices').textContent.includes('The sound did not load')")
    await page.evaluate("window.missing = false")
    pcm = tone_24k(0.3)
    await server.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    await server.audio(1, pcm, frame.Flags.LAST)
    await until(page, f"parley.counters.playedSamples === {len(pcm) // 2}")
    await until(page, "document.getElementById('notices').textContent === ''")


async def test_an_answer_that_ended_before_the_player_was_loaded_is_not_heard(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page(script=PLAYER_MISSING)
    server = await edge.ready_connection()
    await server.send(events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000))
    await server.audio(1, tone_24k(0.6), frame.Flags.LAST)
    await until(page, "document.getElementById('notices').textContent.includes('The sound did not load')")
    await server.ready(resumed=True, complete=False, epoch=2, generation=1)
    await until(page, "parley.connection.epoch === 2 && parley.listening.answers.length === 0")
    await page.evaluate("window.missing = false")
    await page.click(".wordmark")
    pcm = tone_24k(0.3)
    await server.send(events.AudioStreamStart(generation=2, character="aria", sample_rate=24_000))
    await server.audio(2, pcm, frame.Flags.LAST)
    await until(page, "parley.counters.answersHeard === 1")
    assert await page.evaluate("parley.counters.playedSamples") == len(pcm) // 2

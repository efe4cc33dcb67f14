"""A part dies in the middle of an answer: the page says so, goes on by itself, and the next turn works."""

import re
from collections.abc import Iterator

import pytest
from chromium import chromium, microphone, until
from stack import Stack

LONG = "this is a long message that takes a good while to say again because it goes on and on " * 3


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack"), llm_mode="echo")
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
async def page(stack: Stack, tmp_path):
    async with chromium(microphone(tmp_path / "microphone.wav", ["00-slt.wav"], 8)) as page:
        await page.goto(stack.url)
        await until(page, 'parley.connection.phase === "ready"')
        await page.evaluate("""() => {
          window.seen = [];
          new MutationObserver(() => {
            for (const id of ["notices", "stateText", "card"]) {
              const text = document.getElementById(id).innerText.trim();
              if (text && window.seen.at(-1) !== text) window.seen.push(text);
            }
          }).observe(document.body, { subtree: true, childList: true, characterData: true });
        }""")
        yield page


async def type_and_hear(page, text):
    turns = await page.evaluate("parley.counters.turns")
    await page.fill("#messageInput", text)
    await page.keyboard.press("Enter")
    await until(page, f"parley.counters.turns > {turns} && parley.state !== 'answering'", 60)


async def answering(page):
    await page.fill("#messageInput", LONG)
    await page.keyboard.press("Enter")
    await until(page, "parley.state === 'answering' && parley.counters.playedSamples > 24000")


async def said_on_the_page(page, pattern):
    seen = await page.evaluate("window.seen")
    return any(re.search(pattern, text, re.IGNORECASE) for text in seen), seen


@pytest.mark.timeout(180)
async def test_the_dialogue_worker_is_killed(stack: Stack, page):
    """The conversation is taken up with its history, and the answer that was owed is given."""
    await type_and_hear(page, "remember the blue door")
    await answering(page)
    mark = len(stack.lines)
    stack.part("services.dialogue").kill()
    stack.wait_for(r"worker is ready", 30, after=mark)
    await until(page, "parley.counters.turns >= 2 && parley.state === 'idle'", 90)
    told, seen = await said_on_the_page(page, "taken up elsewhere|connected again|reconnect")
    assert told, seen
    chat = await page.evaluate("document.getElementById('chat').innerText")
    assert "remember the blue door" in chat
    await type_and_hear(page, "hello again")
    chat = await page.evaluate("document.getElementById('chat').innerText")
    assert "You said: hello again" in chat


@pytest.mark.timeout(180)
async def test_the_dialogue_worker_is_killed_while_it_listens(stack: Stack, page):
    """The next worker listens, too, without another press of the button."""
    await page.click("#voiceButton")
    await until(page, "parley.state === 'listening'")
    mark = len(stack.lines)
    stack.part("services.dialogue").kill()
    stack.wait_for(r"worker is ready", 30, after=mark)
    await until(page, "parley.counters.turns >= 1 && parley.listening.open", 60)


@pytest.mark.timeout(180)
async def test_the_speech_models_are_killed(stack: Stack, page):
    """What was not spoken yet is shown; as soon as the server is back, answers sound again."""
    await answering(page)
    mark = len(stack.lines)
    stack.part("tritonserver").kill()
    await until(page, "parley.counters.turns >= 1 && parley.state === 'idle'", 90)
    stack.wait_for(r"triton +\| ready", 30, after=mark)
    heard = await page.evaluate("parley.counters.answersHeard")
    await type_and_hear(page, "hello again")
    assert await page.evaluate("parley.counters.answersHeard") > heard


@pytest.mark.timeout(180)
async def test_one_models_process_is_killed_and_its_server_looks_healthy(stack: Stack, page):
    """Only the launcher's canary can notice."""
    stubs = [
        process
        for process in stack.part("tritonserver").children(recursive=True)
        if "triton_python_backend_stub" in " ".join(process.cmdline())
    ]
    assert len(stubs) == 2
    mark = len(stack.lines)
    for stub in stubs:
        stub.kill()
    stack.wait_for(r"triton +\| ready", 60, after=mark)
    heard = await page.evaluate("parley.counters.answersHeard")
    await type_and_hear(page, "hello again")
    assert await page.evaluate("parley.counters.answersHeard") > heard


@pytest.mark.timeout(180)
async def test_the_edge_is_killed(stack: Stack, page):
    """The page reconnects to the next edge and the answer goes on where it was."""
    await answering(page)
    mark = len(stack.lines)
    stack.part("services.edge").kill()
    stack.wait_for(r"edge +\| ready", 30, after=mark)
    await until(page, "parley.counters.turns >= 1 && parley.state === 'idle'", 90)
    told, seen = await said_on_the_page(page, "reconnect|connected again")
    assert told, seen
    chat = await page.evaluate("document.getElementById('chat').innerText")
    assert chat.count("goes on and on") >= 3
    await type_and_hear(page, "hello again")


@pytest.mark.timeout(180)
async def test_nats_is_killed(stack: Stack, page):
    await type_and_hear(page, "before")
    mark = len(stack.lines)
    stack.part("nats-server").kill()
    stack.wait_for(r"nats +\| ready", 30, after=mark)
    await type_and_hear(page, "after")
    chat = await page.evaluate("document.getElementById('chat').innerText")
    assert "You said: before" in chat
    assert "You said: after" in chat


@pytest.mark.timeout(180)
async def test_a_spoken_turn_works_after_all_of_that(stack: Stack, page):
    await page.click("#voiceButton")
    await until(page, "parley.counters.turns >= 1 && parley.listening.open", 60)
    chat = await page.evaluate("document.getElementById('chat').innerText")
    assert "today" in chat.lower().split("you said:")[1]

"""Somebody who talks over every answer: full duplex in headless Chromium, on the whole real stack."""

import json
from collections.abc import Iterator

import pytest
from chromium import RECORD, chromium, microphone, played, until
from stack import Stack
from test_stack_conversation import word_errors

SENTENCES = ["02-slt.wav", "01-rms.wav"]
TEXTS = ["please tell me a story about the sea", "what is the weather like in london"]
EVERY_S = 3.6
"""A sentence takes 1.7 to 2.1 s and its end 0.5 s: the next one begins a second into the answer."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("stack"), llm_mode="echo")
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.mark.timeout(180)
async def test_talking_over_the_answer_stops_it_and_history_keeps_what_was_heard(stack: Stack, tmp_path):
    async with chromium(microphone(tmp_path / "microphone.wav", SENTENCES, EVERY_S)) as page:
        await page.goto(stack.url)
        await until(page, 'parley.connection.phase === "ready"')
        await page.click("#settingsButton")
        await page.select_option("#duplex", "full")
        await page.keyboard.press("Escape")
        await until(page, "parley.listening.full")
        await page.click("#voiceButton")
        await page.evaluate(RECORD)
        await until(page, "parley.counters.turns >= 4", 60)
        await page.click("#voiceButton")
        await until(page, 'parley.state === "idle"', 60)
        sound = await played(page)
        states = await page.evaluate("test.states")
        counters = await page.evaluate("parley.counters")
        async with page.expect_download() as download:
            await page.evaluate("document.getElementById('exportButton').click()")
        turns = json.loads((await (await download.value).path()).read_text())["turns"]

    # The button was pressed at some moment of the fourth turn or of a later one.
    interrupted = turns[:3]
    assert len(interrupted) == 3
    for turn in interrupted:
        assert turn["cut"], turn
        whole = f"You said: {turn['user']}"
        assert whole.startswith(turn["assistant"])
        assert 0 < len(turn["assistant"]) < len(whole), turn
    # Nobody's words are in anybody else's turn; the browser's filters cost the recogniser some.
    wrong = [min(word_errors(turn["user"], text) for text in TEXTS) for turn in interrupted]
    assert sum(wrong) <= 0.5 * sum(len(turn["user"].split()) for turn in interrupted), turns
    assert "answering hearing" in " ".join(states)
    assert counters["maxGapMs"] <= 50, "a held answer is no gap"
    assert len(sound) > 16_000

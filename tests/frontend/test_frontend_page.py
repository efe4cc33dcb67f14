"""A conversation with the whole page: spoken microphone in, answers out, half duplex between them."""

import asyncio
import base64
import json
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from page_driver import OpenPage, pressed_and_listening, until
from scripted_edge import Connection, Edge
from sounds import SPEECH, envelope, likeness, read_wav, speech_24k, tone_24k

from services.contracts import events, frame
from services.contracts.errors import MEANINGS, Code
from services.contracts.moments import Part
from services.contracts.settings import SessionSettings

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def begin_answer(server: Connection, generation: int = 1, text: str = "Once upon a time. The end.") -> None:
    await server.send(events.TextStreamStart(turn=1, generation=generation, character="aria"))
    await server.send(events.TextChunk(generation=generation, text=text))
    await server.send(events.TextStreamStop(generation=generation, reason="complete"))


async def speak(server: Connection, pcm: bytes, generation: int = 1, ended: bool = True) -> None:
    """The sound of an answer; `ended`: to its end."""
    await server.send(events.AudioStreamStart(generation=generation, character="aria", sample_rate=24_000))
    await server.send(events.ConversationState(state="answering", turn=1))
    await server.audio(generation, pcm, frame.Flags.LAST if ended else frame.Flags.NONE)
    if ended:
        await server.send(
            events.AudioStreamStop(generation=generation, last_sequence=server.sequence, samples=len(pcm) // 2)
        )


async def heard(server: Connection, pcm: bytes, generation: int = 1) -> None:
    """Waits until the page has reported the answer as played to its end."""
    while (played := await server.command("played"))["samples"] < len(pcm) // 2 or played["generation"] != generation:
        pass


def turn(assistant: str, *, cut: bool = False, user: str = "hello") -> events.Turn:
    return events.Turn(number=1, user=user, assistant=assistant, character="aria", cut=cut, at=1.0)


async def test_the_microphone_arrives_as_frames_by_the_contract(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection(epoch=7)
    before_us = time.time() * 1e6
    await pressed_and_listening(page)
    await server.until(lambda: len(server.frames) >= 220)
    assert server.commands == ["start_listening"]
    frames = server.frames
    headers = [frame.unpack(message) for message in frames]
    assert {(header.kind, header.epoch, header.flags) for header in headers} == {
        (frame.Kind.AUDIO, 7, frame.Flags.NONE)
    }
    assert [header.sequence for header in headers] == list(range(len(frames)))
    assert {len(message) - frame.HEADER_BYTES for message in frames} == {640}
    times = np.array([header.time_us for header in headers], dtype=float)
    assert before_us - 1e6 < times[0] < time.time() * 1e6
    # The clock mapping settles within its first second; from then on frames are 20 ms apart.
    assert np.abs(np.diff(times[50:]) - 20_000).max() < 3_000
    sound = np.frombuffer(b"".join(message[frame.HEADER_BYTES :] for message in frames), "<i2") / 32768
    rate, spoken = read_wav(SPEECH / "02-slt.wav")
    assert likeness(envelope(sound, 16_000), envelope(spoken, rate)) > 0.8


async def test_the_answer_is_really_played_and_listening_resumes_after_it(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await pressed_and_listening(page)
    await page.evaluate(
        """async () => {
          window.pieces = [];
          window.recorder = new MediaRecorder(await parley.playedStream(), { mimeType: "audio/webm" });
          window.recorder.ondataavailable = ({ data }) => window.pieces.push(data);
          window.recorder.start();
        }"""
    )
    pcm = speech_24k()
    started = time.time() * 1000
    await begin_answer(server)
    await speak(server, pcm)
    playback = await server.command("playback_started")
    assert playback["generation"] == 1
    assert started < playback["received_ms"] <= playback["started_ms"] < started + 1000
    await until(page, "!parley.listening.open")
    frames_during = len(server.frames)
    await heard(server, pcm)
    assert len(server.frames) - frames_during <= 1
    await server.command("start_listening")
    await until(page, "parley.state === 'answering' || parley.listening.open")
    await server.send(events.TurnCommitted(generation=1, turn=turn("Once upon a time. The end.")))
    await server.send(events.ConversationState(state="listening", turn=1))
    await until(page, "parley.state === 'listening' && parley.counters.turns === 1")
    await server.until(lambda: len(server.frames) > frames_during + 5)
    assert server.commands.count("start_listening") == 2
    assert "stop_listening" not in server.commands
    recorded = await page.evaluate(
        """() => new Promise((resolve) => {
          window.recorder.onstop = async () => {
            const bytes = await new Blob(window.pieces).arrayBuffer();
            const context = new OfflineAudioContext(1, 16000, 16000);
            const samples = (await context.decodeAudioData(bytes)).getChannelData(0);
            const whole = Int16Array.from(samples, (value) => value * 32767);
            resolve(btoa(Array.from(new Uint8Array(whole.buffer), (byte) => String.fromCharCode(byte)).join("")));
          };
          window.recorder.stop();
        })"""
    )
    sound = np.frombuffer(base64.b64decode(recorded), "<i2") / 32768
    rate, spoken = read_wav(SPEECH / "02-slt.wav")
    assert likeness(envelope(sound, 16_000), envelope(spoken, rate)) > 0.95
    counters = await page.evaluate("parley.counters")
    assert counters["playedSamples"] == len(pcm) // 2
    assert (counters["underruns"], counters["maxGapMs"]) == (0, 0)


async def test_a_stop_during_the_answer_is_not_undone(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await pressed_and_listening(page)
    pcm = tone_24k(0.6)
    await begin_answer(server)
    await speak(server, pcm)
    await server.command("playback_started")
    await page.click("#voiceButton")
    await heard(server, pcm)
    await server.send(events.TurnCommitted(generation=1, turn=turn("Once upon a time. The end.")))
    await server.send(events.ConversationState(state="idle", turn=1))
    await until(page, "parley.state === 'idle' && parley.listening.answers.length === 0")
    assert server.commands == ["start_listening", "playback_started", "stop_listening"]
    assert await page.get_attribute("#voiceButton", "aria-pressed") == "false"


async def test_an_answer_of_text_alone_never_stops_listening(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await pressed_and_listening(page)
    await begin_answer(server)
    await server.send(events.error(Code.SYNTHESIS_UNAVAILABLE))
    await server.send(events.TurnCommitted(generation=1, turn=turn("Once upon a time. The end.")))
    await until(page, "parley.counters.turns === 1")
    assert await page.evaluate("parley.listening.open")
    so_far = len(server.frames)
    await server.until(lambda: len(server.frames) > so_far + 5)
    assert server.commands == ["start_listening"]
    assert "not available" in await page.inner_text("#notices")
    # What is not heard is read out by the screen reader.
    await until(page, "document.getElementById('announcer').textContent.includes('Once upon a time')")


async def test_escape_interrupts_and_listening_resumes_at_once(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await pressed_and_listening(page)
    await begin_answer(server)
    await speak(server, tone_24k(1.4), ended=False)
    await until(page, "parley.counters.playedSamples > 4000")
    await page.keyboard.press("Escape")
    await server.command("start_listening")
    await server.command("start_listening")
    kinds = [message["type"] for message in server.messages if isinstance(message, dict)]
    assert kinds[-3:] == ["played", "interrupt", "start_listening"]
    await server.audio(1, tone_24k(0.5))
    await server.send(events.AudioFlush(generation=2))
    await server.send(events.TurnCommitted(generation=1, turn=turn("Once upon", cut=True)))
    await server.send(events.ConversationState(state="listening", turn=1))
    await until(page, "parley.state === 'listening'")
    assert server.commands.count("start_listening") == 2
    line = page.locator(".line-answer").last
    assert await line.locator(".said").inner_text() == "Once upon"
    assert await line.locator(".mark").inner_text() == "interrupted"


async def test_a_flush_by_the_server_silences_the_answer(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await pressed_and_listening(page)
    await begin_answer(server)
    await speak(server, tone_24k(1.4), ended=False)
    await until(page, "parley.counters.playedSamples > 4000")
    await server.send(events.AudioFlush(generation=2))
    await server.command("start_listening")
    await server.command("start_listening")
    played = await page.evaluate("parley.counters.playedSamples")
    await server.audio(1, tone_24k(0.5))
    await speak(server, tone_24k(0.1), generation=2)
    await heard(server, tone_24k(0.1), generation=2)
    assert await page.evaluate("parley.counters.playedSamples") == played + 2400


async def test_never_mind_cancels_what_is_being_thought(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await server.send(events.ConversationState(state="thinking", turn=1))
    await until(page, "parley.state === 'thinking'")
    await page.click("#interruptButton")
    await server.command("cancel")


async def test_a_typed_message_needs_no_microphone(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    assert "Hello, I am Aria" in await page.inner_text("#chat")
    await page.fill("#messageInput", "Tell me about the sea")
    await page.press("#messageInput", "Enter")
    command = await server.command("user_message")
    assert command["text"] == "Tell me about the sea"
    assert abs(command["at_ms"] - time.time() * 1000) < 5000
    pcm = tone_24k(0.3)
    await begin_answer(server)
    await speak(server, pcm)
    await heard(server, pcm)
    await until(page, "!document.querySelector('.greeting')")
    assert server.frames == []
    assert await page.input_value("#messageInput") == ""


async def test_partial_transcripts_replace_each_other_until_the_final_one(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await server.send(events.SttUpdate(utterance="a-1", text="please tell", committed=6))
    await server.send(events.SttUpdate(utterance="a-1", text="please sell me", committed=6))
    await until(page, "document.querySelector('.tentative')?.textContent === ' sell me'")
    assert await page.inner_text(".firm") == "please"
    await server.send(events.SttFinished(utterance="a-1", text="Please tell me."))
    await until(page, "document.querySelector('.line-user .said').textContent === 'Please tell me.'")
    assert await page.locator(".line-user").count() == 1
    assert await page.locator(".tentative").count() == 0
    await server.send(events.SttUpdate(utterance="a-2", text="hm"))
    await server.send(events.SttFinished(utterance="a-2", text=""))
    await until(page, "document.getElementById('notices').textContent.includes('not understood')")
    assert await page.locator(".line-user").count() == 1


async def test_an_answer_that_was_withdrawn_leaves_no_trace(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await server.send(events.SttFinished(utterance="a-1", text="tell me"))
    await server.send(events.TextStreamStart(turn=1, generation=1, character="aria"))
    await server.send(events.TextChunk(generation=1, text="About what?"))
    await until(page, "document.querySelector('.line-answer .said')?.textContent === 'About what?'")
    await server.send(events.TextStreamStop(generation=1, reason="withdrawn"))
    await server.send(events.SttFinished(utterance="a-2", text="about the sea"))
    await begin_answer(server, generation=3, text="The sea is wide.")
    committed = turn("The sea is wide.", user="tell me about the sea")
    await server.send(events.TurnCommitted(generation=3, turn=committed))
    await until(page, "parley.counters.turns === 1")
    assert await page.locator("#chat .said").all_inner_texts() == ["tell me about the sea", "The sea is wide."]


async def test_words_of_the_server_are_never_markup(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    hostile = "<img src=x onerror='window.hurt=1'><b>bold</b>"
    source = events.AnswerSource(mode="template", detail=hostile)
    server = await edge.ready_connection(answer_source=source, history=[turn(hostile, user=hostile)])
    await server.send(events.SttUpdate(utterance="a-1", text=hostile))
    await begin_answer(server, generation=2, text=hostile)
    await server.send(events.error(Code.LANGUAGE_FAILED, hostile))
    await until(page, "document.querySelectorAll('.said').length === 4")
    assert await page.locator("img, b").count() == 0
    await page.click("#sourceShort")
    assert hostile in await page.inner_text("#sourceText")


async def test_every_turn_shows_where_its_time_went(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    for number in range(1, 31):
        await begin_answer(server, generation=number)
        parts = [
            Part(name="end of turn", owner="setting", ms=500),
            Part(name="voice", owner="synthesis", ms=10.0 * number),
        ]
        total = 500 + 10.0 * number
        await server.send(events.TurnMetrics(turn=number, generation=number, total_ms=total, spoken=True, parts=parts))
    await until(page, "parley.latencies.length === 30")
    assert await page.inner_text("#latencyText") == "p50 0.70 s · p95 0.79 s"
    await page.click("#latencyWindow")
    assert await page.inner_text("#latencyText") == "p50 0.65 s · p95 0.79 s"
    last = page.locator("details.times").last
    assert "0.80 s after you stopped" in await last.locator("summary").inner_text()
    await last.locator("summary").click()
    rows = [" ".join(row.split()) for row in await last.locator("tbody tr").all_inner_texts()]
    assert rows == ["end of turn your pause setting 500 ms", "voice voice 300 ms"]
    widths = await last.locator(".segment").evaluate_all("all => all.map((each) => each.getBoundingClientRect().width)")
    assert widths[0] / widths[1] == pytest.approx(500 / 300, rel=0.05)


async def test_typed_turns_stay_out_of_the_figures_of_spoken_ones(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    typed = msgspec.structs.replace(turn("Hello."), first_audio_ms=100.0)
    server = await edge.ready_connection(history=[typed])
    await until(page, "parley.latencies.length === 1")
    assert (await page.inner_text("#latency")).split("\n") == [
        "first sound",
        "p50 0.10 s · p95 0.10 s",
        "last 1 of 20 typed",
        "all conversations",
    ]
    for number, (total, spoken) in enumerate([(700.0, True), (150.0, False), (900.0, True)], start=2):
        metrics = events.TurnMetrics(turn=number, generation=number, total_ms=total, spoken=spoken, parts=[])
        await server.send(metrics)
    await until(page, "parley.latencies.length === 4")
    assert (await page.inner_text("#latency")).split("\n") == [
        "first sound",
        "p50 0.70 s · p95 0.90 s",
        "last 2 of 20 spoken",
        "all conversations",
    ]


TROUBLES: dict[Code, events.AnyEvent] = {
    Code.LANGUAGE_FAILED: events.ConversationState(state="thinking", turn=1),
    Code.LANGUAGE_TIMEOUT: events.ConversationState(state="thinking", turn=1),
    Code.RECOGNITION_UNAVAILABLE: events.SttUpdate(utterance="a-1", text="tell me"),
    Code.SYNTHESIS_UNAVAILABLE: events.AudioStreamStart(generation=1, character="aria", sample_rate=24_000),
    Code.INVALID_SETTING: events.SettingsChanged(settings=SessionSettings()),
}


@pytest.mark.parametrize("code", TROUBLES)
async def test_the_notice_of_a_trouble_goes_when_the_thing_works_again(
    edge: Edge, open_page: OpenPage, code: Code
) -> None:
    page = await open_page("/blank")
    await page.clock.install()
    await page.goto(edge.url)
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await server.send(events.error(Code.INTERNAL_ERROR))
    await server.send(events.error(code))
    await until(page, "document.querySelectorAll('.notice').length === 2")
    await server.send(TROUBLES[code])
    await until(page, "document.querySelectorAll('.notice').length === 1")
    assert MEANINGS[Code.INTERNAL_ERROR].message in await page.inner_text("#notices")
    await page.clock.fast_forward(9000)
    assert await page.inner_text("#notices") == ""


async def test_settings_go_to_the_server_and_what_it_says_is_shown(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    await page.click("#settingsButton")
    await page.locator("label", has_text="Quick").click()
    assert (await server.command("settings"))["settings"] == {"silence_ms": 300}
    assert await page.input_value("#silence_ms") == "300"
    await page.locator("#pause_sensitivity").focus()
    await page.keyboard.press("ArrowRight")
    assert (await server.command("settings"))["settings"] == {"pause_sensitivity": 2}
    await server.send(events.SettingsChanged(settings=SessionSettings(speed=1.5, silence_ms=700)))
    await until(page, "document.querySelector('output[for=speed]').textContent.startsWith('1.50')")
    assert await page.locator("input[name=pause]:checked").input_value() == "700"
    await page.locator("#volume").focus()
    await page.keyboard.press("Home")
    await page.keyboard.press("Escape")
    # Another visit: what was chosen comes with its hello, and what is this browser's stayed here.
    await page.evaluate("sessionStorage.clear(); addEventListener('pagehide', () => sessionStorage.clear())")
    await page.reload()
    again = await edge.connection()
    assert again.hello["settings"] == {"silence_ms": 300, "pause_sensitivity": 2}
    assert await page.input_value("#volume") == "0"


async def test_the_conversation_can_be_saved_and_forgotten(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection(history=[turn("Hello to you.")])
    await until(page, "parley.counters.turns === 1")
    await page.click("#settingsButton")
    async with page.expect_download() as download:
        await page.click("#exportButton")
        await server.command("export_history")
        history = events.History(exported_at=1_700_000_000.0, settings=SessionSettings(), turns=[turn("Hello to you.")])
        await server.send(history)
    file = await (await download.value).path()
    saved = json.loads(await asyncio.to_thread(Path(file).read_text))
    assert saved["turns"][0]["assistant"] == "Hello to you."
    await page.click("#resetButton")
    await page.click("#resetButton")
    await server.command("reset")
    await server.send(events.ResetDone(generation=1))
    await until(page, "document.querySelectorAll('.line:not(.greeting)').length === 0")
    assert "Hello, I am Aria" in await page.inner_text("#chat")


async def test_the_source_of_answers_is_named_until_dismissed(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    source = events.AnswerSource(mode="template", detail="Start Ollama to talk to a language model.")
    await edge.ready_connection(answer_source=source)
    await until(page, "!document.getElementById('sourceBanner').hidden")
    assert await page.inner_text("#sourceShort") == "Answers are templates. Why?"
    assert not await page.is_visible("#sourceText")
    await page.click("#sourceShort")
    assert "Start Ollama" in await page.inner_text("#sourceText")
    await page.click("#sourceDismiss")
    await page.reload()
    await edge.ready_connection(answer_source=source, resumed=True)
    await until(page, "parley.state === 'idle'")
    assert await page.is_hidden("#sourceBanner")

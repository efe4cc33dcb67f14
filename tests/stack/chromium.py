"""A real Chromium whose microphone plays spoken sentences, and what it really played."""

import base64
import contextlib
import shutil
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pocketsphinx
from playwright.async_api import Page, async_playwright

SPEECH = Path(__file__).parents[2] / "loadtest" / "speech"
RATE = 16_000
FLAGS = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)

# Keeps what the player's graph renders, at 16 kHz, and every state the page shows.
RECORD = """async () => {
  const context = new AudioContext({ sampleRate: 16000 });
  const tap = context.createScriptProcessor(4096, 1, 1);
  const chunks = [];
  tap.onaudioprocess = (event) => chunks.push(Int16Array.from(event.inputBuffer.getChannelData(0), (x) => x * 32767));
  context.createMediaStreamSource(await parley.playedStream()).connect(tap);
  tap.connect(context.destination);
  const states = [document.body.dataset.state];
  new MutationObserver(() => {
    if (states.at(-1) !== document.body.dataset.state) states.push(document.body.dataset.state);
  }).observe(document.body, { attributes: true, attributeFilter: ["data-state"] });
  window.test = {
    states,
    take() {
      const all = new Int16Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
      let offset = 0;
      for (const chunk of chunks.splice(0)) all.set(chunk, (offset += chunk.length) - chunk.length);
      const bytes = new Uint8Array(all.buffer);
      let text = "";
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      return btoa(text);
    },
  };
}"""


def microphone(path: Path, names: list[str], every_s: float) -> Path:
    """A WAV of these sentences, one every `every_s` seconds; the browser plays it again and again."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        for name in names:
            with wave.open(str(SPEECH / name)) as sentence:
                pcm = bytes(RATE) + sentence.readframes(sentence.getnframes())
            out.writeframes(pcm.ljust(int(every_s * RATE) * 2, b"\0"))
    return path


@contextlib.asynccontextmanager
async def chromium(wav: Path, *, width: int = 1280, height: int = 860, dark: bool = False) -> AsyncIterator[Page]:
    """A page of a fresh headless Chromium. Errors in its console fail the test, but for a lost socket."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert executable, "the stack's tests need Chromium: apt-get install chromium"
    troubles: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable, args=[*FLAGS, f"--use-file-for-fake-audio-capture={wav}"]
        )
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        page = await context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        try:
            yield page
        finally:
            await browser.close()
    assert [text for text in troubles if "WebSocket" not in text and "ERR_" not in text] == []


async def until(page: Page, condition: str, seconds: float = 30) -> Any:
    """Waits within the page until the JavaScript expression is true; gives its value."""
    return await page.evaluate(
        f"""() => new Promise((resolve, reject) => {{
          const end = performance.now() + {seconds * 1000};
          const look = () => {{
            const value = ({condition});
            if (value) resolve(value);
            else if (performance.now() > end) reject(new Error({condition!r} + " is not so within {seconds} s; state "
              + parley.state + ", " + JSON.stringify(window.test?.states) + JSON.stringify(parley.counters)));
            else setTimeout(look, 20);
          }};
          look();
        }})"""
    )


async def played(page: Page) -> np.ndarray:
    """What has been played since the last call: int16 at 16 kHz."""
    return np.frombuffer(base64.b64decode(await page.evaluate("test.take()")), np.int16)


def said(samples: np.ndarray, candidates: list[str]) -> str:
    """Which of the sentences a recogniser that knows only these hears; empty: none of them."""
    decoder = pocketsphinx.Decoder(samprate=RATE, lm=None, loglevel="FATAL")
    alternatives = " | ".join(f"( {text} )" for text in candidates)
    decoder.add_jsgf_string("said", f"#JSGF V1.0; grammar said; public <said> = {alternatives};")
    decoder.activate_search("said")
    voiced = np.flatnonzero(np.abs(samples) > 200)
    if not len(voiced):
        return ""
    quiet = np.zeros(RATE // 3, np.int16)
    heard = np.concatenate([quiet, samples[voiced[0] : voiced[-1] + 1], quiet])
    decoder.start_utt()
    decoder.process_raw(heard.tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""

"""Driving the page: a Chromium with a spoken microphone, and waiting for what the page says of itself."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, Playwright

OpenPage = Callable[..., Awaitable[Page]]
WAIT_MS = 15_000
# Resolves to this machine, and is none of the names that browsers trust without HTTPS.
INSECURE_HOST = "parley.test"
FLAGS = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


async def launch(playwright: Playwright, microphone: Path) -> Browser:
    """Headless Chromium of this machine; its microphone plays the WAV file."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    assert executable, "the frontend's tests need Chromium: apt-get install chromium"
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    return await playwright.chromium.launch(executable_path=executable, args=flags)


async def until(page: Page, condition: str) -> Any:
    """Waits, frame by frame within the page, until the JavaScript expression is true; gives its value.

    Not Playwright's own wait_for_function: that one evaluates strings in the page, which the page's policy forbids.
    """
    return await page.evaluate(
        f"""() => new Promise((resolve, reject) => {{
          const end = performance.now() + {WAIT_MS};
          const look = () => {{
            const value = ({condition});
            if (value) resolve(value);
            else if (performance.now() > end) reject(new Error({condition!r} + " is not so; " + parley.state));
            else setTimeout(look, 8);
          }};
          look();
        }})"""
    )


async def pressed_and_listening(page: Page) -> None:
    """Presses the voice button and waits until the microphone is heard."""
    await page.click("#voiceButton")
    await until(page, "parley.listening.open")

"""When the page asks whether the microphone is muted: only if nothing at all came while it listened."""

import pytest
from page_driver import OpenPage, pressed_and_listening, until
from playwright.async_api import Page
from scripted_edge import Edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

Stretch = tuple[int, float, bool]
"""So many frames of 20 ms at this level, and whether the page listens."""
ZEROS: Stretch = (250, 0, True)

TABLE: dict[str, tuple[list[Stretch], bool]] = {
    "five seconds of zeros": ([ZEROS], True),
    "a little less": ([(249, 0, True)], False),
    "a quiet room": ([(2000, 1e-6, True)], False),
    "a noise gate's pause after a word": ([(1, 0.1, True), ZEROS, ZEROS], False),
    "a noise gate's pause before the first word": ([(100, 0, True), (1, 0.1, True), ZEROS], False),
    "zeros while the character speaks": ([(2000, 0, False)], False),
    "zeros before and after an answer count together": ([(125, 0, True), (500, 0, False), (125, 0, True)], True),
    "a sound while the character speaks shows that it is on": ([(1, 0.01, False), ZEROS], False),
    "unmuted after the warning": ([ZEROS, (1, 0.1, True)], False),
}


@pytest.mark.parametrize("name", TABLE)
async def test_a_microphone_is_taken_for_muted(blank: Page, name: str) -> None:
    stretches, expected = TABLE[name]
    warned = await blank.evaluate(
        """async (stretches) => {
          const { createMutedWatch } = await import("/js/muted.js");
          const isMuted = createMutedWatch();
          let warned = false;
          for (const [frames, level, listening] of stretches) {
            for (let n = 0; n < frames; n += 1) warned = isMuted(level, listening);
          }
          return warned;
        }""",
        stretches,
    )
    assert warned == expected


# A microphone whose sound can be switched off while it runs.
SWITCHED = """
  navigator.mediaDevices.getUserMedia = async () => {
    const context = new AudioContext();
    const source = new ConstantSourceNode(context, { offset: 0 });
    window.sound = source.offset;
    const out = context.createMediaStreamDestination();
    source.connect(out);
    source.start();
    return out.stream;
  };
"""


async def test_a_muted_microphone_is_asked_about_until_it_sounds(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page(script=SWITCHED)
    await edge.ready_connection()
    await pressed_and_listening(page)
    await until(page, "document.getElementById('notices').textContent.includes('Is it muted?')")
    await page.evaluate("window.sound.value = 0.1")
    await until(page, "document.getElementById('notices').textContent === ''")

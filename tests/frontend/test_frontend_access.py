"""For everyone: keyboard alone, screen readers, small screens, light and dark, little motion."""

import pytest
from page_driver import OpenPage, until
from scripted_edge import Edge

from services.contracts import events
from services.contracts.errors import Code
from services.contracts.moments import Part

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft " * 3
TURN = events.Turn(number=1, user=LONG, assistant=LONG, character="aria", at=1.0)
CONTROLS = ("button", "slider", "textbox", "combobox", "radio", "link", "checkbox")


async def fill_page(edge: Edge, page_state: str = "") -> None:
    """Everything that the page can show at once."""
    server = await edge.ready_connection(
        history=[TURN], answer_source=events.AnswerSource(mode="template", detail="Start Ollama. " * 6)
    )
    await server.send(events.TextStreamStart(turn=2, generation=1, character="aria"))
    await server.send(events.TextChunk(generation=1, text=LONG))
    parts = [Part(name="end of turn", owner="setting", ms=500), Part(name="first token", owner="language", ms=300)]
    await server.send(events.TurnMetrics(turn=2, generation=1, total_ms=800, spoken=True, parts=parts))
    await server.send(events.ConversationState(state=page_state or "answering", turn=2))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
async def test_nothing_is_wider_than_the_screen(edge: Edge, open_page: OpenPage, width: int) -> None:
    page = await open_page(viewport={"width": width, "height": 640})
    await fill_page(edge)
    await until(page, "parley.state === 'answering'")
    await page.locator("details.times summary").click()
    beyond = await page.evaluate(
        """() => [...document.querySelectorAll("body *:not(.hidden):not(.skip)")]
          .filter((each) => each.getClientRects().length && each.getBoundingClientRect().right > innerWidth + 0.5)
          .map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert beyond == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for control in ("#voiceButton", "#interruptButton", "#settingsButton", "#messageInput"):
        box = await page.locator(control).bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 640
    await page.click("#settingsButton")
    assert await page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.getElementById('settings'))"
    )


async def test_every_control_has_a_name(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    await fill_page(edge)
    await until(page, "parley.state === 'answering'")
    session = await page.context.new_cdp_session(page)
    for opens in ("", "#settingsButton"):
        if opens:
            await page.click(opens)
        tree = await session.send("Accessibility.getFullAXTree")
        nodes = [node for node in tree["nodes"] if not node.get("ignored")]
        controls = [node for node in nodes if node.get("role", {}).get("value") in CONTROLS]
        nameless = [node for node in controls if not node.get("name", {}).get("value", "").strip()]
        assert len(controls) >= 6
        assert nameless == []


async def test_the_page_has_a_language_a_title_and_landmarks(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    await edge.ready_connection()
    assert await page.get_attribute("html", "lang") == "en"
    assert await page.title() == "Parley"
    assert await page.locator("main").count() == 1
    assert await page.locator("h1").count() == 1
    ids = await page.evaluate("[...document.querySelectorAll('[id]')].map(({ id }) => id)")
    assert len(ids) == len(set(ids))
    assert await page.get_attribute("#notices", "role") == "status"
    assert await page.get_attribute("#card", "role") == "alert"


async def test_tokens_are_no_chatter_for_screen_readers(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await server.send(events.SttUpdate(utterance="a-1", text="please"))
    await server.send(events.TextStreamStart(turn=1, generation=1, character="aria"))
    await server.send(events.TextChunk(generation=1, text="Once "))
    await until(page, "document.querySelector('.line-answer.live')")
    assert await page.evaluate("document.querySelector('#chat').closest('[aria-live]') === null")
    assert await page.inner_text("#announcer") == ""
    await server.send(events.SttFinished(utterance="a-1", text="please tell me"))
    await until(page, "document.getElementById('announcer').textContent === 'You said: please tell me'")


async def test_a_whole_conversation_by_keyboard(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page()
    server = await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    reached = []
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.id || document.activeElement.className || 'other'"))
        outline = await page.evaluate(
            """(() => { const at = document.activeElement;
              const style = getComputedStyle(at.id === "messageInput" ? at.closest(".composer") : at);
              return style.outlineStyle !== "none" || style.boxShadow !== "none"; })()"""
        )
        assert outline, reached[-1]
        if reached[-1] == "sendButton":
            break
    assert reached.index("voiceButton") < reached.index("settingsButton") < reached.index("messageInput")
    await page.locator("#voiceButton").focus()
    await page.keyboard.press("Enter")
    await server.command("start_listening")
    await page.keyboard.press("Space")
    await server.command("stop_listening")
    await page.locator("#settingsButton").focus()
    await page.keyboard.press("Enter")
    await until(page, "document.getElementById('settings').open")
    await page.keyboard.press("Escape")
    await until(page, "!document.getElementById('settings').open")
    assert await page.evaluate("document.activeElement.id") == "settingsButton"
    assert "interrupt" not in server.commands


async def test_light_and_dark_and_the_choice_between_them(edge: Edge, open_page: OpenPage) -> None:
    async def background() -> str:
        return await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    page = await open_page(color_scheme="dark")
    await edge.ready_connection()
    dark = await background()
    await page.emulate_media(color_scheme="light")
    light = await background()
    assert dark != light
    await page.click("#themeButton")
    assert await background() == dark
    assert await page.get_attribute("#themeButton", "aria-label") == "Colours: dark"
    await page.reload()
    assert await background() == dark


TEXTS = (
    "#characterName", "#stateText", "#voiceLabel", "#interruptLabel", ".line-answer .who", ".line-user .who", ".said",
    "#sourceText", ".figure-text", "#latencyText", ".quiet", "#messageInput",
)  # fmt: skip
# The contrast of WCAG 2 between an element's text and the ground it lies on.
CONTRASTS = """(selectors) => {
  const painter = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (color) => {
    painter.clearRect(0, 0, 1, 1);
    painter.fillStyle = color;
    painter.fillRect(0, 0, 1, 1);
    return [...painter.getImageData(0, 0, 1, 1).data];
  };
  const linear = (value) => (value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => {
    const [red, green, blue] = pixel(color).map(linear);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element) => {
    const { backgroundColor } = getComputedStyle(element);
    return pixel(backgroundColor)[3] > 200 ? backgroundColor : ground(element.parentElement);
  };
  const contrast = (element) => {
    const [dark, light] = [getComputedStyle(element).color, ground(element)].map(luminance).sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  return Object.fromEntries(selectors.map((each) => [each, contrast(document.querySelector(each))]));
}"""


LATEST = ".notice:last-child p"


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (390, 420), (640, 320), (844, 390), (915, 412)])
async def test_a_small_screen_shows_the_talk_and_the_message_field(
    edge: Edge, open_page: OpenPage, width: int, height: int
) -> None:
    page = await open_page(viewport={"width": width, "height": height})
    server = await edge.ready_connection(
        history=[TURN], answer_source=events.AnswerSource(mode="template", detail="Start Ollama. " * 20)
    )
    await server.send(events.error(Code.SYNTHESIS_UNAVAILABLE))
    await server.send(events.error(Code.RECOGNITION_UNAVAILABLE, "Speech is not understood just now. " * 8))
    await server.send(events.TextStreamStart(turn=2, generation=1, character="aria"))
    await server.send(events.TextChunk(generation=1, text="The sea is wide."))
    await server.send(events.ConversationState(state="answering", turn=2))
    await until(page, "parley.state === 'answering' && document.querySelectorAll('.notice').length === 2")
    boxes = {}
    for name in ("#scroller", ".line-answer.live .said", "#messageInput", "#sourceShort", LATEST, "#voiceButton"):
        box = await page.locator(name).bounding_box()
        assert box is not None, name
        boxes[name] = (box["y"], box["y"] + box["height"])
        assert 0 <= boxes[name][0] < boxes[name][1] <= height, (name, box)
    top, bottom = boxes["#scroller"]
    assert bottom - top >= 80
    assert top <= boxes[".line-answer.live .said"][0]
    assert boxes[".line-answer.live .said"][1] <= bottom
    for name in ("#sourceShort", LATEST):
        assert boxes[name][1] - boxes[name][0] <= 45, name
    # The whole of it is a tap away.
    await page.click(LATEST)
    assert await page.evaluate(
        "(({ scrollHeight, clientHeight }) => scrollHeight <= clientHeight)(document.querySelector('.notice p'))"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(edge: Edge, open_page: OpenPage, scheme: str) -> None:
    page = await open_page(color_scheme=scheme)
    await fill_page(edge)
    await until(page, "parley.state === 'answering'")
    ratios = await page.evaluate(CONTRASTS, [*TEXTS])
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}


PICTURE_LATER = """() => new Promise((resolve) => {
  let frames = 0;
  const next = () => {
    frames += 1;
    if (frames > 30) resolve(document.getElementById("presence").toDataURL());
    else requestAnimationFrame(next);
  };
  next();
})"""


async def test_little_motion_is_respected(edge: Edge, open_page: OpenPage) -> None:
    page = await open_page(reduced_motion="reduce")
    await edge.ready_connection()
    await until(page, "parley.state === 'idle'")
    first = await page.evaluate(PICTURE_LATER)
    assert await page.evaluate(PICTURE_LATER) == first

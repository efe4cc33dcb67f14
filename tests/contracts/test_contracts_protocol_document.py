"""docs/protocol.md says what the code does: nothing is missing in it, and nothing in it is made up."""

import re
from pathlib import Path

import msgspec
import pytest
from contracts_in_words import default_in_words, fields, type_in_words
from msgspec import inspect

from services.contracts import audio, characters, commands, events, frame, moments, settings
from services.contracts.errors import MEANINGS, Code
from services.dialogue import session
from services.dialogue.config import WorkerConfiguration
from services.edge import __main__ as edge_main
from services.edge import connection, downlink, http, limits, link
from services.edge.app import PATH
from services.edge.config import EdgeConfiguration

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "protocol.md").read_text()
CONFIGURATIONS = (EdgeConfiguration, WorkerConfiguration)
Rows = list[list[str]]


def parts(text: str, level: str) -> dict[str, str]:
    """Heading to what stands below it, for the headings of one level."""
    pieces = re.split(rf"^{level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def rows(text: str) -> Rows:
    """The cells of the first table, without its head."""
    lines = re.search(r"(^\|.*\n)+", text, flags=re.MULTILINE)
    if lines is None:
        return []
    split = [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in lines[0].splitlines()]
    return [[cell.strip() for cell in cells] for cells in split[2:]]


def name(cell: str) -> str:
    found = re.fullmatch(r"`(.+)`", cell)
    assert found, cell
    return found[1]


def in_table(text: str) -> dict[str, tuple[str, str]]:
    return {name(cells[0]): (cells[1], cells[2]) for cells in rows(text)}


def tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


SECTIONS = parts(DOCUMENT, "##")
COMMANDS = {tag(kind): kind for kind in commands.AnyCommand.__args__}
EVENTS = {tag(kind): kind for kind in events.AnyEvent.__args__}
STRUCTURES = {
    kind.__name__: kind
    for kind in (
        events.Turn,
        events.AnswerSource,
        events.Segment,
        events.Word,
        moments.Part,
        characters.Character,
        characters.Voice,
    )
}


def test_every_command_and_event_and_no_other():
    assert list(parts(SECTIONS["Commands"], "###")) == [f"`{name}`" for name in COMMANDS]
    assert list(parts(SECTIONS["Events"], "###")) == [f"`{name}`" for name in EVENTS]
    assert list(parts(SECTIONS["Structures"], "###")) == list(STRUCTURES)


@pytest.mark.parametrize("command", COMMANDS)
def test_fields_of_a_command(command: str):
    assert in_table(parts(SECTIONS["Commands"], "###")[f"`{command}`"]) == fields(COMMANDS[command])


@pytest.mark.parametrize("event", EVENTS)
def test_fields_of_an_event(event: str):
    described = in_table(parts(SECTIONS["Events"], "###")[f"`{event}`"])
    assert described == fields(EVENTS[event], without=frozenset({"sequence"}))
    assert "sequence" in fields(EVENTS[event])


@pytest.mark.parametrize("structure", STRUCTURES)
def test_fields_of_a_structure(structure: str):
    assert in_table(parts(SECTIONS["Structures"], "###")[structure]) == fields(STRUCTURES[structure])


def test_every_structure_that_is_named_is_described():
    named = set(re.findall(r"\[(\w+)\]\(#(\w+)\)", SECTIONS["Events"] + SECTIONS["Structures"]))
    assert named
    for text, anchor in named:
        assert text in STRUCTURES or text in SECTIONS, text
        assert anchor == text.lower()


def test_settings_and_their_ranges():
    assert in_table(SECTIONS["Settings"]) == fields(settings.SessionSettings)
    patch = inspect.type_info(settings.SettingsPatch)
    assert isinstance(patch, inspect.StructType)
    assert [field.name for field in patch.fields] == list(in_table(SECTIONS["Settings"]))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_a_command_is_that_command(command: str):
    (example,) = re.findall(r"```json\n(.+?)```", parts(SECTIONS["Commands"], "###")[f"`{command}`"], flags=re.DOTALL)
    assert type(commands.decode(example)) is COMMANDS[command]
    unknown = set(msgspec.json.decode(example)) - {"type"} - set(fields(COMMANDS[command]))
    assert not unknown


@pytest.mark.parametrize("event", EVENTS)
def test_the_example_of_an_event_is_that_event(event: str):
    (example,) = re.findall(r"```json\n(.+?)```", parts(SECTIONS["Events"], "###")[f"`{event}`"], flags=re.DOTALL)
    assert type(events.decode(example)) is EVENTS[event]
    unknown = set(msgspec.json.decode(example)) - {"type"} - set(fields(EVENTS[event]))
    assert not unknown


def test_every_other_example_is_a_command():
    examples = re.findall(r"```json\n(.+?)```", SECTIONS["Resuming"], flags=re.DOTALL)
    assert [type(commands.decode(example)) for example in examples] == [commands.Hello]


def test_every_error_with_recoverable_and_close_code():
    described = {name(cells[0]): (cells[2], cells[3]) for cells in rows(SECTIONS["Errors"])}
    assert described == {
        code.value: ("yes" if meaning.recoverable else "no", str(meaning.close or ""))
        for code, meaning in MEANINGS.items()
    }
    assert set(MEANINGS) == set(Code)
    assert all(cells[1].endswith(".") for cells in rows(SECTIONS["Errors"]))


def test_the_header_is_the_codec():
    described = [(int(cells[0]), int(cells[1]), cells[2]) for cells in rows(SECTIONS["Audio frames"])]
    ends = [offset + size for offset, size, _ in described]
    assert [offset for offset, _, _ in described] == [0, *ends[:-1]]
    assert ends[-1] == frame.HEADER_BYTES
    numbers = {"kind": 1, "flags": 2, "epoch": 3, "generation": 4, "sequence": 5, "time": 6}
    message = frame.pack(frame.Header(frame.Kind.AUDIO, 3, 4, 5, 6, frame.Flags.FLUSH), b"")
    for offset, size, field in described:
        value = int.from_bytes(message[offset : offset + size], "little")
        assert value == numbers.get(field, frame.VERSION), field


def test_limits_are_those_in_force():
    described = {cells[0]: cells[1] for cells in rows(SECTIONS["Limits"])}
    defaults = {name: field.default for name, field in EdgeConfiguration.model_fields.items()}
    assert described == {
        "text message": f"{commands.MAX_JSON_BYTES} bytes",
        "typed message": f"{commands.MAX_TEXT_CHARS} characters",
        "samples in one frame": f"{audio.MAX_UPLINK_SAMPLES}",
        "audio frames": f"{limits.AUDIO_PER_SECOND:.0f} a second, {limits.AUDIO_BURST:.0f} at once",
        "commands": f"{limits.COMMANDS_PER_SECOND:.0f} a second, {limits.COMMANDS_BURST:.0f} at once",
        "refused messages": f"{limits.ABUSE_REFUSALS} within {limits.ABUSE_SECONDS:.0f} seconds",
        "time to a request's headers": f"{http.HEAD_SECONDS:g} seconds",
        "time to `hello`": f"{connection.HELLO_SECONDS:.0f} seconds",
        "unsent messages at the server": f"{downlink.MAX_BYTES} bytes",
        "time to take one message": f"{connection.SEND_SECONDS:.0f} seconds",
        "connects from one address": f"{defaults['connect_rate']:.0f} a second, {defaults['connect_burst']} at once "
        "(`PARLEY_CONNECT_RATE`, `PARLEY_CONNECT_BURST`)",
        "connections of one server": f"{defaults['max_connections']} (`PARLEY_MAX_CONNECTIONS`)",
    }


def test_figures_in_the_text():
    assert f"`{PATH}`" in DOCUMENT
    assert f"protocol\nversion {commands.PROTOCOL}" in DOCUMENT
    assert f"{edge_main.MAX_MESSAGE_BYTES // 1024} KiB" in DOCUMENT
    assert f"within {link.REATTACH_SECONDS:.0f} seconds" in DOCUMENT
    assert limits.NOTICES_PER_SECOND == session.COMPLAINT_SECONDS == 1
    assert "said at most once a second" in SECTIONS["Errors"]
    frames = SECTIONS["Audio frames"]
    for fmt in (audio.UPLINK, audio.DOWNLINK):
        assert f"{fmt.sample_rate} samples a second" in frames
        assert f"{fmt.frame_samples} samples ({fmt.frame_seconds * 1000:.0f} ms)" in frames
    assert f"at most {audio.MAX_UPLINK_SAMPLES}" in frames


EARLIER = [
    "model_settings",
    "tts_interrupt",
    "audio_chunk_meta",
    "audio_complete",
    "partial_transcript",
    "final_transcript",
    "llm_token",
    "tts_chunk",
    "tts_phrase_done",
    "tts_complete",
    "transcription",
    "response_audio",
    "response_mode",
    "pause_aggressiveness",
    "voice_mode",
]


def test_every_earlier_name_has_its_place_and_leads_to_what_exists():
    table = rows(SECTIONS["Earlier names"])
    assert [name(cells[0]) for cells in table] == EARLIER
    there = {*COMMANDS, *EVENTS, *fields(settings.SessionSettings)}
    for kind in (*COMMANDS.values(), *EVENTS.values()):
        there |= set(fields(kind))
    for cells in table:
        for word in re.findall(r"`(\w+)`", cells[1]):
            assert word in there, word


def test_names_in_the_text_exist():
    """Every `name` in prose is a command, event, field, error, setting or a variable of the configuration."""
    known = {*COMMANDS, *EVENTS, *map(str, Code), *STRUCTURES, *EARLIER, "type", "sequence"}
    for kind in (*COMMANDS.values(), *EVENTS.values(), *STRUCTURES.values(), settings.SessionSettings):
        known |= set(fields(kind))
    known |= {f"PARLEY_{field.upper()}" for one in CONFIGURATIONS for field in one.model_fields}
    for kind in (*EVENTS.values(), *STRUCTURES.values(), settings.SessionSettings):
        known |= {value for words, _ in fields(kind).values() for value in words.split("`")[1::2]}
    known |= {"Origin", "ws", "wss", "true", "false", "null"}
    prose = re.sub(r"```.*?```", "", DOCUMENT, flags=re.DOTALL)
    for word in set(re.findall(r"`([A-Za-z_]+)`", prose)):
        assert word in known, word


def test_the_words_for_types_tell_types_apart():
    assert type_in_words(inspect.type_info(settings.PauseSensitivity)) == "integer, 0 to 3"
    assert type_in_words(inspect.type_info(int | None)) == "integer or null"
    info = inspect.type_info(commands.Hello)
    assert isinstance(info, inspect.StructType)
    assert [default_in_words(field) for field in info.fields][:2] == ["required", '`""`']

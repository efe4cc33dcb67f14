import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import commands
from services.contracts.commands import MAX_JSON_BYTES, MAX_TEXT_CHARS, CommandError, decode, encode
from services.contracts.errors import Code
from services.contracts.settings import SettingsPatch

VALID = [
    ('{"type":"hello","protocol":1}', commands.Hello(protocol=1)),
    (
        '{"type":"hello","protocol":1,"token":"t","last_sequence":7,"settings":{"speed":1.5},"client":"c"}',
        commands.Hello(protocol=1, token="t", last_sequence=7, settings=SettingsPatch(speed=1.5), client="c"),
    ),
    ('{"type":"start_listening"}', commands.StartListening()),
    ('{"type":"stop_listening"}', commands.StopListening()),
    ('{"type":"user_message","text":" hi "}', commands.UserMessage(text=" hi ")),
    ('{"text":"order is free","type":"user_message"}', commands.UserMessage(text="order is free")),
    ('{"type":"interrupt","later":{"field":[1]}}', commands.Interrupt()),
    ('{"type":"cancel"}', commands.Cancel()),
    ('{"type":"reset"}', commands.Reset()),
    ('{"type":"settings","settings":{"seed":null}}', commands.Settings(settings=SettingsPatch(seed=None))),
    (
        '{"type":"playback_started","generation":1,"received_ms":1.5,"started_ms":2}',
        commands.PlaybackStarted(generation=1, received_ms=1.5, started_ms=2),
    ),
    ('{"type":"played","generation":4294967295,"samples":0}', commands.Played(generation=2**32 - 1, samples=0)),
    ('{"type":"export_history"}', commands.ExportHistory()),
    ('{"type":"ping","at_ms":1}', commands.Ping(at_ms=1)),
]


@pytest.mark.parametrize(("message", "command"), VALID)
def test_commands(message: str, command: commands.AnyCommand):
    assert decode(message) == command
    assert decode(message.encode()) == command
    assert decode(encode(command)) == command


def test_the_table_above_has_every_command():
    assert {type(command) for _, command in VALID} == set(commands.AnyCommand.__args__)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", Code.MALFORMED_JSON),
        ("{", Code.MALFORMED_JSON),
        ('{"type":"ping"} x', Code.MALFORMED_JSON),
        ("{'type':'ping'}", Code.MALFORMED_JSON),
        (b"\xff\xfe", Code.MALFORMED_JSON),
        ('{"type":"user_message","text":"\\ud800"}', Code.MALFORMED_JSON),
        ("[" * 20_000, Code.INVALID_COMMAND),
        ('{"type":"ping","deep":' + "[" * 20_000, Code.MALFORMED_JSON),
        ("null", Code.INVALID_COMMAND),
        ("[]", Code.INVALID_COMMAND),
        ('"ping"', Code.INVALID_COMMAND),
        ("{}", Code.INVALID_COMMAND),
        ('{"Type":"ping"}', Code.INVALID_COMMAND),
        ('{"type":1}', Code.INVALID_COMMAND),
        ('{"type":null}', Code.INVALID_COMMAND),
        ('{"type":"pong"}', Code.UNKNOWN_TYPE),
        ('{"type":""}', Code.UNKNOWN_TYPE),
        ('{"type":"PING"}', Code.UNKNOWN_TYPE),
        ('{"type":"hello"}', Code.INVALID_COMMAND),
        ('{"type":"hello","protocol":"1"}', Code.INVALID_COMMAND),
        ('{"type":"hello","protocol":1,"last_sequence":-1}', Code.INVALID_COMMAND),
        ('{"type":"hello","protocol":1,"last_sequence":4294967296}', Code.INVALID_COMMAND),
        ('{"type":"hello","protocol":1,"client":"' + "x" * 101 + '"}', Code.INVALID_COMMAND),
        ('{"type":"hello","protocol":1,"settings":{"speed":9}}', Code.INVALID_SETTING),
        ('{"type":"user_message"}', Code.INVALID_COMMAND),
        ('{"type":"user_message","text":5}', Code.INVALID_COMMAND),
        ('{"type":"user_message","text":""}', Code.TEXT_EMPTY),
        ('{"type":"user_message","text":" \\n\\t"}', Code.TEXT_EMPTY),
        ('{"type":"user_message","text":"\\u200b\\u200d \\ufeff\\u00a0"}', Code.TEXT_EMPTY),
        (json.dumps({"type": "user_message", "text": "x" * (MAX_TEXT_CHARS + 1)}), Code.TEXT_TOO_LONG),
        (json.dumps({"type": "user_message", "text": "x" * 100_000}), Code.MESSAGE_TOO_LARGE),
        ('{"type":"user_message","text":"x","at_ms":-1}', Code.INVALID_COMMAND),
        ('{"type":"settings"}', Code.INVALID_COMMAND),
        ('{"type":"settings","settings":{"volume":1}}', Code.INVALID_SETTING),
        ('{"type":"settings","settings":{"silence_ms":199}}', Code.INVALID_SETTING),
        ('{"type":"played","generation":1}', Code.INVALID_COMMAND),
        ('{"type":"played","generation":-1,"samples":1}', Code.INVALID_COMMAND),
        ('{"type":"played","generation":1,"samples":1e400}', Code.INVALID_COMMAND),
        ('{"type":"played","generation":1,"samples":1.5}', Code.INVALID_COMMAND),
        ('{"type":"ping","at_ms":NaN}', Code.MALFORMED_JSON),
        ('{"type":"ping","at_ms":1e14}', Code.INVALID_COMMAND),
    ],
)
def test_what_is_wrong_is_named(message: str | bytes, code: Code):
    with pytest.raises(CommandError) as raised:
        decode(message)
    assert raised.value.code is code
    assert len(str(raised.value)) < 2000
    assert str(raised.value).endswith(".")


def test_the_largest_text_and_message_pass():
    assert decode(json.dumps({"type": "user_message", "text": "x" * MAX_TEXT_CHARS}))
    padded = '{"type":"ping","pad":"' + "x" * (MAX_JSON_BYTES - 24) + '"}'
    assert len(padded) == MAX_JSON_BYTES
    assert decode(padded) == commands.Ping()


def test_errors_name_the_field():
    with pytest.raises(CommandError, match=r"^settings\.silence_ms takes"):
        decode('{"type":"settings","settings":{"silence_ms":1}}')
    with pytest.raises(CommandError, match="known are cancel, export_history, hello"):
        decode('{"type":"helo"}')


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_any_message_is_a_command_or_a_command_error(message: str | bytes):
    with contextlib.suppress(CommandError):
        assert isinstance(decode(message), commands.Command)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
FIELD_NAMES = sorted({field for kind in commands.AnyCommand.__args__ for field in kind.__struct_fields__})


@given(st.sampled_from(sorted(commands.TAGS)), st.dictionaries(st.sampled_from(FIELD_NAMES), JSON, max_size=5))
def test_half_right_commands_are_commands_or_errors(tag: str, fields: dict[str, object]):
    message = msgspec.json.encode({**fields, "type": tag})
    try:
        command = decode(message)
    except CommandError as wrong:
        outcome = wrong.code
    else:
        outcome = command.__struct_config__.tag
    assert outcome in {tag, Code.INVALID_COMMAND, Code.INVALID_SETTING, Code.TEXT_EMPTY}

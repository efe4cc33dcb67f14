"""What is wrong with a command is said in words: the field, what it takes, what it got."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import refusal
from services.contracts.characters import Character
from services.contracts.commands import TAGS, CommandError, decode

MODEL = "a name of at most 200 characters, on one line and without spaces around it"
LANGUAGE = "auto or a language's code of two or three letters, such as en"
FIELDS = (
    "character, response_mode, model, temperature, answer_tokens, context_turns, language, pause_sensitivity, "
    "silence_ms, adaptive_silence, duplex, speculation, speed, seed"
)


def settings(given: str) -> str:
    return f'{{"type":"settings","settings":{given}}}'


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (settings('{"speed":9}'), "settings.speed takes a number from 0.5 to 2, not 9."),
        (settings('{"speed":"fast"}'), 'settings.speed takes a number from 0.5 to 2, not "fast".'),
        (settings('{"speed":null}'), "settings.speed takes a number from 0.5 to 2, not null."),
        (settings('{"speed":{}}'), "settings.speed takes a number from 0.5 to 2, not an object."),
        (settings('{"silence_ms":1}'), "settings.silence_ms takes a whole number from 200 to 3000, not 1."),
        (settings('{"silence_ms":500.5}'), "settings.silence_ms takes a whole number from 200 to 3000, not 500.5."),
        (settings('{"silence_ms":true}'), "settings.silence_ms takes a whole number from 200 to 3000, not true."),
        (settings('{"temperature":1e999}'), "settings.temperature takes a number from 0 to 2, not 1e999."),
        (settings('{"seed":-1}'), "settings.seed takes a whole number from 0 to 2147483647 or null, not -1."),
        (settings('{"seed":[1]}'), "settings.seed takes a whole number from 0 to 2147483647 or null, not a list."),
        (settings('{"character":""}'), 'settings.character takes text of 1 to 64 characters, not "".'),
        (
            settings(json.dumps({"model": "m" * 201})),
            f"settings.model takes {MODEL}, not one of 201 characters.",
        ),
        (settings('{"model":" m"}'), f'settings.model takes {MODEL}, not " m".'),
        (settings(r'{"model":"m\n"}'), rf'settings.model takes {MODEL}, not "m\n".'),
        (settings(r'{"model":"m\u0000m"}'), rf'settings.model takes {MODEL}, not "m\u0000m".'),
        (settings('{"language":"English"}'), f'settings.language takes {LANGUAGE}, not "English".'),
        (settings(r'{"language":"auto\n"}'), rf'settings.language takes {LANGUAGE}, not "auto\n".'),
        (settings('{"language":" en"}'), f'settings.language takes {LANGUAGE}, not " en".'),
        (settings('{"language":""}'), f'settings.language takes {LANGUAGE}, not "".'),
        (settings('{"response_mode":"gpt"}'), 'settings.response_mode takes echo, llm or template, not "gpt".'),
        (settings('{"response_mode":3}'), "settings.response_mode takes echo, llm or template, not 3."),
        (settings('{"volume":1}'), f"settings.volume is not known; settings takes {FIELDS}."),
        (settings("7"), "settings takes an object, not 7."),
        ('{"type":"settings"}', "In settings: settings is missing; it takes an object."),
        (
            '{"type":"hello","protocol":1,"settings":{"speed":9}}',
            "settings.speed takes a number from 0.5 to 2, not 9.",
        ),
        ('{"type":"hello"}', "In hello: protocol is missing; it takes a whole number."),
        ('{"type":"hello","protocol":"1"}', 'In hello: protocol takes a whole number, not "1".'),
        ('{"type":"user_message"}', "In user_message: text is missing; it takes text."),
        ('{"type":"user_message","text":5}', "In user_message: text takes text, not 5."),
        ('{"type":"ping","at_ms":-1}', "In ping: at_ms takes a number from 0 to below 100000000000000, not -1."),
        (
            '{"type":"ping","at_ms":1e14}',
            "In ping: at_ms takes a number from 0 to below 100000000000000, not 1e14.",
        ),
        (
            '{"type":"played","generation":4294967296,"samples":1}',
            "In played: generation takes a whole number from 0 to 4294967295, not 4294967296.",
        ),
        (
            '{"type":"played","generation":' + "9" * 200 + ',"samples":1}',
            f"In played: generation takes a whole number from 0 to 4294967295, not {'9' * 40}….",
        ),
    ],
)
def test_what_a_field_takes_and_got(message: str, sentence: str):
    for form in (message, message.encode()):
        with pytest.raises(CommandError) as refused:
            decode(form)
        assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            [{"id": "a", "name": "A", "persona": "p", "voice": {"speed": "fast"}}],
            '[0].voice.speed takes a number, not "fast"',
        ),
        ([{"id": "a", "name": 5, "persona": "p"}], "[0].name takes text, not 5"),
        ([{"id": "a"}], "[0].name is missing; it takes text"),
        ([[]], "[0] takes an object, not a list"),
        ({}, "it takes a list, not an object"),
    ],
)
def test_other_structures_are_explained_as_well(content: object, sentence: str):
    message = json.dumps(content)
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.json.decode(message, type=list[Character])
    assert refusal.explain(refused.value, message, list[Character]) == sentence


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["speed", "seed", "language", "response_mode", "silence_ms", "model", "character", "vol`ume - at `$.a`"]


@given(st.sampled_from(sorted(TAGS)), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3), JSON)
def test_no_sentence_speaks_to_programmers(tag: str, patch: dict[str, object], other: object):
    message = json.dumps({"type": tag, "settings": patch, "at_ms": other, "text": other, "protocol": 1})
    sentence = ""
    try:
        decode(message)
    except CommandError as refused:
        sentence = str(refused)
    assert "Expected" not in sentence
    assert len(sentence) < 500

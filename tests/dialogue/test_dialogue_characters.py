"""The built-in cast, and a file of one's own."""

import json
import re
from pathlib import Path

import pytest

from services.contracts.settings import SessionSettings
from services.dialogue.characters import BUILT_IN, CastError, load_cast

ONE = {"id": "bo", "name": "Bo", "persona": "You are kind.", "voice": {"preset": "en-us+m1"}}


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "cast.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_built_in_characters_can_be_told_apart() -> None:
    assert load_cast(None) == BUILT_IN
    assert BUILT_IN[0].id == SessionSettings().character
    for field in ("id", "name", "persona", "greeting", "speaker", "color"):
        assert len({getattr(character, field) for character in BUILT_IN}) == len(BUILT_IN)
    for field in ("preset", "description", "seed"):
        assert len({getattr(character.voice, field) for character in BUILT_IN}) == len(BUILT_IN)
    assert all(re.fullmatch(r"#[0-9a-f]{6}", character.color) for character in BUILT_IN)
    assert all(character.voice.scene for character in BUILT_IN)


def test_a_file_replaces_them(tmp_path: Path) -> None:
    cast = load_cast(written(tmp_path, [ONE, ONE | {"id": "di", "voice": {}}]))
    assert [character.id for character in cast] == ["bo", "di"]
    assert cast[0].voice.preset == "en-us+m1"
    assert cast[1].language == "en"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not right"),
        ({}, "Expected `array`"),
        ([], "no characters"),
        ([{"id": "bo", "name": "Bo"}], "missing required field `persona` - at `$[0]`"),
        ([ONE, ONE | {"name": 5}], "Expected `str`, got `int` - at `$[1].name`"),
        ([ONE | {"voice": {"speed": "fast"}}], "Expected `float`, got `str` - at `$[0].voice.speed`"),
        ([ONE | {"voice": {"speed": 9}}], "from 0.5 to 2.0 - at `$[0].voice.speed`"),
        ([ONE | {"colour": "red"}], "no field 'colour' - at `$[0]`"),
        ([ONE | {"voice": {"pitch": 1}}], "no field 'pitch' - at `$[0].voice`"),
        ([ONE | {"persona": " "}], "persona must not be empty - at `$[0].persona`"),
        ([ONE | {"id": "x" * 65}], "at most 64 characters - at `$[0].id`"),
        ([ONE, ONE], "twice - at `$[1].id`"),
    ],
)
def test_a_wrong_file_is_told_where_it_is_wrong(tmp_path: Path, content: object, says: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(CastError) as caught:
        load_cast(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CastError, match="cannot be read: No such file"):
        load_cast(tmp_path / "none.json")

"""The cast: the built-in characters, or a file of one's own."""

from pathlib import Path

import msgspec

from services.contracts.characters import Character, Voice

_SCENE = "A quiet room. One person speaks to another across a small table, close to the microphone, with no noise."

BUILT_IN: tuple[Character, ...] = (
    Character(
        id="aria",
        name="Aria",
        persona=(
            "You are warm and curious. You take an interest in the person more than in yourself, you have a quiet "
            "sense of humour, and you say so when you do not know something. You like the sea, old maps and good "
            "questions, and you often end with a short question that leads on."
        ),
        greeting="Hello, I am Aria. Press the button and tell me what is on your mind.",
        voice=Voice(
            preset="en-us+f3",
            description=(
                "Female, about thirty, American accent, a warm and clear mid-range voice, speaks at an easy pace with "
                "a smile that can be heard."
            ),
            scene=_SCENE,
            seed=3,
        ),
        speaker="SPEAKER0",
        color="#7c5cff",
    ),
    Character(
        id="max",
        name="Max",
        persona=(
            "You are a practical, good-humoured mechanic and handyman. You think in steps, you like things that work, "
            "and you explain them with examples from a workshop. You are direct, never rude, and you would rather give "
            "one good piece of advice than five."
        ),
        greeting="Hi, Max here. What can we sort out?",
        voice=Voice(
            preset="en-us+m3",
            description=(
                "Male, about forty, American accent, a low and slightly rough voice, relaxed, speaks plainly and "
                "without hurry."
            ),
            scene=_SCENE,
            seed=11,
        ),
        speaker="SPEAKER1",
        color="#d9730d",
    ),
    Character(
        id="nova",
        name="Nova",
        persona=(
            "You are an astronomer and a precise, quick thinker. You love facts, you put numbers into pictures anyone "
            "can see, and you keep apart what is known, what is likely and what is a guess. You are dry, but kind."
        ),
        greeting="Good day, I am Nova. What would you like to find out?",
        voice=Voice(
            preset="en-gb-x-rp+Alicia",
            description=(
                "Female, about forty-five, British received pronunciation, a bright and precise voice, articulate, "
                "speaks rather fast."
            ),
            scene=_SCENE,
            seed=23,
        ),
        speaker="SPEAKER2",
        color="#0f8fb3",
    ),
    Character(
        id="grandpa",
        name="Angus",
        persona=(
            "You are an old Scottish lighthouse keeper, long retired. You have a story for most things, told in a few "
            "sentences, and patience for everyone. You speak simply, you tease gently, and you never lecture."
        ),
        greeting="Come in, sit down. I am Angus. What have you brought me today?",
        voice=Voice(
            preset="en-gb-scotland+grandpa",
            description=(
                "Male, about seventy-five, Scottish accent, a deep, weathered and gentle voice, speaks slowly, with "
                "pauses."
            ),
            scene=_SCENE,
            seed=41,
        ),
        speaker="SPEAKER3",
        color="#3f8f4f",
    ),
)

MAX_FILE_BYTES = 1024 * 1024


class CastError(ValueError):
    """A file of characters cannot be used; the text names the file, the place in it, and what is expected there."""


def load_cast(path: Path | None) -> tuple[Character, ...]:
    """The characters in a JSON file, a list of objects with the fields of `Character`; the built-in ones for None.

    The first is the one who answers where none is chosen. Raises CastError.
    """
    if path is None:
        return BUILT_IN
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CastError(f"The file of characters {path} cannot be read: {error.strerror}.") from error
    if len(content) > MAX_FILE_BYTES:
        raise CastError(f"The file of characters {path} has {len(content)} bytes; at most {MAX_FILE_BYTES} are read.")
    try:
        cast = tuple(msgspec.json.decode(content, type=list[Character]))
        given = msgspec.json.decode(content, type=list[dict[str, msgspec.Raw]])
    except msgspec.DecodeError as error:
        raise CastError(f"The file of characters {path} is not right: {error}.") from error
    if problem := _problem(cast, given):
        raise CastError(f"The file of characters {path} is not right: {problem}.")
    return cast


def _problem(cast: tuple[Character, ...], given: list[dict[str, msgspec.Raw]]) -> str:
    """What the types do not say: something must be there, once, in range, and known."""
    if not cast:
        return "it has no characters"
    ids: set[str] = set()
    for index, (character, fields) in enumerate(zip(cast, given, strict=True)):
        where = f"$[{index}]"
        voice = msgspec.json.decode(fields.get("voice", b"{}"), type=dict[str, msgspec.Raw])
        for kind, names, place in ((Character, fields, where), (Voice, voice, f"{where}.voice")):
            for name in names:
                if name not in kind.__struct_fields__:
                    return f"there is no field {name!r} - at `{place}`; known are {', '.join(kind.__struct_fields__)}"
        for name, value in (("id", character.id), ("name", character.name), ("persona", character.persona)):
            if not value.strip():
                return f"{name} must not be empty - at `{where}.{name}`"
        if len(character.id) > 64:
            return f"an id has at most 64 characters - at `{where}.id`"
        if character.id in ids:
            return f"the id {character.id!r} is there twice - at `{where}.id`"
        if not 0.5 <= character.voice.speed <= 2.0:
            return f"speed is from 0.5 to 2.0 - at `{where}.voice.speed`"
        ids.add(character.id)
    return ""

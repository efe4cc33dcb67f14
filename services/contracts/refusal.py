"""Why a JSON message is not of its type, in words for the person who sent it.

msgspec says ``Expected `float` <= 2.0 - at `$.settings.speed` ``; `explain` says "settings.speed takes a number from
0.5 to 2, not 9".
"""

import re
from typing import Any

import msgspec
from msgspec import inspect

_PLACE = re.compile(r" - at `\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*?)`")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*?)`", re.DOTALL)
_LONGEST_QUOTE = 40

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])


def explain(error: msgspec.ValidationError, message: bytes | str, kind: Any) -> str:
    """The sentence, without its full stop: the field, what it takes and what it got.

    `message` is the JSON that `error` was raised for when it was decoded as `kind`, any type that msgspec knows.
    """
    said = str(error)
    found = _PLACE.search(said)
    steps = _STEP.findall(found["path"]) if found else []
    type_, got = _at(inspect.type_info(kind), msgspec.Raw(message), steps)
    place = (found["path"] if found else "").lstrip(".")
    known = [field.encode_name for field in type_.fields] if isinstance(type_, inspect.StructType) else []
    if missing := _MISSING.match(said):
        name = missing["name"]
        wanted, _ = _at(type_, msgspec.Raw(b"null"), [(name, "")])
        return f"{_within(place, name)} is missing; it takes {_takes(wanted)}"
    if unknown := _UNKNOWN.match(said):
        name = unknown["name"][:_LONGEST_QUOTE]
        return f"{_within(place, name)} is not known; {place or 'it'} takes {', '.join(known)}"
    return f"{place or 'it'} takes {_takes(type_)}, not {_quoted(got, type_)}"


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _at(kind: inspect.Type, value: msgspec.Raw, steps: list[tuple[str, str]]) -> tuple[inspect.Type, msgspec.Raw]:
    """The type and the JSON at a path; what cannot be followed any further is given back where that is so."""
    for name, index in steps:
        kind = _structure(kind)
        try:
            if isinstance(kind, inspect.StructType) and name:
                kind = next(field.type for field in kind.fields if field.encode_name == name)
                value = _object.decode(value).get(name, value)
            elif isinstance(kind, inspect.ListType) and index:
                kind, value = kind.item_type, _list.decode(value)[int(index)]
        except (msgspec.DecodeError, StopIteration, IndexError):
            break
    return _structure(kind), value


def _structure(kind: inspect.Type) -> inspect.Type:
    """The type itself, where it is one structure or nothing."""
    if isinstance(kind, inspect.UnionType):
        inner = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return inner[0] if len(inner) == 1 and isinstance(inner[0], inspect.StructType | inspect.ListType) else kind
    return kind


def _takes(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(extra={"takes": str(words)}):
            return words
        case inspect.Metadata():
            return _takes(kind.type)
        case inspect.UnionType():
            return " or ".join(_takes(one) for one in kind.types)
        case inspect.NoneType():
            return "null"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a number{_range(kind)}"
        case inspect.StrType():
            return f"text{_length(kind)}"
        case inspect.LiteralType():
            *most, last = [str(value) for value in kind.values]
            return f"{', '.join(most)} or {last}" if most else last
        case inspect.ListType():
            return "a list"
        case _:
            return "an object"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low, high = kind.ge, kind.le
    if high is None and kind.lt is not None and isinstance(kind, inspect.IntType):
        high = kind.lt - 1
    if high is None and kind.lt is not None:
        below = f"below {int(kind.lt) if kind.lt == int(kind.lt) else kind.lt}"
        return f" from {low} to {below}" if low is not None else f" {below}"
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def _length(kind: inspect.StrType) -> str:
    if kind.max_length is None:
        return f" of at least {kind.min_length} characters" if kind.min_length else ""
    return (
        f" of {kind.min_length} to {kind.max_length} characters"
        if kind.min_length
        else (f" of at most {kind.max_length} characters")
    )


def _quoted(raw: msgspec.Raw, kind: inspect.Type) -> str:
    """What came, short: a text that is too long is only counted, since it may hold anything."""
    if isinstance(kind, inspect.Metadata):
        return _quoted(raw, kind.type)
    text = bytes(raw).decode(errors="replace").strip()
    if text.startswith(("{", "[")):
        return "an object" if text[0] == "{" else "a list"
    if text.startswith('"') and isinstance(kind, inspect.StrType) and len(text) > _LONGEST_QUOTE:
        return f"one of {len(msgspec.json.decode(raw, type=str))} characters"
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"

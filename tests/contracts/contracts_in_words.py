"""How docs/protocol.md words the types of the contracts. The document is checked against this, both ways."""

import json

import msgspec
from msgspec import inspect

STRUCTURES = {"SessionSettings": "settings", "SettingsPatch": "some of the settings"}


def limits(kind: inspect.IntType | inspect.FloatType) -> str:
    """ ", low to high", both included; a float's upper bound that is there for sanity only is left out."""
    high = kind.le if kind.le is not None else kind.lt
    if isinstance(kind, inspect.IntType) and kind.lt is not None:
        high = kind.lt - 1
    if kind.ge is None:
        return ""
    return f", {kind.ge} and up" if high is None or high >= 1e12 else f", {kind.ge} to {high}"


def type_in_words(kind: inspect.Type) -> str:
    """A msgspec type as the document says it."""
    match kind:
        case inspect.Metadata(extra={"takes": str(words)}):
            return f"string: {words}"
        case inspect.Metadata():
            return type_in_words(kind.type)
        case inspect.UnionType():
            return " or ".join(type_in_words(part) for part in kind.types)
        case inspect.NoneType():
            return "null"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "integer" + limits(kind)
        case inspect.FloatType():
            return "number" + limits(kind)
        case inspect.StrType():
            if kind.max_length is not None:
                low = f"{kind.min_length} to " if kind.min_length else "at most "
                return f"string, {low}{kind.max_length} characters"
            return "string"
        case inspect.LiteralType():
            return " or ".join(f"`{value}`" for value in kind.values)
        case inspect.EnumType():
            return "an [error code](#errors)"
        case inspect.ListType():
            return f"list of {type_in_words(kind.item_type)}"
        case inspect.StructType():
            name = kind.cls.__name__
            return STRUCTURES.get(name) or f"[{name}](#{name.lower()})"
        case _:
            raise AssertionError(f"no words for {kind}")


def default_in_words(field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return f"`{json.dumps(field.default_factory())}`"
    if field.default is msgspec.UNSET or isinstance(field.default, msgspec.Struct):
        return "`{}`"
    return f"`{json.dumps(field.default)}`"


def fields(kind: type[msgspec.Struct], without: frozenset[str] = frozenset()) -> dict[str, tuple[str, str]]:
    """Name to type and default in words, in order."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return {
        field.encode_name: (type_in_words(field.type), default_in_words(field))
        for field in info.fields
        if field.name not in without
    }

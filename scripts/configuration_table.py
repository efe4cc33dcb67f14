"""The table of all configuration variables in docs/configuration.md, from the classes that read them.

`--check` fails when the document differs; `--write` brings it up to date.
"""

import importlib
import sys
import types
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from services.configuration import PREFIX, Configuration

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "configuration.md"
BEGIN, END = "<!-- table: make docs -->", "<!-- end of table -->"


def classes() -> dict[str, type[Configuration]]:
    """The configuration class of each service that has a `config.py`, by the service's name."""
    found: dict[str, type[Configuration]] = {}
    for path in sorted((ROOT / "services").glob("*/config.py")):
        module = importlib.import_module(f"services.{path.parent.name}.config")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Configuration) and kind.__module__ == module.__name__:
                found[path.parent.name] = kind
    return found


def table() -> str:
    """One row per variable and meaning; services that mean the same by it share a row."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for service, configuration in classes().items():
        for name, field in configuration.model_fields.items():
            kind_of_value, takes = _kind(field.annotation), (field.description or "").removesuffix(".")
            row = (f"`{PREFIX}{name.upper()}`", _default(field), kind_of_value, takes)
            rows.setdefault(row, []).append(service)
    lines = ["| variable | read by | default | takes |", "|---|---|---|---|"]
    for (name, default, kind, takes), services in sorted(rows.items()):
        text = ": ".join(filter(None, (kind, takes)))
        lines.append(f"| {name} | {', '.join(services)} | {default} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if field.is_required():
        return "none: needed"
    if isinstance(value, Path) and value.is_relative_to(ROOT):
        value = value.relative_to(ROOT)
    return "empty" if value in ("", None) else f"`{value}`"


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ""  # the description names the choices
    if get_origin(annotation) in (types.UnionType,):
        return " or ".join(_kind(kind) for kind in get_args(annotation) if kind is not type(None))
    names = {bool: "true or false", int: "whole number", float: "number", str: "text", SecretStr: "text", Path: "path"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def document(text: str) -> str:
    """The document with its table replaced. Raises ValueError when the table's marks are not there."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} needs the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


def main(mode: str) -> int:
    now = DOCUMENT.read_text()
    wanted = document(now)
    if mode == "--write":
        DOCUMENT.write_text(wanted)
    elif now != wanted:
        print("docs/configuration.md is not what the configuration classes say; `make docs` brings it up to date")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "--check"))

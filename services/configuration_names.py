"""Names in the environment and in `.env` that look like ours: what is misspelt is said, since it would do nothing."""

import difflib
import importlib
import io
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

PREFIX = "PARLEY_"
STARTED_BY = "PARLEY_INSTANCE"
"""Set by a launcher for all that it starts."""
_READ_ELSEWHERE = (STARTED_BY, "PARLEY_STT_SLOTS", "PARLEY_TTS_SLOTS")
_SERVICE_LINK = re.compile(r"\w+_SERVICE_(HOST|PORT(_\w+)?)=.*|\w+_PORT(_\d+_(TCP|UDP)(_\w+)?)?=(tcp|udp)://.*")
"""What Kubernetes tells a pod of each service, those whose names begin with parley included."""


class FileError(ValueError):
    """The text names the file, the line and what is wrong there."""


@cache
def known() -> frozenset[str]:
    """Every variable that a service of Parley reads."""
    found: set[str] = set(_READ_ELSEWHERE)
    for path in Path(__file__).parent.glob("*/config.py"):
        for kind in vars(importlib.import_module(f"services.{path.parent.name}.config")).values():
            found.update(f"{PREFIX}{name.upper()}" for name in getattr(kind, "model_fields", ()))
    return frozenset(found)


def unknown(names: Iterable[str]) -> list[str]:
    """A sentence for each name that begins as ours do and that nothing reads."""
    said: list[str] = []
    for name in sorted(set(names)):
        if not name.upper().startswith(PREFIX) or name.upper() in known():
            continue
        near = difflib.get_close_matches(name.upper(), known(), 1, 0.0)
        said.append(f"{name}: nothing reads this variable; did you mean {near[0]}?")
    return said


def misspelt(environment: Mapping[str, str], file: Path) -> list[str]:
    """`unknown` of both sources; nothing in what a launcher has started, which has said so itself."""
    if STARTED_BY in environment:
        return []
    ours = [name for name, value in environment.items() if not _SERVICE_LINK.fullmatch(f"{name}={value}")]
    return unknown([*ours, *(dotenv_values(file) if file.is_file() else ())])


def check_file(file: Path) -> None:
    """Raises FileError when a line is not NAME=value, since such a line is passed over in silence otherwise."""
    if not file.is_file():
        return
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise FileError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FileError(f"{file}, line {line}: this is not UTF-8.") from error
    wrong: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.value is None and (binding.key or "").startswith(PREFIX)):
            statement = binding.original.string
            line = binding.original.line + statement[: len(statement) - len(statement.lstrip())].count("\n")
            wrong.append(f"{file}, line {line}: this is not NAME=value.")  # not quoted: it may be a secret
    if wrong:
        raise FileError("\n".join(wrong))

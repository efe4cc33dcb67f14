"""Reading configuration: environment variables first, then `.env`, validated at start.

Every service declares its variables in a `config.py` of its own as a subclass of `Configuration`.
"""

import os
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services import configuration_names
from services.configuration_names import PREFIX

FILE = Path(".env")


class Configuration(BaseSettings):
    """Fields are read from `PARLEY_<FIELD>`, in the environment or in `.env`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=FILE,
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,  # a key or a name from a file often ends with the file's last line break
        hide_input_in_errors=True,  # a ConfigurationError's cause may be logged, too
    )


class ConfigurationError(ValueError):
    """The text names each wrong variable, what it got (without secrets) and what it takes; or a line of `.env`."""


# Greedy: a password may hold any character, so all before the last @ may be one, also in a list of addresses.
_CREDENTIALS = re.compile(r"^(\w+://)?.*@", re.DOTALL)
_CREDENTIALS_IN_A_SENTENCE = re.compile(r"(\w+://)?[^\s'\"]*@")
_MASK = r"\1***@"

ConfigurationT = TypeVar("ConfigurationT", bound=Configuration)


def load(kind: type[ConfigurationT], handed: Collection[str] = ()) -> ConfigurationT:
    """The configuration of a service. Raises ConfigurationError.

    `handed`: fields that somebody else will set, and which are therefore not read.
    """
    try:
        configuration_names.check_file(FILE)
        return kind(**{name: kind.model_fields[name].default for name in handed})
    except configuration_names.FileError as error:
        raise ConfigurationError(str(error)) from error
    except ValidationError as error:
        lines: list[str] = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            field = kind.model_fields.get(name)
            takes = f" It takes: {field.description}" if field and field.description else ""
            secret = field is not None and field.annotation is SecretStr
            # A problem of no one field has all of them as its input.
            unsaid = problem["type"] == "missing" or secret or field is None
            got = "" if unsaid else f" (got {_without_credentials(problem['input'])!r})"
            said = _CREDENTIALS_IN_A_SENTENCE.sub(_MASK, problem["msg"].removeprefix("Value error, "))
            lines.append(f"{PREFIX}{name.upper()}: {said}{got}.{takes}")
        raise ConfigurationError("\n".join(lines)) from error


def _without_credentials(value: object) -> object:
    return _CREDENTIALS.sub(_MASK, value) if isinstance(value, str) else value


def load_or_exit(kind: type[ConfigurationT]) -> ConfigurationT:
    """As `load`; a wrong value ends the process with status 2 and the sentence. A name that nothing reads is told."""
    try:
        configuration = load(kind)
    except ConfigurationError as error:
        print(f"configuration: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    for sentence in misspelt():
        print(f"configuration: {sentence}", file=sys.stderr)
    return configuration


def misspelt() -> list[str]:
    """A sentence for each variable, in the environment or in `.env`, that begins as ours do and that nothing reads."""
    return configuration_names.misspelt(os.environ, FILE)

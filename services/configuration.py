"""Reading configuration: environment variables first, then `.env`, validated at start.

Every service declares its variables in a `config.py` of its own as a subclass of `Configuration`.
"""

import sys
from typing import TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "PARLEY_"


class Configuration(BaseSettings):
    """Fields are read from `PARLEY_<FIELD>`, in the environment or in `.env`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )


class ConfigurationError(ValueError):
    """The text names each wrong variable, what it got (unless it is a secret) and what it takes."""


ConfigurationT = TypeVar("ConfigurationT", bound=Configuration)


def load(kind: type[ConfigurationT]) -> ConfigurationT:
    """The configuration of a service. Raises ConfigurationError."""
    try:
        return kind()
    except ValidationError as error:
        lines: list[str] = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            field = kind.model_fields.get(name)
            takes = f" It takes: {field.description}" if field and field.description else ""
            secret = field is not None and field.annotation is SecretStr
            got = "" if problem["type"] == "missing" or secret else f" (got {problem['input']!r})"
            lines.append(f"{PREFIX}{name.upper()}: {problem['msg']}{got}.{takes}")
        raise ConfigurationError("\n".join(lines)) from error


def load_or_exit(kind: type[ConfigurationT]) -> ConfigurationT:
    """As `load`; a wrong value ends the process with status 2 and the sentence."""
    try:
        return load(kind)
    except ConfigurationError as error:
        print(f"configuration: {error}", file=sys.stderr)
        raise SystemExit(2) from error

"""What the launcher reads from the environment and `.env`. Flags of `parley up` set the same variables."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from services.addresses import Host, HostPorts
from services.configuration import Configuration


def _is_http_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("this is no http or https address")
    return value.rstrip("/")


def _is_header_value(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().isprintable() or not value.get_secret_value().isascii():
        raise ValueError("a key has printable ASCII characters only")
    return value


class LauncherConfiguration(Configuration):
    host: Host = Field(
        default="127.0.0.1",
        min_length=1,
        description="the address the page is served on; 0.0.0.0 lets other machines in, for whose browsers it then "
        "needs HTTPS in front, or they give no microphone.",
    )
    port: int = Field(default=8080, ge=1, le=65_535, description="the page's port; the next free one if it is taken.")
    state_dir: Path = Field(
        default=Path(".parley"),
        description="the folder for the session secret, stores and logs of this machine's stack.",
    )
    llm_mode: Literal["auto", "llm", "template", "echo"] = Field(
        default="auto",
        description="where answers come from: auto (the language model of PARLEY_LLM_URL, else one found on this "
        "machine, else template), llm, template (canned answers in the manner of ELIZA) or echo.",
    )
    llm_url: Annotated[str, AfterValidator(_is_http_url)] = Field(
        default="",
        description="an OpenAI-compatible server's base address, such as http://127.0.0.1:11434/v1.",
    )
    llm_api_key: Annotated[SecretStr, AfterValidator(_is_header_value)] = Field(
        default=SecretStr(""), description="that server's key, if it wants one."
    )
    llm_model: str = Field(default="", description="the model to ask; empty: the first that the server lists.")
    stt_addresses: HostPorts = Field(
        default="", description="host:port of Triton's gRPC, several with commas; empty: the one that is run here."
    )
    tts_addresses: HostPorts = Field(
        default="", description="host:port of Triton's gRPC, several with commas; empty: the one that is run here."
    )
    log_format: Literal["console", "json"] = Field(default="console", description="console or json.")

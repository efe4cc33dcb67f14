"""The dialogue worker's environment variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from services.addresses import OTLP_TAKES, Host, HostPorts, OtlpEndpoint
from services.configuration import Configuration


class WorkerConfiguration(Configuration):
    nats_url: str = Field(
        "nats://127.0.0.1:4222",
        pattern=r"^(nats|tls)://\S+$",
        description="the address of NATS, such as nats://host:4222",
    )
    slots: int = Field(32, ge=1, le=10_000, description="how many sessions this worker holds at once, 1 to 10000")
    health_host: Host = Field("127.0.0.1", description="the address to serve health and metrics on")
    health_port: int = Field(
        0, ge=0, le=65535, description="a port for /healthz, /readyz and /metrics; 0: any free one"
    )

    stt_addresses: HostPorts = Field(
        "127.0.0.1:8001", min_length=3, description="host:port of Triton's gRPC, several with commas"
    )
    stt_model: str = Field("pocketsphinx", description="the name of a recognition model")
    tts_addresses: HostPorts = Field(
        "127.0.0.1:8001", min_length=3, description="host:port of Triton's gRPC, several with commas"
    )
    tts_model: str = Field("espeak", description="the name of a synthesis model")

    llm_mode: Literal["llm", "template", "echo"] = Field("template", description="llm, template or echo")
    llm_url: str = Field("", description="the base URL of an OpenAI-compatible server, such as http://host:8000/v1")
    llm_api_key: SecretStr = Field(SecretStr(""), description="the key for that server, if it wants one")
    llm_model: str = Field("", description="a model of that server")
    llm_fallback: Literal["none", "template"] = Field(
        "none", description="none or template: what answers when the language model fails before its first word"
    )
    speculation: Literal["auto", "on", "off"] = Field(
        "auto",
        description="auto: answers are prepared in pauses where that is free; on: sessions may ask for it even where "
        "answers are paid by the token; off: for nobody",
    )
    llm_detail: str = Field("", description="a sentence for the page about where answers come from")
    llm_first_token_seconds: float = Field(5.0, gt=0, le=120, description="seconds to the first token, up to 120")
    llm_loading_seconds: float = Field(
        60.0,
        ge=0,
        le=600,
        description="seconds to the first token of a model on this machine or network that has not answered yet, since "
        "its server may have to load it, up to 600; less than PARLEY_LLM_FIRST_TOKEN_SECONDS: no more than those",
    )
    llm_total_seconds: float = Field(30.0, gt=0, le=600, description="seconds for a whole answer, up to 600")

    characters: Path | None = Field(None, description="a JSON file of characters, in place of the built-in cast")
    grace_seconds: float = Field(30.0, ge=1, le=3600, description="seconds that a session waits for a lost client")
    idle_seconds: float = Field(900.0, ge=10, le=86400, description="seconds without a word after which it is closed")
    remember_seconds: float = Field(3600.0, ge=60, le=7 * 86400, description="seconds that a session can be resumed")
    drain_seconds: float = Field(2.0, ge=0, le=3600, description="seconds that running answers may take at shutdown")
    otlp_endpoint: OtlpEndpoint = Field("", description=OTLP_TAKES)
    log_format: Literal["json", "console"] = Field("json", description="json or console")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error")

"""What the edge takes from the environment."""

import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from services.addresses import OTLP_TAKES, Host, OtlpEndpoint
from services.configuration import Configuration
from services.edge.origins import normalized

PAGE = Path(__file__).resolve().parents[2] / "frontend"


class EdgeConfiguration(Configuration):
    host: Host = Field("127.0.0.1", description="the address to listen on; 0.0.0.0 for all.")
    port: int = Field(8080, ge=0, le=65535, description="the port to listen on; 0 for a free one.")
    nats_url: str = Field(
        "nats://127.0.0.1:4222",
        pattern=r"^(nats|tls)://\S+$",
        description="the address of NATS, as nats://host:port; several with commas between.",
    )
    session_secret: SecretStr = Field(
        SecretStr(""),
        description="at least 16 characters that only the edges know; all edges take the same. "
        "Empty: a new one at every start, and no session outlives its edge.",
    )
    allowed_origins: str = Field(
        "",
        description="origins such as https://voice.example.org, with commas between, whose pages may connect; "
        "* for any; empty for pages of the host that was asked.",
    )
    trusted_proxies: str = Field(
        "",
        description="addresses or networks, with commas between, whose X-Forwarded-For is believed; * for all.",
    )
    max_connections: int = Field(500, ge=1, le=100_000, description="connections that this edge carries at once.")
    connect_rate: float = Field(10.0, gt=0, description="connects a second that one address may make on average.")
    connect_burst: int = Field(50, ge=1, description="connects that one address may make at once.")
    page_folder: Path = Field(PAGE, description="the folder of the page that is served at /.")
    otlp_endpoint: OtlpEndpoint = Field("", description=OTLP_TAKES)
    log_format: Literal["json", "console"] = Field("console", description="json or console.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error."
    )

    @field_validator("session_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 16:
            raise ValueError("that is too short to be a secret")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in filter(None, (part.strip() for part in value.split(","))):
            if origin != "*" and normalized(origin) is None:
                raise ValueError(f"{origin!r} is no origin")
        return value

    def secret(self) -> bytes:
        """The key of the session tokens; a random one when none is configured."""
        return self.session_secret.get_secret_value().encode() or secrets.token_bytes(32)

    def origins(self) -> frozenset[str]:
        """The allowed origins in normal form, "*" included."""
        parts = filter(None, (part.strip() for part in self.allowed_origins.split(",")))
        return frozenset("*" if part == "*" else normalized(part) or "" for part in parts)

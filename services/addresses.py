"""What addresses in the configuration look like, checked at start."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

_NAME = re.compile(r"(?=.{1,253}$)\w([\w-]{0,61}\w)?(\.\w([\w-]{0,61}\w)?)*\.?", re.ASCII)
_HOST_PORT = re.compile(r"(\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})", re.ASCII)
_LOCAL_DOMAINS = (".local", ".internal", ".lan", ".svc", ".cluster.local", ".localhost")


def is_host(text: str) -> bool:
    """Whether it is an IP address or can be the name of a machine."""
    if ":" in text or re.fullmatch(r"[\d.]+", text, re.ASCII):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return True
    return _NAME.fullmatch(text) is not None


def is_local(host: str) -> bool:
    """A host of this machine, this network or this cluster, by its name or number."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.casefold().endswith(_LOCAL_DOMAINS)


def is_host_port(text: str) -> bool:
    """Whether it is host:port; an IPv6 address stands in brackets."""
    found = _HOST_PORT.fullmatch(text)
    if not found or not 1 <= int(found["port"]) <= 65_535:
        return False
    return ":" in found["v6"] and is_host(found["v6"]) if found["host"] is None else is_host(found["host"])


def _host(value: str) -> str:
    if value and not is_host(value):
        raise ValueError("this is no IP address and no name of a machine")
    return value


def _host_ports(value: str) -> str:
    for address in value.split(",") if value else ():
        if not is_host_port(address.strip()):
            raise ValueError(f"{address.strip()!r} is not host:port")
    return value


def _otlp_endpoint(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("this is no address of the kind http://host:4318")
    return value


Host = Annotated[str, AfterValidator(_host)]
"""An IP address or a machine's name, or empty."""
HostPorts = Annotated[str, AfterValidator(_host_ports)]
"""host:port, several with commas between, or empty."""
OtlpEndpoint = Annotated[str, AfterValidator(_otlp_endpoint)]
"""http://host:port, with a path if need be, or empty."""
OTLP_TAKES = (
    "the base URL of an OpenTelemetry collector's OTLP/HTTP receiver, such as http://collector:4318; traces go there. "
    "Empty: no traces. The SDK's variables for headers, sampling and batches (OTEL_…) hold as well."
)

"""Free TCP ports on this machine."""

import errno
import random
import socket

INTERNAL = range(20_000, 32_000)
"""Below Linux's ephemeral ports (32768 and up): while a part is down, a connection to a port in that range can be
given the very same port as its source and so connect to itself, and keeps the part from coming back."""
PAGE_PORTS_TRIED = 100


class NoPortError(RuntimeError):
    """No port is free; the text names what was tried."""


class NoHostError(OSError):
    """The page's host is none of this machine's addresses; the text names the variable."""


def is_free(host: str, port: int) -> bool:
    """Whether a server can listen there. Raises OSError when the host is none of this machine's addresses."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(address)
            attempt.listen(1)
        except (PermissionError, OSError) as error:
            if isinstance(error, PermissionError) or error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def internal(count: int, choose: random.Random) -> list[int]:
    """So many different free ports on 127.0.0.1. Raises NoPortError."""
    found: list[int] = []
    for port in choose.sample(INTERNAL, len(INTERNAL)):
        if len(found) == count:
            break
        if is_free("127.0.0.1", port):
            found.append(port)
    if len(found) < count:
        raise NoPortError(f"fewer than {count} ports of {INTERNAL.start}-{INTERNAL.stop - 1} are free on 127.0.0.1")
    return found


def page(host: str, wanted: int) -> int:
    """The wanted port, or the next free one above it. Raises NoPortError and NoHostError."""
    last = min(wanted + PAGE_PORTS_TRIED, 65_535)
    try:
        for port in range(wanted, last + 1):
            if is_free(host, port):
                return port
    except OSError as error:
        raise NoHostError(
            f"PARLEY_HOST: this machine cannot listen on {host}: {error.strerror}. "
            "It takes: an address of this machine, such as 127.0.0.1; 0.0.0.0 for all"
        ) from error
    raise NoPortError(f"the ports {wanted}-{last} are all taken on {host}; choose another with --port")

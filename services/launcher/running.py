"""Which stack a command talks to: the one it was told of, or the one that runs from this folder."""

from urllib.parse import urlsplit

from services.configuration import load_or_exit
from services.launcher import instance
from services.launcher.config import LauncherConfiguration
from services.launcher.instance import Running

CONVERSATION = "/v1/conversation"


class NoStackError(RuntimeError):
    """There is nothing to talk to; the text says how to get it."""


def page_address(given: str | None) -> str:
    """The page's http address, without a slash at its end. Raises NoStackError."""
    if given:
        address = given if "://" in given else f"http://{given}"
        if urlsplit(address).scheme not in ("http", "https", "ws", "wss") or not urlsplit(address).hostname:
            raise NoStackError(f"{given!r} is no address of a page, such as http://127.0.0.1:8080")
        return address.rstrip("/")
    return _here().url


def conversation_address(given: str | None) -> str:
    """The WebSocket's address of a page. Raises NoStackError."""
    page = page_address(given)
    address = page.replace("http", "ws", 1) if page.startswith("http") else page
    return address if address.endswith(CONVERSATION) else f"{address}{CONVERSATION}"


def triton_address(given: str | None) -> str:
    """The gRPC address of a Triton server, host:port. Raises NoStackError."""
    return given or _here().triton


def _here() -> Running:
    state = load_or_exit(LauncherConfiguration).state_dir
    stacks = instance.running(state)
    if not stacks:
        raise NoStackError(f"no stack runs from {state}: start one with `parley up`, or give its address")
    return stacks[0]

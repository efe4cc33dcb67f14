"""Which pages may open a WebSocket here. Browsers send any page's WebSocket anywhere, and say only whose it is."""

from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def normalized(origin: str) -> str | None:
    """`scheme://host:port` in lower case, or None for what is no web origin."""
    parts = urlsplit(origin.strip().lower())
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None or parts.path not in ("", "/"):
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"


def allowed(origin: str | None, host: str | None, configured: frozenset[str]) -> bool:
    """Whether a page of `origin` may connect to us under the name `host`.

    `configured` holds normalized origins, or "*" for any; when it is empty, a page of the same
    host and port may. A client that sends no origin is no browser page and may.
    """
    if origin is None or "*" in configured:
        return True
    page = normalized(origin)
    if page is None:
        return False
    if configured:
        return page in configured
    scheme = page.partition(":")[0]
    return host is not None and page == normalized(f"{scheme}://{host}")

"""A GET as health checks need it: no pool, no proxy, no redirect, a bounded body, nothing that blocks the loop."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

MAX_BODY_BYTES = 1024 * 1024


class NoAnswerError(Exception):
    """Nothing that speaks HTTP answered in time; the text says what happened instead."""


async def get(url: str, within: float, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body. Raises NoAnswerError, also when the whole takes longer than `within` seconds."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    try:
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=ssl.create_default_context() if secure else None
            )
            try:
                # HTTP/1.0: the body ends with the connection, so no chunks need to be put together.
                target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                lines = [
                    f"GET {target} HTTP/1.0",
                    f"Host: {parts.netloc.rpartition('@')[2]}",
                    "Accept: */*",
                    "Connection: close",
                ]
                lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
                writer.write("\r\n".join([*lines, "", ""]).encode())
                return await _answer(reader)
            finally:
                writer.close()
    except TimeoutError as error:
        raise NoAnswerError(f"no answer within {within:g} s") from error
    except OSError as error:
        refused = isinstance(error, ConnectionError) and error.errno  # asyncio says the address as a tuple there
        said = os.strerror(refused) if refused else error.strerror or str(error) or type(error).__name__
        raise NoAnswerError(f"{parts.netloc.rpartition('@')[2]}: {said}") from error
    except (ValueError, UnicodeError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise NoAnswerError(str(error) or type(error).__name__) from error


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readline()).split(None, 2)
    if len(first) < 2 or not first[0].startswith(b"HTTP/"):
        raise ValueError("what answered does not speak HTTP")
    status = int(first[1])
    length = MAX_BODY_BYTES
    while line := (await reader.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = min(int(value), MAX_BODY_BYTES)
    body = b""
    while len(body) < length and (more := await reader.read(length - len(body))):
        body += more
    return status, body

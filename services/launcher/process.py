"""One child process: its lines handed on, ended with all that it started."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence

MAX_LINE_BYTES = 16 * 1024
"""A longer line is cut in pieces, so that a part that never ends a line costs no memory."""


class Lines(asyncio.Protocol):
    """Cuts what comes through a pipe into lines and hands each to `receive`."""

    def __init__(self, receive: Callable[[str], None]) -> None:
        self._receive = receive
        self._rest = b""
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > MAX_LINE_BYTES:
            lines.append(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]
        for line in lines:
            self._receive(line.decode(errors="replace").rstrip("\r"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._receive(self._rest.decode(errors="replace"))
        self.ended.set_result(None)


class Child:
    """A running process. It leads a process group of its own, so a Ctrl-C in the terminal does not reach it."""

    def __init__(self, process: asyncio.subprocess.Process, pipe: asyncio.ReadTransport, lines: Lines) -> None:
        self._process = process
        self._pipe = pipe
        self._lines = lines

    @property
    def pid(self) -> int:
        return self._process.pid

    @staticmethod
    async def start(argv: Sequence[str], env: Mapping[str, str], receive: Callable[[str], None]) -> "Child":
        """Start `argv`; each line of its output goes to `receive`. Raises OSError when no process can be made."""
        loop = asyncio.get_running_loop()
        # A pipe of our own: asyncio's would make wait() last until every grandchild has closed it, too.
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        pipe, lines = await loop.connect_read_pipe(lambda: Lines(receive), os.fdopen(reading, "rb", 0))
        return Child(process, pipe, lines)

    def terminate(self) -> None:
        """Ask the process, and it alone, to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End the process and its group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """The exit status; negative when a signal ended it. What is left of its group is ended, its output read."""
        status = await self._process.wait()
        self.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(self._lines.ended)
        self._pipe.close()
        return status

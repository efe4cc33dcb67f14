"""Ends what a launcher leaves behind, even one that was killed: `undertaker.py INSTANCE SHARED_MEMORY_PREFIX...`

Runs beside the launcher, as a process of its own whose standard input is a pipe from it. When the pipe ends
without a word, the launcher is gone, and all that it started is ended. The kernel's parent-death signal would
not do: it reaches children only, and tritonserver's model processes are grandchildren that outlive their server
by seconds and leave their shared memory. Whatever a launcher starts is known by INSTANCE_VARIABLE in its
environment. Only the standard library is used, so that this starts in a moment and stays small.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

INSTANCE_VARIABLE = "PARLEY_INSTANCE"
"""In the environment of all that a launcher started: the folder of its instance."""
GONE_WITHIN = 2.0
ORDERLY = b"everything has ended\n"
"""What the launcher says before it closes the pipe when there is nothing to do."""
EXEC_WITHIN = 0.2
"""A process that was just forked shows its own environment only from its exec on."""
SHARED_MEMORY = Path("/dev/shm")


def strays(instance: Path) -> list[int]:
    """Processes, other than this one, that a launcher of this instance folder started."""
    mark = f"{INSTANCE_VARIABLE}={instance}".encode()
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def bury(instance: Path, prefixes: Sequence[str]) -> int:
    """Kill the strays of an instance and remove its shared memory; how many strays there were. Blocks up to 2 s."""
    ended: set[int] = set()
    until = time.monotonic() + GONE_WITHIN
    while (found := strays(instance)) and time.monotonic() < until:
        for pid in found:
            ended.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    remove_shared_memory(prefixes)
    return len(ended)


def remove_shared_memory(prefixes: Sequence[str]) -> None:
    for prefix in filter(None, prefixes):
        for region in SHARED_MEMORY.glob(f"{prefix}*"):
            region.unlink(missing_ok=True)


def main() -> None:
    instance, prefixes = Path(sys.argv[1]), sys.argv[2:]
    if sys.stdin.buffer.read() == ORDERLY:
        return
    bury(instance, prefixes)
    time.sleep(EXEC_WITHIN)
    bury(instance, prefixes)


if __name__ == "__main__":
    main()

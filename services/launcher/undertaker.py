"""Ends what a launcher leaves behind, even one that was killed: `undertaker.py MARK SHARED_MEMORY_PREFIX...`

Runs beside the launcher, as a process of its own whose standard input is a pipe from it. When the pipe ends
without a word, the launcher is gone, and all that it started is ended. The kernel's parent-death signal would
not do: it reaches children only, and tritonserver's model processes are grandchildren that outlive their server
by seconds and leave their shared memory. Whatever a launcher starts is known by its mark in INSTANCE_VARIABLE in
the environment: the instance's folder and the run, so that the next launcher of the folder can be at work while
this one still cleans up. Only the standard library is used, so that this starts in a moment and stays small.
"""

import contextlib
import hashlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

INSTANCE_VARIABLE = "PARLEY_INSTANCE"
"""In the environment of all that a launcher started: its mark."""
GONE_WITHIN = 2.0
ORDERLY = b"everything has ended\n"
"""What the launcher says before it closes the pipe when there is nothing to do."""
EXEC_WITHIN = 0.2
"""A process that was just forked shows its own environment only from its exec on."""
SHARED_MEMORY = Path("/dev/shm")


def mark(folder: Path, run: str = "") -> str:
    """What the processes of a run are known by; without `run`, what those of all runs of the folder begin with."""
    return f"{folder}:{run}"


def shared_memory_prefix(folder: Path) -> str:
    """What the names of all shared-memory files of a folder's stacks begin with."""
    return f"parley_{hashlib.sha256(bytes(folder)).hexdigest()[:12]}_"


def marks() -> dict[int, str]:
    """The marks of all processes, other than this one, that have one and whose environment may be read."""
    entry = f"{INSTANCE_VARIABLE}=".encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            for variable in (folder / "environ").read_bytes().split(b"\0"):
                if variable.startswith(entry):
                    found[int(folder.name)] = os.fsdecode(variable[len(entry) :])
    return found


def strays(marked: str) -> list[int]:
    """Processes, other than this one, whose mark begins so."""
    return [pid for pid, mark in marks().items() if mark.startswith(marked)]


def folders() -> set[Path]:
    """The instance folders that processes of this machine belong to."""
    return {Path(mark.rpartition(":")[0]) for mark in marks().values()}


def bury(marked: str, prefixes: Sequence[str]) -> int:
    """Kill the strays of a mark and remove their shared memory; how many strays there were. Blocks up to 2 s."""
    ended: set[int] = set()
    until = time.monotonic() + GONE_WITHIN
    while (found := strays(marked)) and time.monotonic() < until:
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
    marked, prefixes = sys.argv[1], sys.argv[2:]
    if sys.stdin.buffer.read() == ORDERLY:
        return
    bury(marked, prefixes)
    time.sleep(EXEC_WITHIN)
    bury(marked, prefixes)


if __name__ == "__main__":
    main()

"""What processes use, from /proc: processor time, waiting for a processor, memory. And which cores they may use."""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_NS = 1e9


@dataclass(frozen=True)
class Usage:
    """Of some processes together, since they began."""

    cpu_s: float = 0.0
    wait_s: float = 0.0
    """Ready to run while something else had the processor. Of threads that are there; what ended is forgotten."""
    memory_bytes: int = 0
    """Anonymous pages. What libraries map from their files is not in it: other processes share that, and as they come
    and go each one's share of it changes."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu_s + other.cpu_s, self.wait_s + other.wait_s, self.memory_bytes + other.memory_bytes)

    def since(self, before: "Usage") -> "Usage":
        """What was used between; the memory is the later one's."""
        return Usage(self.cpu_s - before.cpu_s, self.wait_s - before.wait_s, self.memory_bytes)


def parse_cpu(stat: str) -> float:
    """User and system seconds in a process's `stat`. Its name, in brackets, may hold anything."""
    after_name = stat[stat.rindex(")") + 1 :].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS


def parse_memory(rollup: str) -> int:
    """Bytes of anonymous memory in a process's `smaps_rollup`."""
    for line in rollup.splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    return 0


def usage(pid: int) -> Usage:
    """Of one process; nothing once it has ended."""
    folder = PROC / str(pid)
    try:
        cpu = parse_cpu((folder / "stat").read_text())
        memory = parse_memory((folder / "smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return Usage()
    wait = 0.0
    for thread in _threads(pid):
        with contextlib.suppress(OSError):
            wait += int((folder / "task" / str(thread) / "schedstat").read_text().split()[1]) / _NS
    return Usage(cpu, wait, memory)


def total(pids: Iterable[int]) -> Usage:
    return sum((usage(pid) for pid in pids), Usage())


def core_busy(core: int) -> float:
    """Seconds that a core has worked since the machine began, for anybody."""
    for line in (PROC / "stat").read_text().splitlines():
        name, *numbers = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, numbers)
            return (user + nice + system + irq + softirq) / _TICKS
    return 0.0


def pin(pids: Iterable[int], cores: Sequence[int]) -> None:
    """Have the processes, and what they start from now on, run on these cores only."""
    for pid in pids:
        for thread in _threads(pid):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cores)


def command_line(pid: int) -> list[str]:
    """Empty once it has ended."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def open_files(pid: int) -> int:
    """Files, sockets and pipes; 0 once it has ended."""
    with contextlib.suppress(OSError):
        return len(list((PROC / str(pid) / "fd").iterdir()))
    return 0


def _threads(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(thread.name) for thread in (PROC / str(pid) / "task").iterdir()]
    return []

"""`parley loadtest`: Locust's voice sessions against a stack, its own with stand-in models unless there is another."""

import asyncio
import contextlib
import importlib.util
import json
import math
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from services.launcher import bench_processes, bench_stack, soak
from services.launcher.bench_density import ADDING_UP, Cores, cores
from services.launcher.bench_stack import OURS, ROOT, StackFailed, Standins
from services.launcher.http import NoAnswerError
from services.launcher.ports import NoPortError
from services.launcher.running import NoStackError, page_address
from services.launcher.triton import TritonMissing

ALONE_S = 90.0
"""With --overload: the single session that the others are held against talks so long before they come."""
OVER_ALONE_MS = 100
REFUSED_WITHIN_MS = 100
ENVIRONMENT = {"PARLEY_GRACE_SECONDS": "10"}
"""Who loses the connection finds the session again; a benchmark's stack forgets it after a second."""
SOAK_ENVIRONMENT = {**ENVIRONMENT, "PARLEY_REMEMBER_SECONDS": "60"}
"""Histories are kept for an hour by default, and until then their store can only grow."""
MISSING = "the load test needs Locust and websocket-client, which are not installed: pip install -e '.[loadtest]'"


@dataclass(frozen=True)
class Wanted:
    users: int
    """There at once, on average."""
    minutes: float
    host: str | None
    """None: the stack that runs from this folder, or one of its own."""
    report: Path
    overload: bool = False
    soak: bool = False
    locust: dict[str, object] = field(default_factory=dict[str, object])
    """Further options of the locustfile."""

    @property
    def own_stack(self) -> bool:
        """What is measured needs a known number of places, or the servers' processes."""
        return self.overload or self.soak


def slots(wanted: Wanted) -> int:
    """People come by a Poisson process, so that there are at times more than on average: room for all but never."""
    return wanted.users if wanted.overload else wanted.users + math.ceil(5 * math.sqrt(wanted.users))


def arguments(wanted: Wanted, host: str, note: str) -> list[str]:
    """Of Locust."""
    alone = ALONE_S if wanted.overload else 0.0
    given: dict[str, object] = {
        "host": host,
        "users": wanted.users * (2 if wanted.overload else 1),
        "spawn-rate": 100,
        "run-time": f"{alone + wanted.minutes * 60:.0f}s",
        "report": wanted.report,
        "json-file": wanted.report / "locust",
        "loglevel": "WARNING",
        "note": note,
    }
    if wanted.overload:
        given |= {
            "alone": alone,
            "alone-within-ms": OVER_ALONE_MS,
            "refusal-ms": REFUSED_WITHIN_MS,
            "mix": "talking=1",
            "settings": json.dumps(ADDING_UP),
        }
    options = [f"--{name}={value}" for name, value in {**given, **wanted.locust}.items()]
    return ["-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "--only-summary", *options]


def target(wanted: Wanted) -> str | None:
    """The page's address of a stack that is there; None: one is to be started."""
    if wanted.host:
        return page_address(wanted.host)
    if not wanted.own_stack:
        with contextlib.suppress(NoStackError):
            return page_address(None)
    return None


@contextlib.asynccontextmanager
async def _started(wanted: Wanted, shared: Cores) -> AsyncIterator[Standins]:
    async with bench_stack.running(slots(wanted), SOAK_ENVIRONMENT if wanted.soak else ENVIRONMENT) as stack:
        for part, pids in stack.processes.items():
            bench_processes.pin(pids, shared.server if part in OURS else shared.others)
        yield stack


async def _locust(wanted: Wanted, host: str, note: str, on: list[int] | None = None) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments(wanted, host, note), cwd=ROOT, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        if on:
            bench_processes.pin([process.pid], on)
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _soak(wanted: Wanted, stack: Standins, host: str, note: str, on: list[int]) -> int:
    before = await soak.holdings(stack)
    watching = asyncio.create_task(soak.watch(stack.processes))
    try:
        status = await _locust(wanted, host, note, on)
    finally:
        watching.cancel()
    watched = await watching
    held = await soak.left(stack, before, wanted.users)
    soaked = soak.Soaked(wanted.users, [soak.growth(one) for one in watched], before, held)
    soak.write(wanted.report, watched, soaked)
    print(soak.said(soaked))
    return status or (0 if soaked.sound else 1)


async def _loadtest(wanted: Wanted) -> int:
    if host := target(wanted):
        return await _locust(wanted, host, "")
    shared = cores()
    async with _started(wanted, shared) as stack:
        host = f"http://127.0.0.1:{stack.port}"
        note = f"a stack with stand-in models, {slots(wanted)} places; {shared}"
        if wanted.soak:
            return await _soak(wanted, stack, host, note, shared.others)
        return await _locust(wanted, host, note, shared.others)


def loadtest(wanted: Wanted) -> int:
    """The exit status: Locust's, whose locustfile says 1 for a limit missed and 3 for a run that proves nothing."""
    if importlib.util.find_spec("locust") is None or importlib.util.find_spec("websocket") is None:
        print(f"parley: {MISSING}", file=sys.stderr)
        return 2
    try:
        status = asyncio.run(_loadtest(wanted))
    except NoStackError as error:
        print(f"parley: {error}", file=sys.stderr)
        return 2
    except (StackFailed, TritonMissing, NoPortError, NoAnswerError, OSError) as failure:
        print(f"parley: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{wanted.report}/report.html, summary.json, turns.csv and sessions.csv have the rest")
    return status

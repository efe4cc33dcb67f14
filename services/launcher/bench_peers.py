"""`parley bench density --peer pipecat`: another system under the same load, side by side with ours."""

import asyncio
import contextlib
import math
import os
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.launcher import bench_client, bench_density, bench_processes, http, ports
from services.launcher.bench_client import ClientFailed, Run
from services.launcher.bench_density import Conditions
from services.launcher.bench_figures import Figures, figures
from services.launcher.bench_processes import Usage
from services.launcher.bench_stack import ROOT, StackFailed
from services.launcher.http import NoAnswerError
from services.launcher.ports import NoPortError
from services.launcher.triton import TritonMissing

FOLDER = ROOT / "loadtest" / "peers" / "pipecat"
PYTHON = FOLDER / ".venv" / "bin" / "python"
PEER = "pipecat"
ROUNDS = 2
"""Ours, theirs, ours, theirs: what the machine did meanwhile hits both."""
READY_WITHIN = 60.0
LAST_WORDS = 2000


@dataclass(frozen=True)
class Result:
    """One run of one system."""

    found: Figures
    server: Usage
    wall_s: float
    others: float
    """Share of the server's core that was taken by none of its processes."""

    @property
    def cpu_each(self) -> float:
        """Percent of a core per session."""
        return 100 * self.server.cpu_s / self.wall_s / self.found.sessions

    @property
    def latency_p50(self) -> float:
        return self.found.p50 + self.found.known_ms


def result(run: Run, server: Usage) -> Result:
    return Result(figures(run.report), server, run.wall_s, bench_density.others_share(run, server))


@contextlib.asynccontextmanager
async def running(python: Path, silence_ms: int) -> AsyncIterator[tuple[int, int]]:
    """The peer's server: its port and process id. Raises StackFailed."""
    [port] = ports.internal(1, random.Random())
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(str(python), str(FOLDER / "server.py"), "--port", str(port), "--silence", str(silence_ms / 1000)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Its numeric libraries would otherwise start a thread for every core.
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            if not await _answers(port, process):
                log.seek(0)
                raise StackFailed(
                    f"Pipecat's server did not come up:\n{log.read()[-LAST_WORDS:].decode(errors='replace')}"
                )
            yield port, process.pid
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _answers(port: int, process: asyncio.subprocess.Process) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_WITHIN):
            while process.returncode is None:
                with contextlib.suppress(http.NoAnswerError):
                    await http.get(f"http://127.0.0.1:{port}/healthz", 1.0)
                    return True
                await asyncio.sleep(0.1)
    return False


async def measure_peer(conditions: Conditions, sessions: int, python: Path) -> Result:
    shared = bench_density.cores()
    async with running(python, conditions.silence_ms) as (port, pid):
        bench_processes.pin([pid], shared.server)
        sample = bench_client.sampler({PEER: [pid]}, shared.server[0])
        run = await bench_client.run(conditions.arguments(sessions, port, wire=PEER), sample, shared.others, {})
    return result(run, run.used(PEER))


async def measure_ours(conditions: Conditions, sessions: int) -> tuple[Result, Run]:
    run = await bench_density.measure(conditions, sessions, sessions)
    return result(run, bench_density.ours(run)), run


HEADER = (
    f"{'sessions':>8}  {'system':<8} | {'p50':>6} {'over':>6} {'p95':>6} | {'paused':>6} {'cut':>4} {'failed':>6} | "
    f"{'cpu each':>8} | {'MB':>6} | {'gap':>5} | {'wait%':>5} {'others%':>7} {'late99':>6}"
)
LEGEND = """\
p50: ms from the last speech sample to the first audio of the answer; over, p95: the same over the known parts
cpu each: % of one core per session, of all the system's own processes; MB: their anonymous memory
the other columns are those of `parley bench density`"""


def row(system: str, one: Result) -> str:
    found = one.found
    return (
        f"{found.sessions:>8}  {system:<8} | {one.latency_p50:>6.0f} {found.p50:>6.1f} {found.p95:>6.1f} | "
        f"{found.paused:>6} {found.cut_off:>4} {len(found.failures):>6} | "
        f"{one.cpu_each:>8.2f} | {one.server.memory_bytes / 1e6:>6.0f} | "
        f"{found.gap_ms:>5.0f} | {100 * one.server.wait_s / one.wall_s:>5.1f} {100 * one.others:>7.1f} "
        f"{found.late_p99_ms:>6.1f}"
    )


def growth(few: Sequence[Result], many: Sequence[Result]) -> float:
    """Megabytes that each further session took."""
    more = many[0].found.sessions - few[0].found.sessions
    if not more:
        return math.nan
    grown = statistics.mean(one.server.memory_bytes for one in many) - statistics.mean(
        one.server.memory_bytes for one in few
    )
    return grown / more / 1e6


def ratio(ours: float, theirs: float) -> str:
    return f"{theirs / ours:.1f}" if ours > 0 and math.isfinite(theirs) else "-"


async def _side_by_side(conditions: Conditions, python: Path) -> int:
    ours: dict[int, list[Result]] = {}
    theirs: dict[int, list[Result]] = {}
    for sessions in sorted(conditions.sessions):
        for _ in range(ROUNDS):
            one, run = await measure_ours(conditions, sessions)
            if not ours:
                print(f"{bench_density.conditions_said(conditions, run)}\n\n{HEADER}")
            print(row("parley", one), flush=True)
            ours.setdefault(sessions, []).append(one)
            other = await measure_peer(conditions, sessions, python)
            print(row(PEER, other), flush=True)
            theirs.setdefault(sessions, []).append(other)
    print(f"\n{LEGEND}\n")
    fewest = min(ours)
    for sessions, results in ours.items():
        other = theirs[sessions]
        cpu = ratio(statistics.mean(one.cpu_each for one in results), statistics.mean(one.cpu_each for one in other))
        said = f"{sessions} sessions: Pipecat takes {cpu} times the processor"
        if sessions > fewest:
            mine, its = growth(ours[fewest], results), growth(theirs[fewest], other)
            said += f", {ratio(mine, its)} times the memory per session ({its:.2f} to {mine:.2f} MB)"
        difference = statistics.mean(one.latency_p50 for one in other) - statistics.mean(
            one.latency_p50 for one in results
        )
        print(f"{said}, and answers {difference:.0f} ms later (p50)")
    return 0


def bench_peer(conditions: Conditions, python: Path = PYTHON) -> int:
    if not python.is_file():
        print(f"parley: {python} is missing; loadtest/peers/pipecat/setup.sh makes it", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_side_by_side(conditions, python))
    except (StackFailed, ClientFailed, TritonMissing, NoPortError, NoAnswerError, OSError) as failure:
        print(f"parley: {failure}", file=sys.stderr)
        return 1

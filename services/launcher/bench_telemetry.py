"""`parley bench telemetry`: what sending traces costs the edge, the worker and NATS; off and on in turn."""

import asyncio
import contextlib
import statistics
import sys
from collections.abc import AsyncIterator, Sequence

from services.launcher import bench_processes, http
from services.launcher.bench_client import ClientFailed, Run
from services.launcher.bench_density import HEADER, Conditions, conditions_said, cores, measure, ours, row
from services.launcher.bench_figures import figures
from services.launcher.bench_stack import ROOT, StackFailed
from services.launcher.http import NoAnswerError
from services.launcher.ports import NoPortError
from services.launcher.triton import TritonMissing

ROUNDS = 3
"""Off, on, off, on, off, on: what the machine did meanwhile hits both."""
ALLOWED = 0.05
ASKED_WITHIN = 5.0


@contextlib.asynccontextmanager
async def _sink() -> AsyncIterator[str]:
    """A collector's address, for as long as it is needed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.sink"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    bench_processes.pin([process.pid], cores().others)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


def cost(off: Sequence[float], on: Sequence[float]) -> float:
    """How much more was used with traces, as a share of what was used without: the medians of the rounds."""
    without = statistics.median(off)
    return (statistics.median(on) - without) / without


def _share(run: Run) -> float:
    """% of one core for each session."""
    return 100 * ours(run).cpu_s / run.wall_s / figures(run.report).sessions


async def _telemetry(conditions: Conditions) -> int:
    [sessions] = conditions.sessions
    runs: dict[str, list[Run]] = {"off": [], "on": []}
    async with _sink() as endpoint:
        for number in range(ROUNDS):
            for name, done in runs.items():
                environment = {"PARLEY_OTLP_ENDPOINT": endpoint} if name == "on" else {}
                run = await measure(conditions, sessions, sessions, environment=environment)
                if not number and name == "off":
                    print(f"{conditions_said(conditions, run)}\ntraces off and on in turn\n\n{'':<4}{HEADER}")
                print(f"{name:<4}{row(run, None)}", flush=True)
                done.append(run)
        _, taken = await http.get(f"{endpoint}/", ASKED_WITHIN)
    off, on = ([_share(run) for run in runs[name]] for name in ("off", "on"))
    turns = sum(figures(run.report).turns for run in runs["on"])
    more = cost(off, on)
    print(
        f"\nedge, worker and nats-server, % of one core per session: off {statistics.median(off):.3f}, "
        f"on {statistics.median(on):.3f}: {more:+.1%} (at most {ALLOWED:.0%}); "
        f"{int(taken) / max(1, turns) / 1000:.1f} kB of spans a turn"
    )
    failed = any(figures(run.report).failures for done in runs.values() for run in done)
    return 1 if failed or more > ALLOWED else 0


def bench_telemetry(conditions: Conditions) -> int:
    try:
        return asyncio.run(_telemetry(conditions))
    except (StackFailed, ClientFailed, TritonMissing, NoPortError, NoAnswerError, OSError) as failure:
        print(f"parley: {failure}", file=sys.stderr)
        return 1

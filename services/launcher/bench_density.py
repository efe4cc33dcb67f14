"""`parley bench density`: how many conversations one core carries, each as quick as if it were alone."""

import asyncio
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.launcher import bench_client, bench_prepared, bench_processes, bench_stack
from services.launcher.bench_client import ClientFailed, Run
from services.launcher.bench_figures import Figures, figures, largest_within, parts_said
from services.launcher.bench_processes import Usage
from services.launcher.bench_stack import OURS, StackFailed
from services.launcher.http import NoAnswerError
from services.launcher.ports import NoPortError
from services.launcher.triton import TritonMissing

ALLOWED_MS = 100.0
ADDING_UP: Mapping[str, object] = {"speculation": "off", "adaptive_silence": False}
"""Settings with which the known parts add up: nothing is done ahead, and a turn ends by silence alone."""
FEWEST_TURNS = 8
"""Of a run with few sessions, so that its percentiles say something."""


@dataclass(frozen=True)
class Conditions:
    sessions: Sequence[int]
    turns: int = 4
    pauses: float = 0.25
    silence_ms: int = 200
    seed: int = 1
    past: bool = True
    """Go one session past what there is room for, at the end."""
    settings: dict[str, object] = field(default_factory=dict[str, object])
    """Of the sessions, beyond ADDING_UP."""

    def arguments(self, sessions: int, port: int, *, past: int = 0, barge: str = "", wire: str = "parley") -> list[str]:
        turns = max(self.turns, -(-FEWEST_TURNS // sessions)) if self.turns > 1 else self.turns
        given = {
            "port": port,
            "sessions": sessions,
            "turns": turns,
            "pauses": self.pauses,
            "silence-ms": self.silence_ms,
            "settings": json.dumps({**ADDING_UP, **self.settings}),
            "seed": self.seed,
            "past": past,
            "barge": barge,
            "wire": wire,
        }
        return [f"--{name}={value}" for name, value in given.items()]


@dataclass(frozen=True)
class Cores:
    """Which cores are whose: the server's processes share one, all else has the other."""

    server: list[int]
    others: list[int]

    def __str__(self) -> str:
        if self.server == self.others:
            return "one core for everything, the client included"
        return f"edge, worker, nats-server on core {self.server[0]}; client, tritonserver, language model on others"


def cores() -> Cores:
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[:1], usable[1:] or usable[:1])


async def measure(
    conditions: Conditions,
    sessions: int,
    slots: int,
    past: int = 0,
    barge: str = "",
    environment: Mapping[str, str] | None = None,
) -> Run:
    """One run on a fresh stack with room for so many sessions. `environment`: further variables of its parts.

    Raises StackFailed, ClientFailed.
    """
    shared = cores()
    async with bench_stack.running(slots, environment or {}) as stack:
        for part, pids in stack.processes.items():
            bench_processes.pin(pids, shared.server if part in OURS else shared.others)
        sample = bench_client.sampler(stack.processes, shared.server[0])
        arguments = conditions.arguments(sessions, stack.port, past=past, barge=barge)
        return await bench_client.run(
            arguments, sample, shared.others, {}, lambda: bench_prepared.read(stack.worker_metrics)
        )


def ours(run: Run) -> Usage:
    return sum((run.used(part) for part in OURS), Usage())


def others_share(run: Run, server: Usage) -> float:
    """Of the server's core, what others than its processes took."""
    busy = run.after.core_busy_s - run.before.core_busy_s
    return max(0.0, busy - server.cpu_s) / run.wall_s


HEADER = (
    f"{'sessions':>8} {'turns':>6} | {'p50':>6} {'p95':>6} {'max':>6} | "
    f"{'paused':>6} {'cut':>4} {'heard':>5} {'failed':>6} | "
    f"{'edge':>5} {'worker':>6} {'nats':>5} {'each':>5} {'triton':>6} | {'MB each':>7} | {'gap':>5} | "
    f"{'wait%':>5} {'others%':>7} {'late99':>6}"
)


def row(run: Run, alone: Run | None) -> str:
    """One line of the table; `alone`: the run with the fewest sessions, for the memory of each."""
    found = figures(run.report)
    share = {part: 100 * run.used(part).cpu_s / run.wall_s for part in (*OURS, "triton")}
    each = sum(share[part] for part in OURS) / found.sessions
    memory = "-"
    if alone is not None and (more := found.sessions - figures(alone.report).sessions):
        memory = f"{(ours(run).memory_bytes - ours(alone).memory_bytes) / more / 1e6:.2f}"
    return (
        f"{found.sessions:>8} {found.turns:>6} | {found.p50:>6.1f} {found.p95:>6.1f} {found.largest:>6.1f} | "
        f"{found.paused:>6} {found.cut_off:>4} {found.cut_off_heard:>5} {len(found.failures):>6} | "
        f"{share['edge']:>5.1f} {share['worker']:>6.1f} {share['nats']:>5.1f} {each:>5.2f} {share['triton']:>6.1f} | "
        f"{memory:>7} | {found.gap_ms:>5.0f} | {100 * ours(run).wait_s / run.wall_s:>5.1f} "
        f"{100 * others_share(run, ours(run)):>7.1f} {found.late_p99_ms:>6.1f}"
    )


LEGEND = """\
p50, p95, max: ms from the last speech sample to the first audio of the answer, over the known parts
paused: turns with a pause inside
cut, heard: turns taken to be over in a pause; those of them that were answered aloud before the user went on
edge, worker, nats, triton: % of one core while all sessions talk; each: the first three together, per session
MB each: growth of the first three's anonymous memory over the first row, per session
gap: ms, the longest that a player without a jitter buffer ran dry; wait%: time that their threads waited for a core
others%: what everybody else took of that core; late99: ms, how late the client sent its frames (p99)"""


def conditions_said(conditions: Conditions, run: Run) -> str:
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}; {cores()}\n"
        f"known parts: {parts_said(run.report['known_ms'])}; {conditions.pauses:.0%} of the utterances have a pause of "
        f"300-800 ms inside; settings {json.dumps({**ADDING_UP, **conditions.settings})}"
    )


async def _density(conditions: Conditions) -> int:
    runs: list[Run] = []
    for sessions in sorted(conditions.sessions):
        run = await measure(conditions, sessions, sessions)
        if not runs:
            print(f"{conditions_said(conditions, run)}\n\n{HEADER}")
        print(row(run, runs[0] if runs else None), flush=True)
        runs.append(run)
    print(f"\n{LEGEND}\n")
    if {**ADDING_UP, **conditions.settings}["speculation"] != "off":
        for run in runs:
            if run.prepared is not None:
                print(f"with {len(run.report['sessions'])} sessions {bench_prepared.said(run.prepared)}")
    found = [figures(run.report) for run in runs]
    for each in found:
        for failure in sorted(set(each.failures))[:5]:
            print(f"failed with {each.sessions} sessions: {failure} ({each.failures.count(failure)} times)")
    best = largest_within(found, ALLOWED_MS)
    print(f"p95 stays within {ALLOWED_MS:g} ms of the first row's up to {best} sessions (of those tried)")
    if conditions.past and best:
        await _past(conditions, best, next(each for each in found if each.sessions == best))
    return 1 if any(each.failures for each in found) else 0


async def _past(conditions: Conditions, sessions: int, before: Figures) -> None:
    """One session past the limit, a few times over, while all others talk."""
    run = await measure(conditions, sessions, sessions, past=3)
    found = figures(run.report)
    print(row(run, None))
    slowest = max(probe["seconds"] for probe in run.report["probes"]) * 1000
    codes = ", ".join(sorted({probe["code"] or "taken" for probe in run.report["probes"]}))
    print(
        f"one past a limit of {sessions}: {codes} after {slowest:.0f} ms at most; p95 of the others {found.p95:.1f} ms "
        f"over the known parts ({before.p95:.1f} without)"
    )


def bench_density(conditions: Conditions) -> int:
    try:
        return asyncio.run(_density(conditions))
    except (StackFailed, ClientFailed, TritonMissing, NoPortError, NoAnswerError, OSError) as failure:
        print(f"parley: {failure}", file=sys.stderr)
        return 1

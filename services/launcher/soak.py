"""A soak's other half: the memory of every server process while it runs, and what is held when everybody has gone."""

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from services.launcher import bench_processes, http
from services.launcher.bench_stack import OURS, Standins

MIB = 1024 * 1024
EVERY_S = 2.0
WARM_SHARE = 0.3
"""Of the run, at its beginning: caches and pools fill then, and nothing is said of it."""
FEWEST_POINTS = 10
MOST_POINTS = 300
"""The fit looks at every pair."""
ALLOWED_MIB_PER_HOUR = 12.0
ALLOWED_MIB = 3.0
"""And so much whatever the slope: a short run's pools are still filling."""
GONE_WITHIN_S = 30.0
"""The stack's grace, and then some."""
NOBODYS = ("parley_sessions", "parley_edge_connections", "parley_edge_downlink_queue_bytes")
"""Gauges that are 0 when nobody is there."""
SPARE = 4
"""Subscriptions and open files that a process may have more than before: some are made on first use."""
UNSEEN = -1.0
CONNECTIONS, SUBSCRIPTIONS, FILES = "NATS connections", "NATS subscriptions", "open files of"

Point = tuple[float, float]
Holdings = Mapping[str, float]
"""What is held, by name."""


@dataclass(frozen=True)
class Growth:
    """Of one process after the warm-up."""

    part: str
    pid: int
    at_first_mib: float
    """By the fit."""
    mib_per_hour: float
    minutes: float
    """What the slope is over; 0: the process ended, or was seen too few times."""

    @property
    def grown_mib(self) -> float:
        return self.mib_per_hour * self.minutes / 60

    @property
    def flat(self) -> bool:
        return self.minutes > 0 and self.grown_mib <= max(ALLOWED_MIB, ALLOWED_MIB_PER_HOUR * self.minutes / 60)


@dataclass
class Watched:
    """One process's memory over the run."""

    part: str
    pid: int
    points: list[Point] = field(default_factory=list[Point])
    """Seconds and MiB."""
    lived: bool = True
    """To the end."""

    def look(self, at: float) -> None:
        size = bench_processes.usage(self.pid).memory_bytes
        self.lived = size > 0
        if self.lived:
            self.points.append((at, size / MIB))


def line(points: Sequence[Point]) -> Point:
    """The line through the points as Theil and Sen fit it, which a quarter of outliers does not move: its height where
    they begin, and its slope."""
    thinned = points[:: -(-len(points) // MOST_POINTS)]
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for at, earlier in enumerate(thinned)
        for later in thinned[at + 1 :]
    ]
    slope = statistics.median(slopes)
    begun = points[0][0]
    return statistics.median(size - slope * (at - begun) for at, size in thinned), slope


def growth(watched: Watched) -> Growth:
    points = watched.points
    if len(points) < FEWEST_POINTS or not watched.lived:
        return Growth(watched.part, watched.pid, points[-1][1] if points else 0.0, 0.0, 0.0)
    begun, ended = points[0][0], points[-1][0]
    warm = [point for point in points if point[0] >= begun + WARM_SHARE * (ended - begun)]
    at_first, slope = line(warm)
    return Growth(watched.part, watched.pid, at_first, slope * 3600, (warm[-1][0] - warm[0][0]) / 60)


async def watch(processes: Mapping[str, Sequence[int]], every_s: float = EVERY_S) -> list[Watched]:
    """Until it is cancelled, which is how it gives what it saw."""
    watched = [Watched(part, pid) for part, pids in processes.items() if part for pid in pids]
    begun = time.monotonic()
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            for one in watched:
                one.look(time.monotonic() - begun)
            await asyncio.sleep(every_s)
    return watched


# --- What is held ------------------------------------------------------------------------------------------------


async def holdings(stack: Standins) -> Holdings:
    """Sessions, connections, subscriptions and open files. What cannot be asked is UNSEEN."""
    held: dict[str, float] = dict.fromkeys(NOBODYS, UNSEEN)
    for url in (stack.worker_metrics, f"http://127.0.0.1:{stack.port}/metrics"):
        with contextlib.suppress(http.NoAnswerError):
            _, body = await http.get(url, 5.0)
            for name, value in gauges(body.decode()).items():
                held[name] = max(held[name], value)
    for name, path, key in (
        ("connections", "connz", "num_connections"),
        ("subscriptions", "subsz", "num_subscriptions"),
    ):
        held[f"NATS {name}"] = UNSEEN
        with contextlib.suppress(http.NoAnswerError):
            _, body = await http.get(f"{stack.nats_monitor}/{path}", 5.0)
            held[f"NATS {name}"] = json.loads(body)[key]
    for part in OURS:
        held[f"{FILES} {part}"] = sum(bench_processes.open_files(pid) for pid in stack.processes[part])
    return held


def gauges(text: str) -> Holdings:
    """Those of NOBODYS, from `/metrics`."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in NOBODYS
    }


async def left(stack: Standins, before: Holdings, users: int) -> Holdings:
    """What is held once all have gone and their grace is over, or once that has taken too long."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while True:
        held = await holdings(stack)
        if not leaked(before, held, users) or time.monotonic() > deadline:
            return held
        await asyncio.sleep(0.5)


def leaked(before: Holdings, held: Holdings, users: int) -> list[str]:
    """What is still held that was not before; what nobody could look at may be.

    Connections to models are kept for whoever comes next, at most one for each of the users who were there at once.
    """
    spare = dict.fromkeys(held, 0)
    for name in held:
        if name.startswith(FILES):
            spare[name] = SPARE + users
        elif name == SUBSCRIPTIONS:
            spare[name] = SPARE
    return [
        name for name, count in held.items() if UNSEEN in (count, before[name]) or count > before[name] + spare[name]
    ]


# --- What came of it ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Soaked:
    """What a soak has shown."""

    users: int
    """At once."""
    grown: Sequence[Growth]
    before: Holdings
    held: Holdings
    """Afterwards."""

    @property
    def leaked(self) -> list[str]:
        return leaked(self.before, self.held, self.users)

    @property
    def sound(self) -> bool:
        """Flat, and nothing left behind."""
        return bool(self.grown) and all(one.flat for one in self.grown) and not self.leaked


def said(soaked: Soaked) -> str:
    lines = [f"{'memory after the warm-up':<26}{'MiB':>8}{'MiB/hour':>10}{'over min':>10}{'grown':>8}"]
    lines += [
        f"{f'{one.part} ({one.pid})':<26}{one.at_first_mib:>8.1f}{one.mib_per_hour:>10.2f}{one.minutes:>10.1f}"
        f"{one.grown_mib:>8.2f}  {'flat' if one.flat else 'NOT FLAT'}"
        for one in soaked.grown
    ]
    lines += ["", f"{'held':<36}{'before':>8}{'after':>8}"]
    lines += [
        f"{name:<36}{soaked.before[name]:>8g}{count:>8g}{'  LEFT BEHIND' if name in soaked.leaked else ''}"
        for name, count in soaked.held.items()
    ]
    lines.append("memory is flat, nothing is left behind" if soaked.sound else "MISSED: see above")
    return "\n".join(lines)


def write(folder: Path, watched: Sequence[Watched], soaked: Soaked) -> None:
    """memory.csv with every point, memory.json with what came of them."""
    rows = [f"{at:.1f},{one.part},{one.pid},{mib:.3f}" for one in watched for at, mib in one.points]
    (folder / "memory.csv").write_text("\n".join(["seconds,part,pid,mib", *rows]) + "\n")
    summary = {
        "sound": soaked.sound,
        "leaked": soaked.leaked,
        "before": dict(soaked.before),
        "after": dict(soaked.held),
        "processes": [{**asdict(one), "grown_mib": one.grown_mib, "flat": one.flat} for one in soaked.grown],
    }
    (folder / "memory.json").write_text(json.dumps(summary, indent=2) + "\n")

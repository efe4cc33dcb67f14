"""The load test's client process, and what the server's processes used while it talked."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.launcher import bench_processes
from services.launcher.bench_prepared import Prepared
from services.launcher.bench_processes import Usage
from services.launcher.bench_stack import ROOT

LONGEST_S = 400.0
LINE_BYTES = 64 * 2**20
"""The report is one line."""


class ClientFailed(RuntimeError):
    """The client ended without a report; the text is what it said."""


@dataclass(frozen=True)
class Sample:
    at: float
    parts: Mapping[str, Usage]
    core_busy_s: float
    """Of the server's core."""


@dataclass(frozen=True)
class Run:
    """What one run of the client gave."""

    report: Mapping[str, Any]
    """As `loadtest.client` describes it."""
    before: Sample
    after: Sample
    """The ends of the time in which all talkers talked; of the whole run where there was no such time."""
    prepared: Prepared | None = None
    """What the server prepared in pauses from begin to end; None where it does not say."""

    @property
    def wall_s(self) -> float:
        return self.after.at - self.before.at

    def used(self, part: str) -> Usage:
        return self.after.parts[part].since(self.before.parts[part])


def sampler(processes: Mapping[str, list[int]], core: int) -> Callable[[], Sample]:
    def sample() -> Sample:
        parts = {name: bench_processes.total(pids) for name, pids in processes.items()}
        return Sample(time.monotonic(), parts, bench_processes.core_busy(core))

    return sample


def window(samples: Mapping[str, Sample]) -> tuple[Sample, Sample]:
    """From when the last talker began to when the first was done; from begin to end if that was not after it."""
    ramped, done = samples.get("ramped"), samples.get("first_done")
    if ramped is not None and done is not None and done.at - ramped.at > 1.0:
        return ramped, done
    return samples["begin"], samples["end"]


async def run(
    arguments: Sequence[str],
    sample: Callable[[], Sample],
    cores: Sequence[int],
    environment: Mapping[str, str],
    count: Callable[[], Awaitable[Prepared]] | None = None,
    python: str = sys.executable,
) -> Run:
    """Run the client to its end, on these cores. `count`: how to ask the server what it has prepared so far.

    Raises ClientFailed.
    """
    process = await asyncio.create_subprocess_exec(
        *(python, "-m", "loadtest.client", *arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    bench_processes.pin([process.pid], cores)
    complaints = asyncio.create_task(process.stderr.read())
    samples: dict[str, Sample] = {}
    report: Mapping[str, Any] | None = None
    before: Prepared | None = None
    try:
        async with asyncio.timeout(LONGEST_S):
            async for line in process.stdout:
                said = json.loads(line)
                if "at" in said:
                    samples[said["at"]] = sample()
                    if said["at"] == "begin" and count is not None:
                        before = await count()
                report = said.get("report", report)
            await process.wait()
    except TimeoutError:
        raise ClientFailed(f"the client was not done within {LONGEST_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        said_last = (await complaints).decode(errors="replace")
    if report is None:
        raise ClientFailed(f"the client ended with status {process.returncode}:\n{said_last[-2000:]}")
    prepared = (await count()).since(before) if count is not None and before is not None else None
    return Run(report, *window(samples), prepared)

"""`parley bench speculation`: what preparing the answer in the pause wins, and what it costs; off and on in turn."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.launcher.bench_client import ClientFailed, Run
from services.launcher.bench_density import HEADER, Conditions, conditions_said, measure, row
from services.launcher.bench_figures import figures, merged
from services.launcher.bench_prepared import said
from services.launcher.bench_stack import StackFailed
from services.launcher.http import NoAnswerError
from services.launcher.ports import NoPortError
from services.launcher.triton import TritonMissing

ROUNDS = 2
"""Off, on, off, on: what the machine did meanwhile hits both."""
SILENCE = "silence"
"""The known part that is not work."""


@dataclass(frozen=True)
class Gain:
    """Milliseconds. The medians of last speech sample to first audio."""

    off_ms: float
    on_ms: float
    silence_ms: float
    upstream_ms: float
    """Recognition, language model and voice until the first chunk."""

    @property
    def won_ms(self) -> float:
        return self.off_ms - self.on_ms

    @property
    def possible_ms(self) -> float:
        """No more work than there is can run within the silence, and no longer than it lasts."""
        return min(self.silence_ms, self.upstream_ms)

    @property
    def share(self) -> float:
        return self.won_ms / self.possible_ms


def gain(off: Sequence[Any], on: Sequence[Any]) -> Gain:
    """From the client's reports."""
    known = off[0]["known_ms"]
    total = sum(known.values())
    without, with_it = figures(merged(off)), figures(merged(on))
    return Gain(without.p50 + total, with_it.p50 + total, known[SILENCE], total - known[SILENCE])


def report(off: Sequence[Run], on: Sequence[Run]) -> str:
    found = gain([run.report for run in off], [run.report for run in on])
    possible = f"min(silence {found.silence_ms:g}, upstream latency {found.upstream_ms:g})"
    lines = [
        f"last speech sample to first audio, p50: off {found.off_ms:.0f} ms, on {found.on_ms:.0f} ms",
        f"won: {found.won_ms:.0f} ms, {found.share:.0%} of {possible}",
    ]
    for name, runs in (("off", off), ("on", on)):
        one = figures(merged([run.report for run in runs]))
        lines.append(
            f"{name}: of {one.turns} turns, {one.paused} of them with a pause inside, {one.cut_off} were cut off and "
            f"{one.cut_off_heard} of these were heard to be answered; "
            f"failed turns: {len(one.failures)}"
        )
        lines += sorted(set(one.failures))[:5]
    for run in on:
        if run.prepared is not None:
            lines.append(said(run.prepared))
    return "\n".join(lines)


async def _speculation(conditions: Conditions) -> int:
    [sessions] = conditions.sessions
    runs: dict[str, list[Run]] = {"off": [], "on": []}
    for number in range(ROUNDS):
        for name, done in runs.items():
            one = replace(conditions, settings={**conditions.settings, "speculation": name}, seed=number + 1)
            run = await measure(one, sessions, sessions)
            if not number and name == "off":
                print(f"{conditions_said(conditions, run)}\nspeculation off and on in turn\n\n{'':<4}{HEADER}")
            print(f"{name:<4}{row(run, None)}", flush=True)
            done.append(run)
    print(f"\n{report(runs['off'], runs['on'])}")
    return 1 if any(figures(run.report).failures for done in runs.values() for run in done) else 0


def bench_speculation(conditions: Conditions) -> int:
    try:
        return asyncio.run(_speculation(conditions))
    except (StackFailed, ClientFailed, TritonMissing, NoPortError, NoAnswerError, OSError) as failure:
        print(f"parley: {failure}", file=sys.stderr)
        return 1

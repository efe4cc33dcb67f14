"""`parley bench bargein`: how soon the page is silent when somebody talks over the answer, and what history keeps."""

import asyncio
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from services.launcher.bench_client import ClientFailed
from services.launcher.bench_density import Conditions, conditions_said, measure
from services.launcher.bench_figures import percentile
from services.launcher.bench_stack import StackFailed
from services.launcher.http import NoAnswerError
from services.launcher.ports import NoPortError
from services.launcher.triton import TritonMissing

By = Literal["voice", "command"]
LONGEST_WORD = 12
"""History ends at a word: so many characters around what was heard may be kept or missing."""


@dataclass(frozen=True)
class Interruptions:
    """Of one run. Milliseconds from the interruption on."""

    silent_ms: Sequence[float]
    flushed_ms: Sequence[float]
    stale_samples: int
    """Audio of interrupted answers that came after their flush."""
    false_pauses: int
    wrong_histories: Sequence[str]
    failures: Sequence[str]


def history_agrees(kept: str, reply: str, heard_s: float, character_s: float) -> bool:
    """Whether what history kept of the reply is its beginning, to the word where the listener stopped hearing."""
    return reply.startswith(kept) and abs(len(kept) - heard_s / character_s) <= LONGEST_WORD


def interruptions(report: Mapping[str, Any]) -> Interruptions:
    turns = [turn for session in report["sessions"] for turn in session["turns"]]
    interrupted = [turn for turn in turns if turn["flushed_s"] is not None]
    reply = report["reply"]
    wrong = [
        f"{turn['kept']!r} after {turn['acknowledged'] / reply['sample_rate']:.2f} s"
        for turn in interrupted
        if not history_agrees(
            turn["kept"], reply["text"], turn["acknowledged"] / reply["sample_rate"], reply["character_s"]
        )
    ]
    return Interruptions(
        silent_ms=[turn["silent_s"] * 1000 for turn in interrupted],
        flushed_ms=[turn["flushed_s"] * 1000 for turn in interrupted],
        stale_samples=sum(turn["late_samples"] for turn in turns),
        false_pauses=sum(turn["false_pauses"] for turn in turns),
        wrong_histories=wrong,
        failures=[turn["failure"] for turn in turns if turn["failure"]],
    )


def report(found: Interruptions, by: By) -> str:
    start = "the first sample of speech" if by == "voice" else "the command"
    lines = [f"{f'ms from {start}':<44}{'p50':>8}{'p95':>8}{'max':>8}"]
    for name, values in (("to silence", found.silent_ms), ("to audio_flush", found.flushed_ms)):
        cells = (percentile(values, 0.5), percentile(values, 0.95), max(values, default=math.nan))
        lines.append(f"{name:<44}" + "".join(f"{cell:>8.1f}" for cell in cells))
    lines += [
        "",
        f"interruptions: {len(found.flushed_ms)}; failed turns: {len(found.failures)}",
        f"pauses for nothing, or taken back: {found.false_pauses}",
        f"audio of an answer after its flush: {found.stale_samples} samples",
        f"histories that are not what was acknowledged: {len(found.wrong_histories)}",
        *found.wrong_histories[:5],
        *sorted(set(found.failures))[:5],
    ]
    return "\n".join(lines)


async def _bargein(conditions: Conditions, by: By) -> int:
    [sessions] = conditions.sessions
    if by == "voice":
        conditions = replace(conditions, settings={"duplex": "full", **conditions.settings})
    run = await measure(conditions, sessions, sessions, barge=by)
    print(f"{conditions_said(conditions, run)}\n{sessions} sessions, each answer interrupted by {by} after 2 s\n")
    found = interruptions(run.report)
    print(report(found, by))
    return 1 if found.failures or found.wrong_histories or not found.flushed_ms else 0


def bench_bargein(conditions: Conditions, by: By) -> int:
    try:
        return asyncio.run(_bargein(conditions, by))
    except (StackFailed, ClientFailed, TritonMissing, NoPortError, NoAnswerError, OSError) as failure:
        print(f"parley: {failure}", file=sys.stderr)
        return 1

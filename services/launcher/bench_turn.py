"""`parley bench turn`: how long after the user's last word the answer sounds, over real spoken turns."""

import asyncio
import os
import platform
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from services.contracts.settings import SettingsPatch
from services.launcher import bench_stack
from services.launcher.bench_density import ADDING_UP
from services.launcher.bench_figures import percentile
from services.launcher.bench_stack import StackFailed
from services.launcher.ports import NoPortError
from services.launcher.running import CONVERSATION
from services.launcher.talker import Answer, Talker, TalkFailed, read_speech
from services.launcher.triton import TritonMissing

Measured = tuple[list[Answer], list[str], float]
SPEECH = Path(__file__).parents[2] / "loadtest" / "speech"


async def measure(url: str, turns: int, settings: SettingsPatch) -> Measured:
    """Turns spoken one after the other in one session: the answers, what failed, the client's worst lateness."""
    sentences = sorted(SPEECH.glob("*.wav"))
    answers: list[Answer] = []
    failures: list[str] = []
    async with Talker(url, settings, "bench turn") as talker:
        await talker.listen()
        await asyncio.sleep(0.5)
        for number in range(turns + 1):
            try:
                answer = await talker.say(read_speech(sentences[number % len(sentences)]))
            except TalkFailed as failure:
                failures.append(f"turn {number}: {failure}")
                break
            if number:  # the first turn warms caches that any conversation has warm from then on
                answers.append(answer)
                if answer.latency_s is None or answer.errors:
                    failures.append(f"turn {number}: {answer.errors or 'no audio'}")
    return answers, failures, talker.lateness_s


def report(answers: list[Answer], failures: list[str], lateness_s: float, silence_ms: int, who: str) -> str:
    """The table with its conditions. `who`: where the answers came from."""
    lines = [
        f"{len(answers)} spoken turns in one session, {who}, end-of-turn silence {silence_ms} ms,",
        (
            f"{os.cpu_count()} CPUs, Python {platform.python_version()};"
            f" the client's worst lateness {lateness_s * 1000:.1f} ms"
        ),
        "",
        f"{'ms':<44}{'p50':>8}{'p95':>8}{'max':>8}",
    ]

    def row(name: str, values: list[float]) -> None:
        if values:
            cells = (statistics.median(values), percentile(values, 0.95), max(values))
            lines.append(f"{name:<44}" + "".join(f"{cell:>8.1f}" for cell in cells))

    latencies = [answer.latency_s * 1000 for answer in answers if answer.latency_s is not None]
    row("last speech sample to first audio", latencies)
    row("  of which over the silence setting", [latency - silence_ms for latency in latencies])
    metrics = [answer.metrics for answer in answers if answer.metrics]
    names = list(dict.fromkeys(part.name for one in metrics for part in one.parts))
    for name in names:
        row(f"  part: {name}", [part.ms for one in metrics for part in one.parts if part.name == name])
    row("longest gap within an answer", [answer.worst_gap_s * 1000 for answer in answers])
    lines += ["", f"failed turns: {len(failures)}", *failures]
    return "\n".join(lines)


def bench_turn(url: str, turns: int, silence_ms: int) -> int:
    # The silence that was asked for and no other, so that what is over it is ours.
    settings = SettingsPatch(response_mode="template", silence_ms=silence_ms, adaptive_silence=False)
    return _printed(lambda: measure(url, turns, settings), silence_ms, "template answers")


def bench_turn_standins(turns: int, silence_ms: int, given: Mapping[str, object]) -> int:
    """The same on a stack of its own with stand-ins for the models."""
    settings = msgspec.convert({**ADDING_UP, "silence_ms": silence_ms, **given}, SettingsPatch)

    async def on_a_stack() -> Measured:
        async with bench_stack.running(1, {}) as stack:
            return await measure(f"ws://127.0.0.1:{stack.port}{CONVERSATION}", turns, settings)

    return _printed(on_a_stack, silence_ms, "stand-ins for the models")


def _printed(measuring: Callable[[], Awaitable[Measured]], silence_ms: int, who: str) -> int:
    async def run() -> Measured:
        return await measuring()

    try:
        answers, failures, lateness = asyncio.run(run())
    except (TalkFailed, StackFailed, TritonMissing, NoPortError, OSError) as failure:
        print(f"parley: {failure}", file=sys.stderr)
        return 1
    print(report(answers, failures, lateness, silence_ms, who))
    return 1 if failures or not answers else 0

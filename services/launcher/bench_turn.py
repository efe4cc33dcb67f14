"""`parley bench turn`: how long after the user's last word the answer sounds, over real spoken turns."""

import asyncio
import os
import platform
import statistics
import sys
from pathlib import Path

from services.contracts.settings import SettingsPatch
from services.launcher.bench_figures import percentile
from services.launcher.talker import Answer, Talker, TalkFailed, read_speech

SPEECH = Path(__file__).parents[2] / "loadtest" / "speech"


async def measure(url: str, turns: int, silence_ms: int) -> tuple[list[Answer], list[str], float]:
    """Turns spoken one after the other in one session: the answers, what failed, the client's worst lateness."""
    sentences = sorted(SPEECH.glob("*.wav"))
    answers: list[Answer] = []
    failures: list[str] = []
    settings = SettingsPatch(response_mode="template", silence_ms=silence_ms)
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


def report(answers: list[Answer], failures: list[str], lateness_s: float, silence_ms: int) -> str:
    """The table with its conditions."""
    lines = [
        f"{len(answers)} spoken turns in one session, template answers, end-of-turn silence {silence_ms} ms,",
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
    try:
        answers, failures, lateness = asyncio.run(measure(url, turns, silence_ms))
    except (TalkFailed, OSError) as failure:
        print(f"parley: {failure}", file=sys.stderr)
        return 1
    print(report(answers, failures, lateness, silence_ms))
    return 1 if failures or not answers else 0

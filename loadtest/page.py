"""A load test's report as one HTML page that needs nothing from anywhere. Pure."""

import html
import math
from collections.abc import Sequence

from loadtest import plots
from loadtest.samples import Samples, part_names
from loadtest.verdict import JITTER_BUFFER_MS, Spread, Summary

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5c6875; --line: #d5dbe1; --back: #ffffff; --a: #2563c4;
  --b: #d9822b; --bad: #b3261e; --good: #1b7f4b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaef; --soft: #9aa7b4; --line: #35404c; --back: #12171d;
  --a: #6ea8fe; --b: #f0a65a; --bad: #ff8a80; --good: #6fd09b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .text { text-align: left; }
.missed, .invalid { color: var(--bad); font-weight: 600; } .passed { color: var(--good); font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 11px; }
svg .axis { stroke: var(--line); } svg .limit { stroke: var(--bad); stroke-dasharray: 5 4; }
svg .a { fill: var(--a); } svg .b { fill: var(--b); } svg .bad { fill: var(--bad); }
svg .step { fill: none; stroke: var(--a); stroke-width: 1.5; } .soft { color: var(--soft); }
"""
_DOTS = (
    "One dot a turn: when its speech was to end, and how long after that the client heard the first audio of the "
    "answer. Failed turns are red, at the time that was waited for them. The broken line is the limit for the 95th "
    "percentile."
)


def page(summary: Summary, samples: Samples) -> str:
    turns = [turn for turn in samples.turns if turn.latency_ms is not None and not turn.unfinished]
    began = min((session.at for session in samples.sessions), default=0.0)
    good = [(turn.ended_at - began, turn.latency_ms or 0.0) for turn in turns if not turn.failure]
    bad = [(turn.ended_at - began, turn.latency_ms or 0.0) for turn in turns if turn.failure]
    there = [
        (session.at - began, session.until - began)
        for session in samples.sessions
        if session.outcome in ("done", "stopped")
    ]
    refused = [session.at - began for session in samples.sessions if session.outcome == "refused"]
    hops = [(name, summary.parts[name].p50, summary.parts[name].p95) for name in part_names(samples.turns)]
    sections = [
        f'<h1>Parley load test: <span class="{summary.result}">{summary.result}</span></h1>',
        _table(
            ("threshold", "found", "wanted", "met"),
            [(check.what, check.found, check.wanted, "yes" if check.met else "no") for check in summary.checks],
        ),
        "<h2>First audio over time</h2>",
        f'<p class="soft">{_DOTS}</p>',
        plots.dots(good, bad, summary.limits.first_audio_p95_ms),
        "<h2>First audio, how often</h2>",
        plots.histogram([latency for _, latency in good]),
        "<h2>Percentiles by hop</h2>",
        '<p class="soft">Blue is the median, orange the 95th percentile, by the server\'s ledger of each turn.</p>',
        plots.bars(hops),
        _table(
            ("ms", "count", "p50", "p95", "p99", "max"),
            [
                _spread("end of speech to first audio, as heard", summary.first_audio),
                *(_spread(f"{kind} users", found) for kind, found in summary.by_kind.items()),
                _spread("the same by the server's ledger", summary.server_total),
                *(_spread(name, found) for name, found in summary.parts.items()),
                _spread("interruption to silence", summary.interruption_to_silence),
                _spread("wanting a session to having it", summary.opening),
                _spread("wanting a session to being refused", summary.refusal),
                _spread("generator: frames sent late", summary.lateness),
            ],
        ),
        "<h2>Sessions at once</h2>",
        '<p class="soft">The marks below are refused ones.</p>',
        plots.steps(there, refused),
        "<h2>Counts</h2>",
        _table(("what", "how many", "which"), _counts(summary)),
        "<h2>Conditions</h2>",
        _table(("what", "how"), list(summary.conditions.items())),
    ]
    head = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Parley load test: {summary.result}</title>\n<style>{_STYLE}</style>\n"
    )
    return head + "\n".join(sections) + "\n</html>\n"


def _counts(summary: Summary) -> list[tuple[str, str, str]]:
    return [
        ("sessions", str(summary.sessions), ""),
        ("refused", str(summary.refused), _listed(summary.refusals)),
        ("failed sessions", str(sum(summary.failed_sessions.values())), _listed(summary.failed_sessions)),
        ("reconnects", str(summary.reconnects), ""),
        ("turns", str(summary.turns), ""),
        ("failed turns", str(summary.failed_turns), _listed(summary.failures)),
        ("taken to be over too early", str(summary.cut_off), ""),
        (
            f"answers within which a player ran dry for over {JITTER_BUFFER_MS:g} ms",
            str(summary.underruns),
            f"the longest {summary.worst_gap_ms:.0f} ms",
        ),
        ("errors told", str(sum(summary.troubles.values())), _listed(summary.troubles)),
    ]


def _spread(name: str, found: Spread) -> Sequence[str]:
    cells = (found.p50, found.p95, found.p99, found.max)
    return [name, str(found.count), *("" if math.isnan(cell) else f"{cell:.1f}" for cell in cells)]


def _listed(counts: dict[str, int]) -> str:
    return "; ".join(f"{what}: {count}" for what, count in counts.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    styles = [_style(cell) for cell in rows[0]] if rows else [""] * len(head)
    cells = "".join(f'<th class="{style}">{html.escape(cell)}</th>' for style, cell in zip(styles, head, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f'<td class="{_style(cell)}">{html.escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table>\n<tr>{cells}</tr>\n{body}\n</table>"


def _style(cell: str) -> str:
    """Words to the left, numbers to the right; what was missed stands out."""
    if cell == "no":
        return "text missed"
    return "" if cell.replace(".", "", 1).replace("-", "", 1).isdigit() else "text"

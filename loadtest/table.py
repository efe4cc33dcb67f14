"""A load test's figures as a table for a terminal. Pure."""

import math

from loadtest.verdict import Spread, Summary

_HEADER = f"{'ms':<44}{'turns':>8}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}"


def table(summary: Summary) -> str:
    lines = [f"{name}: {value}" for name, value in summary.conditions.items()]
    lines += ["", _HEADER, _row("end of speech to first audio, as heard", summary.first_audio)]
    if summary.first_audio_alone.count:
        lines.append(_row("  by one session alone, before the load", summary.first_audio_alone))
    lines += [_row(f"  {kind} users", found) for kind, found in summary.by_kind.items()]
    lines.append(_row("the same by the server's ledger", summary.server_total))
    lines += [_row(f"  {name}", found) for name, found in summary.parts.items()]
    if summary.interruption_to_silence.count:
        lines.append(_row("interruption to silence", summary.interruption_to_silence))
    lines += ["", _HEADER.replace("turns", "count"), _row("wanting a session to having it", summary.opening)]
    if summary.refusal.count:
        lines.append(_row("wanting a session to being refused", summary.refusal))
    lines.append(_row("generator: frames sent late", summary.lateness, 1))
    failed_sessions = sum(summary.failed_sessions.values())
    sessions = (
        f"sessions: {summary.sessions}, refused {summary.refused}{_listed(summary.refusals)}, failed {failed_sessions}"
        f"{_listed(summary.failed_sessions)}; reconnects {summary.reconnects}"
    )
    turns = (
        f"turns: {summary.turns}, failed {summary.failed_turns}{_listed(summary.failures)}, taken to be over too early "
        f"{summary.cut_off}, waited for at the end {summary.unfinished_turns}"
    )
    lines += [
        "",
        sessions,
        turns,
        f"answers within which a player ran dry: {summary.underruns}; the worst gap {summary.worst_gap_ms:.0f} ms",
    ]
    if summary.troubles:
        lines.append(f"errors told{_listed(summary.troubles)}")
    width = max(len(check.what) for check in summary.checks)
    found = max(len(check.found) for check in summary.checks)
    lines.append("")
    lines += [
        f"{'ok' if check.met else 'MISSED':<7} {check.what:<{width}}  {check.found:<{found}}  {check.wanted}"
        for check in summary.checks
    ]
    lines.append(_VERDICTS[summary.result])
    return "\n".join(lines) + "\n"


_VERDICTS = {
    "passed": "PASSED",
    "missed": "MISSED: a threshold was not met",
    "invalid": "INVALID: the generator was too late to measure anything; give it a core or more workers",
}


def _row(name: str, found: Spread, digits: int = 0) -> str:
    cells = (found.p50, found.p95, found.p99, found.max)
    said = ("-" if math.isnan(cell) else f"{cell:.{digits}f}" for cell in cells)
    return f"{name:<44}{found.count:>8}" + "".join(f"{cell:>9}" for cell in said)


def _listed(counts: dict[str, int]) -> str:
    return f" ({'; '.join(f'{what}: {count}' for what, count in counts.items())})" if counts else ""

"""Plots as inline SVG. Pure; colours come from the page's style sheet."""

import html
import math
from collections.abc import Sequence

WIDTH, HEIGHT = 900, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 16, 28
MOST_DOTS = 20_000


def ticks(top: float, count: int = 5) -> list[float]:
    """Round numbers from 0 to the first that is `top` or more, about `count` of them."""
    if not 0 < top < math.inf:
        return [0.0, 1.0]
    raw = top / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw * (1 - 1e-9))
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


class _Frame:
    """Axes from 0 on, and where a value lies between them."""

    def __init__(self, x_top: float, y_top: float, x_unit: str, y_unit: str) -> None:
        self._xs, self._ys = ticks(x_top, 8), ticks(y_top)
        self._units = x_unit, y_unit

    def x(self, value: float) -> float:
        return round(_LEFT + value / self._xs[-1] * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - _BOTTOM - value / self._ys[-1] * (HEIGHT - _TOP - _BOTTOM), 1)

    def drawn(self, content: Sequence[str], label: str) -> str:
        x_unit, y_unit = self._units
        lines = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}">']
        for value in self._ys:
            y = self.y(value)
            lines.append(f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
            lines.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
        lines += [
            f'<text x="{self.x(value)}" y="{HEIGHT - 10}" text-anchor="middle">{value:g}</text>' for value in self._xs
        ]
        lines.append(f'<text x="4" y="{_TOP - 4}">{y_unit}</text>')
        lines.append(f'<text x="{WIDTH - 4}" y="{HEIGHT}" text-anchor="end">{x_unit}</text>')
        return "\n".join([*lines, *content, "</svg>"])


def dots(good: Sequence[tuple[float, float]], bad: Sequence[tuple[float, float]], limit: float) -> str:
    """Points (seconds, milliseconds) and a line at the limit. Of very many good ones an even choice."""
    shown = good[:: max(1, -(-len(good) // MOST_DOTS))]
    every = [*shown, *bad]
    frame = _Frame(max((x for x, _ in every), default=1.0), max([limit, *(y for _, y in every)]), "s", "ms")
    content = [f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{frame.y(limit)}" y2="{frame.y(limit)}"/>']
    for name, points in (("a", shown), ("bad", bad)):
        content += [f'<circle class="{name}" cx="{frame.x(x)}" cy="{frame.y(y)}" r="2"/>' for x, y in points]
    return frame.drawn(content, "first audio of each turn over time")


def histogram(values: Sequence[float], buckets: int = 60) -> str:
    top = ticks(max(values, default=1.0), 8)[-1]
    counts = [0] * buckets
    for value in values:
        counts[min(buckets - 1, int(value / top * buckets))] += 1
    frame = _Frame(top, max(counts), "ms", "turns")
    width, floor = frame.x(top / buckets) - frame.x(0), frame.y(0)
    content = [
        f'<rect class="a" x="{frame.x(number * top / buckets)}" y="{frame.y(count)}" width="{width - 1:.1f}" '
        f'height="{floor - frame.y(count):.1f}"/>'
        for number, count in enumerate(counts)
        if count
    ]
    return frame.drawn(content, "how often first audio took how long")


def bars(hops: Sequence[tuple[str, float, float]]) -> str:
    """A bar for the median and one for the 95th percentile of each hop."""
    row, left = 30, 170
    top = ticks(max((p95 for _, _, p95 in hops), default=1.0), 8)[-1]
    lines = [f'<svg viewBox="0 0 {WIDTH} {row * max(1, len(hops)) + 8}" role="img" aria-label="percentiles by hop">']
    for number, (name, p50, p95) in enumerate(hops):
        y = 4 + row * number
        lines.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{html.escape(name)}</text>')
        for offset, colour, value in ((2, "a", p50), (13, "b", p95)):
            length = round(max(0.0, value) / top * (WIDTH - left - 70), 1)
            lines.append(
                f'<rect class="{colour}" x="{left}" y="{y + offset}" width="{max(length, 1)}" height="10"/>'
                f'<text x="{left + length + 6}" y="{y + offset + 9}">{value:.1f}</text>'
            )
    return "\n".join([*lines, "</svg>"])


def steps(there: Sequence[tuple[float, float]], refused: Sequence[float]) -> str:
    """How many were there at each time, from when each came and went; a mark for each that was refused."""
    changes = sorted([(came, 1) for came, _ in there] + [(went, -1) for _, went in there])
    points, now, most = [(0.0, 0)], 0, 1
    for at, change in changes:
        points += [(at, now), (at, now + change)]
        now += change
        most = max(most, now)
    frame = _Frame(max([points[-1][0], *refused]), most, "s", "sessions")
    line = " ".join(f"{frame.x(x)},{frame.y(y)}" for x, y in points)
    content = [f'<polyline class="step" points="{line}"/>']
    content += [
        f'<rect class="bad" x="{frame.x(at)}" y="{HEIGHT - _BOTTOM + 1}" width="1" height="5"/>' for at in refused
    ]
    return frame.drawn(content, "sessions at once over time")

"""The tables of all metrics in docs/metrics.md, from the modules that define them.

`--check` fails when the document differs; `--write` brings it up to date.
"""

import sys
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from services.telemetry import metrics, model_metrics

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
BEGIN, END = "<!-- tables: make docs -->", "<!-- end of tables -->"
_KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram", Info: "info"}
_SUFFIXES = {Counter: "_total", Info: "_info"}
_HEAD = ["| metric | kind | labels | what |", "|---|---|---|---|"]


def tables() -> str:
    """One table per process, in the order of the modules."""
    ours = [value for value in vars(metrics).values() if type(value) in _KINDS]
    worker, edge = _names(metrics.WORKER), _names(metrics.EDGE)
    sections = {
        "Dialogue worker": [one for one in ours if one._name in worker - edge],
        "Edge": [one for one in ours if one._name in edge - worker],
        "Both": [one for one in ours if one._name in worker & edge],
    }
    lines: list[str] = []
    for title, listed in sections.items():
        lines += [f"## {title}", "", *_HEAD]
        for one in listed:
            name = one._name + _SUFFIXES.get(type(one), "")
            labels = ", ".join(f"`{label}`" for label in one._labelnames)
            lines.append(f"| `{name}` | {_KINDS[type(one)]} | {labels} | {one._documentation} |")
        lines.append("")
    for title, prefix in (("Recognition models", model_metrics.RECOGNITION), ("Voices", model_metrics.SYNTHESIS)):
        lines += [f"## {title}", "", *_HEAD]
        lines += [f"| `{one.name}` | {one.kind} | `model` | {one.description} |" for one in model_metrics.of(prefix)]
        lines.append("")
    return "\n".join(lines).rstrip()


def _names(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def document(text: str) -> str:
    """The document with its tables replaced. Raises ValueError when their marks are not there."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{DOCUMENT.name} needs the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{tables()}\n\n{END}{tail}"


def main(mode: str) -> int:
    now = DOCUMENT.read_text()
    wanted = document(now)
    if mode == "--write":
        DOCUMENT.write_text(wanted)
    elif now != wanted:
        print("docs/metrics.md is not what the modules of services/telemetry say; `make docs` brings it up to date")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "--check"))

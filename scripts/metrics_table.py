"""The tables of all metrics in docs/metrics.md, from the lists in `services/telemetry/`.

`--check` fails when the document differs; `--write` brings it up to date.
"""

import re
import sys
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

from services.telemetry import metrics, model_metrics

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram", Info: "info"}
SUFFIXES = {Counter: "_total", Info: "_info"}
HEAD = ["| metric | kind | labels | |", "|---|---|---|---|"]


def row(metric: MetricWrapperBase) -> str:
    name = f"{metric._name}{SUFFIXES.get(type(metric), '')}"
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    return f"| `{name}` | {KINDS[type(metric)]} | {labels} | {metric._documentation} |"


def tables() -> dict[str, str]:
    """The rows of each table, by the name in its mark."""
    found: dict[str, list[str]] = {"every": [], "worker": [], "edge": [], "models": []}
    own = {
        name: {family.name for family in registry.collect()}
        for name, registry in (("worker", metrics.WORKER), ("edge", metrics.EDGE))
    }
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            places = [name for name, names in own.items() if metric._name in names]
            found["every" if len(places) > 1 else places[0]].append(row(metric))
    for prefix in (model_metrics.RECOGNITION, model_metrics.SYNTHESIS):
        for name, kind, description in model_metrics.of(prefix):
            found["models"].append(f"| `{name}` | {kind} | `model` | {description} |")
    return {name: "\n".join([*HEAD, *rows]) for name, rows in found.items()}


def document(text: str) -> str:
    """The document with its tables replaced. Raises ValueError when one of them has no place in it."""
    made = tables()
    if missing := made.keys() - {name for _, name, _ in MARK.findall(text)}:
        raise ValueError(f"{DOCUMENT.name} has no place for the tables {', '.join(sorted(missing))}")
    return MARK.sub(lambda mark: f"{mark[1]}{made[mark[2]]}\n{mark[3]}", text)


def main(mode: str) -> int:
    now = DOCUMENT.read_text()
    wanted = document(now)
    if mode == "--write":
        DOCUMENT.write_text(wanted)
    elif now != wanted:
        print("docs/metrics.md is not what services/telemetry says; `make docs` brings it up to date")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "--check"))

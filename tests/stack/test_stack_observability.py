"""Every panel and every rule, asked of a real Prometheus that watches a stack under load."""

import asyncio
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus import RULES, Prometheus, watching
from prometheus_client import CollectorRegistry, Histogram

from services.launcher import bench_stack
from services.telemetry import health, metrics

ROOT = Path(__file__).parents[2]
TALKERS, TURNS = 3, 2
NOT_HERE = {"GPU": "the machines that run the tests have none", "GPU memory": "the same"}
"""Panels whose queries may be empty, and why."""


async def talk(port: int) -> dict[str, Any]:
    """The report of a few talkers."""
    command = ["-m", "loadtest.client", "--port", str(port), "--sessions", str(TALKERS), "--turns", str(TURNS)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0
    [report] = [line["report"] for line in map(json.loads, said.splitlines()) if "report" in line]
    return report


def panels() -> Iterator[tuple[str, str]]:
    """Title and query of every target in the committed JSON, as Grafana would ask it."""
    for path in sorted((ROOT / "observability" / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"].replace("$__rate_interval", "1m")


def wrong(found: Prometheus, expression: str) -> str:
    """What is wrong with a query's answer, or ""."""
    try:
        series = found.query(expression)
    except AssertionError as error:
        return str(error)
    if not series:
        return "is empty"
    values = [float(one["value"][1]) for one in series]
    # A percentile of what did not happen is no number, and so is a series of a model that was not asked.
    return "is not a number" if all(math.isnan(value) for value in values) else ""


@pytest.mark.timeout(240)
async def test_no_panel_and_no_rule_is_empty_or_wrong(tmp_path: Path):
    async with bench_stack.running(TALKERS + 1, {}) as stack:
        targets = {
            "edge": f"http://127.0.0.1:{stack.port}/metrics",
            "worker": stack.worker_metrics,
            "triton": stack.triton_metrics,
        }
        async with watching(tmp_path, targets) as prometheus:
            report = await talk(stack.port)
            turns = [turn for session in report["sessions"] for turn in session["turns"]]
            assert len(turns) == TALKERS * TURNS
            assert {target["health"] for target in prometheus.ask("/api/v1/targets")["activeTargets"]} == {"up"}
            await asyncio.sleep(2)  # the last turns are scraped, and the rules have seen them
            assert number(prometheus, "sum(parley_turn_first_audio_seconds_count)") >= len(turns)

            troubles = [
                f"{title}: {expression}: {trouble}"
                for title, expression in panels()
                if (trouble := wrong(prometheus, expression)) and title not in NOT_HERE
            ]
            assert not troubles, "\n".join(troubles)

            recorded = re.findall(r"record: (\S+)", (RULES / "recording.yaml").read_text())
            assert not [name for name in recorded if wrong(prometheus, name)]
            rules = [rule for group in prometheus.ask("/api/v1/rules")["groups"] for rule in group["rules"]]
            alerts = yaml.safe_load((RULES / "alerts.yaml").read_text())["groups"]
            assert len(rules) == len(recorded) + sum(len(group["rules"]) for group in alerts)
            assert not [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] != "ok"]

            # The hops sum to what the listeners felt, here as in each turn.
            ratio = "sum(parley_turn_part_seconds_sum) / sum(parley_turn_first_audio_seconds_sum)"
            assert number(prometheus, ratio) == pytest.approx(1, abs=0.01)
            assert 0 < number(prometheus, "parley:turn_first_audio_seconds:p95_5m") < 10
            assert number(prometheus, "parley:turns_missed:ratio_rate5m") < 1


def number(found: Prometheus, expression: str) -> float:
    [series] = found.query(expression)
    return float(series["value"][1])


async def test_a_slow_turn_leads_to_its_trace(tmp_path: Path):
    """Prometheus takes the exemplars of what we serve."""
    registry, trace_id = CollectorRegistry(), "4bf92f3577b34da6a3ce929d0e0e4736"
    turns = Histogram("parley_turn_first_audio_seconds", "Turns.", buckets=metrics.TURN_SECONDS, registry=registry)
    async with health.serve(lambda: "", registry, "127.0.0.1", 0) as port:
        async with watching(tmp_path, {"worker": f"http://127.0.0.1:{port}/metrics"}) as prometheus:
            turns.observe(2.2, {"trace_id": trace_id})
            asked = {"query": 'parley_turn_first_audio_seconds_bucket{le="2.5"}', "start": "0", "end": "9999999999"}
            async with asyncio.timeout(20):
                while not (found := await asyncio.to_thread(prometheus.ask, "/api/v1/query_exemplars", **asked)):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
    [exemplar] = found[0]["exemplars"]
    assert exemplar["labels"] == {"trace_id": trace_id}
    assert float(exemplar["value"]) == 2.2

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import generate_latest

from services.contracts.moments import PARTS
from services.telemetry import build, lateness, metrics, model_metrics

ROOT = Path(__file__).parents[2]
Metric = Counter | Gauge | Histogram | Info


def all_metrics() -> dict[str, Metric]:
    return {name: value for name, value in vars(metrics).items() if isinstance(value, Metric)}


def names(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def test_names_follow_one_convention():
    assert all_metrics()
    for name, metric in all_metrics().items():
        full = metric._name
        assert re.fullmatch(r"parley_[a-z][a-z0-9_]*", full), name
        assert metric._documentation.endswith("."), name
        if isinstance(metric, Histogram):
            assert full.endswith(("_seconds", "_real_time_factor", "_windows")), f"{name} does not name its unit"


def test_each_name_is_there_once():
    listed = [metric._name for metric in all_metrics().values()]
    assert len(listed) == len(set(listed))
    models = [*model_metrics.of(model_metrics.RECOGNITION), *model_metrics.of(model_metrics.SYNTHESIS)]
    assert not {metric.name for metric in models} & set(listed)


def test_each_process_serves_its_own_metrics_and_those_of_every_process():
    worker, edge, both = names(metrics.WORKER), names(metrics.EDGE), names(REGISTRY)
    assert {metric._name for metric in all_metrics().values()} <= worker | edge
    assert worker & edge == both
    assert {"parley_build", "parley_event_loop_late_seconds", "process_cpu_seconds"} <= both
    assert "parley_sessions" in worker - edge
    assert {name for name in edge - both if not name.startswith("parley_edge_")} == set()


def test_what_has_not_happened_yet_is_counted_as_0():
    text = generate_latest(metrics.WORKER).decode()
    for part, *_ in PARTS:
        assert f'parley_turn_part_seconds_count{{part="{part}"}}' in text
    assert 'parley_turns_total{outcome="failed"}' in text
    assert "_created" not in text


def test_turn_latencies_are_told_apart_around_the_objective():
    for buckets in (metrics.TURN_SECONDS, metrics.PART_SECONDS):
        assert {1.8, 2.0, 2.5} <= set(buckets), "how many turns kept the objective is counted, not interpolated"
        near = [edge for edge in buckets if 0.5 <= edge <= 2.0]
        assert max(upper - lower for lower, upper in pairwise(near)) < 0.21
        assert sorted(buckets) == list(buckets)
    assert min(metrics.PART_SECONDS) <= 0.001, "a hop within the cluster takes milliseconds"
    assert tuple(metrics.FIRST_AUDIO._kwargs["buckets"]) == metrics.TURN_SECONDS
    assert tuple(metrics.TURN_PART._kwargs["buckets"]) == metrics.PART_SECONDS


def test_a_process_says_what_it_runs():
    build.announce("test")
    assert re.search(r'parley_build_info\{.*service="test".*version="\d', generate_latest(REGISTRY).decode())


async def test_a_late_event_loop_is_noted(monkeypatch: pytest.MonkeyPatch):
    class Stop(Exception):
        pass

    class Loop:
        now = 0.0

        def time(self) -> float:
            return self.now

    loop, noted = Loop(), []

    async def sleep(seconds: float) -> None:
        if len(noted) == 2:
            raise Stop
        loop.now += seconds + (0.03 if noted else 0.0)

    monkeypatch.setattr(lateness.asyncio, "get_running_loop", lambda: loop)
    monkeypatch.setattr(lateness.asyncio, "sleep", sleep)
    monkeypatch.setattr(metrics.LOOP_LATE, "observe", noted.append)
    with pytest.raises(Stop):
        await lateness.watch()
    assert noted == [pytest.approx(0.0, abs=1e-9), pytest.approx(0.03)]


def test_the_document_lists_what_the_code_has():
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "metrics_table.py", "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

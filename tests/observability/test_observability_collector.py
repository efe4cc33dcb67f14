"""The collector's configuration by its structure; the collector itself is not run here."""

from pathlib import Path
from typing import Any

import yaml

from services.telemetry import names

CONFIGURATION: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "observability" / "collector" / "collector.yaml").read_text()
)
PIPELINES: dict[str, dict[str, list[str]]] = CONFIGURATION["service"]["pipelines"]


def test_pipelines_are_made_of_what_is_defined_and_all_of_it():
    connectors = set(CONFIGURATION["connectors"])
    used: set[str] = set()
    for pipeline in PIPELINES.values():
        for section, listed in pipeline.items():
            assert set(listed) <= set(CONFIGURATION[section]) | (connectors if section != "processors" else set())
            used |= set(listed)
    defined = {
        name for section in ("receivers", "processors", "exporters", "connectors") for name in CONFIGURATION[section]
    }
    assert used == defined
    assert CONFIGURATION["service"]["extensions"] == list(CONFIGURATION["extensions"])


def test_a_connector_ends_one_pipeline_and_begins_another():
    for name in CONFIGURATION["connectors"]:
        assert any(name in pipeline["exporters"] for pipeline in PIPELINES.values())
        assert any(name in pipeline["receivers"] for pipeline in PIPELINES.values())


def test_memory_is_limited_first_and_span_metrics_see_what_sampling_leaves_out():
    taking_in = [one for one in PIPELINES.values() if "otlp" in one["receivers"]]
    assert all(one["processors"][0] == "memory_limiter" for one in taking_in)
    [counted] = [one for one in PIPELINES.values() if "spanmetrics" in one["exporters"]]
    assert "tail_sampling" not in counted["processors"]
    assert "otlp" in counted["receivers"]


def test_errors_slow_turns_and_a_share_of_the_rest_are_kept():
    errors, slow, rest = CONFIGURATION["processors"]["tail_sampling"]["policies"]
    assert errors["status_code"]["status_codes"] == ["ERROR"]
    assert slow["ottl_condition"]["span"] == [f'attributes["{names.FIRST_AUDIO_MS}"] > 2000']
    assert 0 < rest["probabilistic"]["sampling_percentage"] < 100

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from observability.dashboards.__main__ import FOLDER, files
from observability.dashboards.all import DASHBOARDS
from observability.dashboards.panels import Dashboard, document
from services.contracts.moments import PARTS
from services.telemetry import metrics, model_metrics, names

RECORDED = re.findall(
    r"record: (\S+)", (Path(__file__).parents[2] / "observability" / "prometheus" / "recording.yaml").read_text()
)


def test_the_committed_json_is_what_the_code_says():
    committed = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert committed == files(), "`make dashboards` writes them anew"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
def test_panels_say_what_they_show_and_do_not_overlap(dashboard: Dashboard):
    titles = [panel.title for panel in dashboard.panels]
    assert len(titles) == len(set(titles))
    assert all(panel.what.endswith(".") for panel in dashboard.panels)
    taken: set[tuple[int, int]] = set()
    for panel in document(dashboard)["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"]) for x in range(place["w"])}
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells


def known() -> set[str]:
    suffixes = ("", "_bucket", "_sum", "_count", "_total", "_info")
    ours = [family.name for registry in (metrics.WORKER, metrics.EDGE) for family in registry.collect()]
    models = [one.name for prefix in model_metrics.SECONDS for one in model_metrics.of(prefix)]
    return {name + suffix for name in (*ours, *models) for suffix in suffixes} | set(RECORDED)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
def test_queries_ask_for_metrics_that_there_are(dashboard: Dashboard):
    for panel in dashboard.panels:
        for query in panel.queries:
            for name in re.findall(r"parley[a-z0-9_:]+", query.expr):
                assert name in known(), f"{panel.title}: {name}"


def test_every_panel_of_hops_leads_to_the_traces_of_slow_turns():
    for dashboard in DASHBOARDS:
        for panel in document(dashboard)["panels"]:
            if not any("parley_turn_part_seconds" in target["expr"] for target in panel["targets"]):
                continue
            [link] = panel["fieldConfig"]["defaults"]["links"]
            shown = parse_qs(urlsplit(link["url"]).query)["panes"][0]
            [query] = json.loads(shown)["turns"]["queries"]
            assert query["datasource"]["uid"] == "${traces}"
            assert query["query"] == f"{{ span.{names.FIRST_AUDIO_MS} > 2000 }}"
            assert "${traces}" in link["url"], "Grafana finds its variables only where they are not encoded"


def test_no_hop_is_named_in_a_query():
    text = "".join(query.expr for one in DASHBOARDS for panel in one.panels for query in panel.queries)
    assert not [part[0] for part in PARTS if f'"{part[0]}"' in text]

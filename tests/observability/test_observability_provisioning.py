"""Grafana's provisioning by its structure; Grafana itself is not run here."""

from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[2] / "observability"


def test_a_dot_leads_to_a_source_of_traces_by_the_label_that_exemplars_have():
    sources = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "parley.yaml").read_text())["datasources"]
    types = {source["uid"]: source["type"] for source in sources}
    [prometheus] = [source for source in sources if source.get("isDefault")]
    [destination] = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert types[prometheus["uid"]] == "prometheus"
    assert types[destination["datasourceUid"]] == "tempo"
    assert destination["name"] == "trace_id"


def test_the_rate_interval_is_that_of_the_scrapes():
    sources = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "parley.yaml").read_text())["datasources"]
    scraping = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yaml").read_text())["global"]["scrape_interval"]
    assert [s["jsonData"]["timeInterval"] for s in sources if s["type"] == "prometheus"] == [scraping]

"""What a dashboard is made of, and its form as Grafana's JSON (schema 39, Grafana 10 and later)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
TRACES = {"type": "tempo", "uid": "${traces}"}
SLOW_TURNS = "{ span.parley.turn.first_audio_ms > 2000 }"
"""TraceQL: the turns that missed the promise."""
_HEIGHT = 8
_COLUMNS = 24


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str = ""
    exemplars: bool = False
    """Dots that lead to the trace of one turn; only histograms have them."""


@dataclass(frozen=True)
class Panel:
    title: str
    what: str
    """What it shows and what to do about it, in a sentence or two."""
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    stacked: bool = False
    limit: float | None = None
    """A line at this value, red above it."""
    traces: bool = False
    """A click on the panel offers the traces of the slow turns of the time shown."""


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    what: str
    panels: Sequence[Panel]


def quantile(share: float, histogram: str, by: str = "") -> str:
    """A percentile of a histogram over the dashboard's rate interval, by the labels named."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))"


def rate(counter: str, by: str = "") -> str:
    """Events a second, by the labels named."""
    return f"sum{f' by ({by})' if by else ''} (rate({counter}[$__rate_interval]))"


def document(dashboard: Dashboard) -> dict[str, Any]:
    """The dashboard as Grafana imports it. Panels flow from left to right, in rows of 24 columns."""
    panels: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(dashboard.panels, 1):
        if x + panel.width > _COLUMNS:
            x, y = 0, y + _HEIGHT
        panels.append({**_panel(panel), "id": number, "gridPos": {"h": _HEIGHT, "w": panel.width, "x": x, "y": y}})
        x += panel.width
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.what,
        "tags": ["parley"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"title": "Parley", "type": "dashboards", "tags": ["parley"], "asDropdown": True, "keepTime": True}],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Metrics", "type": "datasource", "query": "prometheus"},
                {"name": "traces", "label": "Traces", "type": "datasource", "query": "tempo"},
            ]
        },
        "panels": panels,
    }


def _explore(query: str) -> str:
    """The address of a TraceQL query in Grafana's Explore, over the dashboard's time."""
    asked = {"refId": "A", "datasource": TRACES, "queryType": "traceql", "query": query}
    pane = {"datasource": TRACES["uid"], "queries": [asked], "range": {"from": "${__from}", "to": "${__to}"}}
    # Grafana puts its variables in before the browser sees the address, and knows them only as they are.
    return f"/explore?schemaVersion=1&panes={quote(json.dumps({'turns': pane}), safe='${}_:')}"


def _panel(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    links = (
        [{"title": "Traces of slow turns", "url": _explore(SLOW_TURNS), "targetBlank": True}] if panel.traces else []
    )
    if links:
        defaults["links"] = links
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 60 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "off" if panel.limit is None else "line"},
        }
    return {
        "title": panel.title,
        "description": panel.what,
        "type": panel.kind,
        "datasource": SOURCE,
        "links": links,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "exemplar": query.exemplars,
            }
            for place, query in enumerate(panel.queries)
        ],
    }

import re
from itertools import pairwise

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from services.telemetry import metrics


def all_metrics() -> dict[str, Counter | Gauge | Histogram]:
    return {name: value for name, value in vars(metrics).items() if isinstance(value, Counter | Gauge | Histogram)}


def test_names_follow_one_convention():
    assert all_metrics()
    for name, metric in all_metrics().items():
        full = metric._name
        assert re.fullmatch(r"parley_[a-z][a-z0-9_]*", full), name
        assert metric._documentation.endswith("."), name
        if isinstance(metric, Histogram):
            assert full.endswith("_seconds"), name


def test_each_name_is_registered_once():
    names = [metric._name for metric in all_metrics().values()]
    assert len(names) == len(set(names))
    registered = {family.name for family in REGISTRY.collect()}
    assert set(names) <= registered


def test_turn_latencies_are_told_apart_around_the_objective():
    buckets = metrics.TURN_SECONDS
    assert 2.0 in buckets, "the objective is an edge: how many turns kept it is counted, not interpolated"
    near = [edge for edge in buckets if 0.5 <= edge <= 2.0]
    assert max(upper - lower for lower, upper in pairwise(near)) < 0.21
    for histogram in (metrics.FIRST_AUDIO, metrics.TURN_PART):
        assert tuple(histogram._kwargs["buckets"]) == metrics.TURN_SECONDS

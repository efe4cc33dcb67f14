import logging
import threading
import time

import pytest

from collector import Collector
from services.contracts import trace
from services.telemetry import tracing
from services.telemetry.tracing import Event, NoTracer, Span


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


def test_without_an_endpoint_nobody_keeps_anything():
    tracer = tracing.tracer("test", "")
    assert isinstance(tracer, NoTracer)
    assert not tracer.begin().sampled


def test_spans_arrive_as_they_were_said(collector):
    tracer = tracing.tracer("parley-test", collector.endpoint)
    turn = tracer.begin()
    assert turn.sampled
    known: dict[str, tracing.Value] = {"a": 1, "b": "two", "c": True}
    work = Span("work", turn.child(), 1000.5, turn, "client", known, [Event("first", 1000.75)])
    other = trace.new()
    tracer.end(work, 1001.5, "it broke")
    tracer.end(Span("turn", turn, 1000.0, None, "server", links=(other,)), 1002.0)
    tracer.close()
    child, root = collector.wait_for(lambda spans: len(spans) == 2)
    assert (child.service, child.name, child.trace_id, child.span_id) == (
        "parley-test",
        "work",
        turn.trace_id,
        work.context.span_id,
    )
    assert child.parent_id == turn.span_id == root.span_id
    assert (child.start, child.end) == pytest.approx((1000.5, 1001.5))
    assert child.attributes == {"a": 1, "b": "two", "c": True}
    assert child.events == ("first",)
    assert child.failed
    assert root.parent_id == ""
    assert root.links == (other.span_id,)
    assert not root.failed


def test_what_nobody_keeps_is_not_sent(collector):
    tracer = tracing.tracer("test", collector.endpoint)
    tracer.end(Span("dropped", trace.new(sampled=False), 1.0), 2.0)
    tracer.end(Span("kept", trace.new(), 1.0), 2.0)
    tracer.close()
    assert [span.name for span in collector.wait_for(bool)] == ["kept"]


def test_the_sdks_sampler_is_asked_once_for_a_trace(collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    tracer = tracing.tracer("test", collector.endpoint)
    turns = [tracer.begin() for _ in range(200)]
    for turn in turns:
        # A child in another process goes by the flag that it was given.
        tracer.end(Span("child", turn.child(), 1.0, turn), 2.0)
        tracer.end(Span("root", turn, 1.0), 2.0)
    tracer.close()
    sampled = {turn.trace_id for turn in turns if turn.sampled}
    assert 50 < len(sampled) < 150
    spans = collector.wait_for(lambda spans: len(spans) == 2 * len(sampled))
    assert {span.trace_id for span in spans} == sampled


def test_threads_do_not_mix_their_ids(collector):
    tracer = tracing.tracer("test", collector.endpoint)
    made: list[Span] = []

    def work(number: int) -> None:
        for _ in range(50):
            turn = trace.new()
            span = Span(f"{number}", turn.child(), 1.0, turn, attributes={"own": turn.trace_id})
            made.append(span)
            tracer.end(span, 2.0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracer.close()
    spans = collector.wait_for(lambda spans: len(spans) == 400)
    assert all(span.attributes["own"] == span.trace_id for span in spans)
    assert {span.span_id for span in spans} == {span.context.span_id for span in made}


@pytest.mark.parametrize("silent", [True, False])
def test_a_collector_that_is_away_or_hangs_costs_neither_time_nor_lines(silent, caplog):
    collector = Collector(silent=True)
    if not silent:
        collector.close()
    tracer = tracing.tracer("test", collector.endpoint)
    begun = time.perf_counter()
    with caplog.at_level(logging.WARNING):
        for _ in range(5000):
            tracer.end(Span("work", trace.new(), 1.0), 2.0)
        took = time.perf_counter() - begun
        closing = time.perf_counter()
        tracer.close()
        closed = time.perf_counter() - closing
    if silent:
        collector.close()
    assert took < 5.0, "recording waited for the collector"
    assert closed < tracing.CLOSE_SECONDS + 1.0
    assert len(caplog.records) <= 4

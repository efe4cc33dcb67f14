import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_traceparent_is_read_and_written_as_it_was():
    context = trace.parse(PARENT)
    assert context is not None
    assert context.sampled
    assert context.traceparent == PARENT


def test_a_child_is_another_span_of_the_same_trace():
    context = trace.new(sampled=False)
    child = context.child()
    assert (child.trace_id, child.sampled) == (context.trace_id, False)
    assert child.span_id != context.span_id
    assert trace.parse(child.traceparent) == child


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        PARENT[:-1],
        PARENT + "0",
        PARENT + "-more",
        PARENT.replace("00-", "ff-", 1),
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
    ],
)
def test_what_is_no_traceparent_is_none(text):
    assert trace.parse(text) is None


def test_a_later_version_may_say_more():
    assert trace.parse(PARENT.replace("00-", "01-", 1) + "-more") is not None


@given(st.text(max_size=80))
def test_no_text_is_too_strange(text):
    trace.parse(text)

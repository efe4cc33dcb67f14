"""The traces of several conversations at once, over all processes, as a collector gets them."""

import asyncio
import itertools
import json
import sys
from collections import defaultdict

import pytest
from stack import ROOT

from collector import Collector, Kept
from services.contracts.moments import PARTS
from services.launcher import bench_stack
from services.telemetry import names

SESSIONS, TURNS = 6, 2
_PART_NAMES = {name for name, *_ in PARTS}


async def talk(port: int) -> dict:
    """The report of the load test's client."""
    arguments = ["--port", port, "--sessions", SESSIONS, "--turns", TURNS, "--pauses", 0, "--silence-ms", 300]
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.client", *map(str, arguments)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await client.communicate()
    assert client.returncode == 0
    return next(line["report"] for line in map(json.loads, said.splitlines()) if "report" in line)


@pytest.mark.timeout(180)
async def test_every_turn_is_one_trace_over_all_processes_and_adds_up():
    collector = Collector()
    try:
        async with bench_stack.running(SESSIONS + 1, {"PARLEY_OTLP_ENDPOINT": collector.endpoint}) as stack:
            report = await talk(stack.port)
        spans = collector.wait_for(lambda spans: sum(each.name == names.SESSION for each in spans) > SESSIONS)
    finally:
        collector.close()

    turns = [turn for session in report["sessions"] for turn in session["turns"]]
    assert len(turns) == SESSIONS * TURNS
    for turn in turns:
        assert turn["failure"] == ""
        # What the listener felt is what the parts add up to; the client notices a frame within a tick of its own.
        assert sum(turn["parts"].values()) == pytest.approx(1000 * turn["latency_s"], abs=25)
        assert min(turn["parts"].values()) >= 0
        assert {"edge to worker", "worker to edge", "edge"} < set(turn["parts"])

    traces: dict[str, list[Kept]] = defaultdict(list)
    for span in spans:
        traces[span.trace_id].append(span)
    roots = {
        span.trace_id: span for span in spans if span.name == names.TURN and names.FIRST_AUDIO_MS in span.attributes
    }
    assert len(roots) == SESSIONS * TURNS + 1, "one more conversation warms the stack up"
    sessions = {span.span_id: span for span in spans if span.name == names.SESSION}
    for trace_id, root in roots.items():
        trace = traces[trace_id]
        assert root.parent_id == ""
        assert {span.attributes[names.SESSION_ID] for span in trace if names.SESSION_ID in span.attributes} == {
            root.attributes[names.SESSION_ID]
        }, "spans of two sessions are mixed"
        [link] = root.links
        assert sessions[link].attributes[names.SESSION_ID] == root.attributes[names.SESSION_ID]
        assert {span.service for span in trace} == {"parley-dialogue", "parley-edge", "parley-stt", "parley-tts"}
        ids = {span.span_id for span in trace}
        assert all(span.parent_id in ids for span in trace if span is not root), "a span hangs in the air"

        parts = sorted((span for span in trace if span.name in _PART_NAMES | {"network"}), key=lambda span: span.start)
        assert sum(span.end - span.start for span in parts) * 1000 == pytest.approx(
            root.attributes[names.FIRST_AUDIO_MS], abs=1
        )
        assert parts[-1].end == pytest.approx(root.end, abs=1e-3)
        for before, after in itertools.pairwise(parts):
            assert after.start == pytest.approx(before.end, abs=1e-3)
        for name, service in (
            (names.CHAT, "parley-dialogue"),
            (names.RECOGNISE, "parley-dialogue"),
            (names.SYNTHESISE, "parley-dialogue"),
            (names.MODEL_RECOGNISE, "parley-stt"),
            (names.MODEL_SYNTHESISE, "parley-tts"),
            (names.RELAY_AUDIO, "parley-edge"),
            (names.ANSWER_HEARD, "parley-dialogue"),
        ):
            assert any(span.name == name and span.service == service for span in trace), name
    # How each session came about is one trace, too: the edge's connection, over NATS, to the worker.
    for session in sessions.values():
        about = {span.name: span for span in traces[session.trace_id]}
        assert about[names.TAKE_SESSION].parent_id == about[names.ATTACH].span_id
        assert about[names.ATTACH].parent_id == about[names.CONNECTION].span_id

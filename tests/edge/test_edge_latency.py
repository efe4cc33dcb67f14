"""The fleet's latencies as any edge shows them."""

import asyncio
import json
import math
import time
from collections.abc import Mapping

import msgspec
import nats
import pytest
from edge_harness import EdgeProcess
from hypothesis import given
from hypothesis import strategies as st
from test_edge_admission import get

from services.contracts import events, subjects, turns
from services.contracts.moments import Part
from services.contracts.turns import MeasuredTurn
from services.edge.latency import MAX_PARTS, SLOWEST, Turns, order, view


def turn(
    total_ms: float, parts: Mapping[str, float] | None = None, *, at: float = 0.0, trace_id: str = ""
) -> MeasuredTurn:
    found = [Part(name=name, owner="parley", ms=ms) for name, ms in (parts or {"all": total_ms}).items()]
    return MeasuredTurn(at=at, total_ms=total_ms, spoken=True, parts=found, trace_id=trace_id)


def test_percentiles_are_times_of_turns_that_there_were():
    found = view([turn(float(ms)) for ms in range(1, 101)], wall=5.0)
    assert found.at == 5.0
    assert found.total is not None
    spread = found.total
    assert (spread.count, spread.p50, spread.p95, spread.p99, spread.max) == (100, 50.0, 95.0, 99.0, 100.0)
    assert found.median is not None
    assert found.median.total_ms == 50.0
    assert found.p95 is not None
    assert found.p95.total_ms == 95.0
    assert [one.total_ms for one in found.slowest] == [100.0 - number for number in range(SLOWEST)]


def test_a_turn_is_late_over_two_seconds_and_not_at_them():
    assert view([turn(1999.9), turn(2000.0), turn(2000.1)], wall=0.0).late == 1


def test_the_slowest_turn_names_its_longest_hop_and_its_trace():
    slow = turn(3000.0, {"recognition": 200.0, "voice": 2800.0}, at=7.0, trace_id="4bf9")
    found = view([turn(500.0, {"recognition": 400.0, "voice": 100.0}), slow], wall=0.0)
    first = found.slowest[0]
    assert (first.slowest, first.trace_id, first.at) == ("voice", "4bf9", 7.0)
    assert {hop.name: hop.dominated for hop in found.hops} == {"recognition": 1, "voice": 1}


def test_nothing_is_shown_before_the_first_turn():
    found = view([], wall=1.0)
    assert (found.total, found.hops, found.slowest) == (None, [], [])


@given(st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=8))
def test_hops_stand_in_the_order_of_a_turn_that_passes_all_of_them(passed: list[set[int]]):
    every = [turn(1.0, {f"hop{number}": 1.0 for number in sorted(chosen)}) for chosen in [set(range(10)), *passed]]
    assert order(every) == [f"hop{number}" for number in range(10)]


def test_hops_that_a_typed_turn_does_not_have_go_before_those_that_it_has():
    typed = turn(1.0, {"asked": 1.0, "voice": 1.0})
    spoken = turn(1.0, {"ended": 1.0, "heard": 1.0, "asked": 1.0, "voice": 1.0})
    assert order([typed, spoken]) == ["ended", "heard", "asked", "voice"]


def test_memory_is_bounded_and_nonsense_is_not_kept():
    kept = Turns(kept=3)
    for number in range(10):
        kept.add(turn(float(number)))
    kept.add(turn(math.nan))
    kept.add(MeasuredTurn(at=0.0, total_ms=1.0, spoken=True, parts=[]))
    kept.add(turn(1.0, {f"hop{number}": 1.0 for number in range(MAX_PARTS + 1)}))
    shown = json.loads(kept.encoded(now=0.0, wall=0.0))
    assert shown["total"] == {"count": 3, "p50": 8.0, "p95": 9.0, "p99": 9.0, "max": 9.0}


def test_asking_often_costs_one_view_a_second():
    kept = Turns()
    kept.add(turn(1.0))
    first = kept.encoded(now=10.0, wall=0.0)
    kept.add(turn(2.0))
    assert kept.encoded(now=10.9, wall=0.9) is first
    assert json.loads(kept.encoded(now=11.0, wall=1.0))["total"]["count"] == 2


def test_a_measured_turn_names_nobody():
    told = events.TurnMetrics(turn=3, generation=4, total_ms=10.0, spoken=True, parts=[], trace_id="4bf9")
    fields = msgspec.structs.fields(MeasuredTurn)
    assert {field.name for field in fields} == {"at", "total_ms", "spoken", "parts", "trace_id"}
    heard = turns.decode(turns.encode(turns.measured(told, 5.0)))
    assert (heard.at, heard.total_ms, heard.trace_id) == (5.0, 10.0, "4bf9")
    with pytest.raises(msgspec.DecodeError):
        turns.decode(b"{}")


async def test_every_edge_shows_the_turns_of_every_worker(edge: EdgeProcess, nats_url: str):
    worker = await nats.connect(nats_url)
    for ms in (500.0, 2500.0):
        await worker.publish(subjects.TURNS, turns.encode(turn(ms, at=time.time())))
    await worker.close()
    async with asyncio.timeout(5):
        while (json.loads((await get(edge, "/v1/latency"))[2])["total"] or {}).get("count") != 2:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    status, headers, body = await get(edge, "/v1/latency")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["late"] == 1
    assert (await get(edge, "/latency"))[1]["content-type"].startswith("text/html")

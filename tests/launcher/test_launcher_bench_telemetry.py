import pytest

from services.launcher import bench_telemetry, http


def test_the_cost_is_that_of_the_median_rounds():
    assert bench_telemetry.cost([1.0, 1.0, 9.0], [1.04, 0.5, 1.04]) == pytest.approx(0.04)
    assert bench_telemetry.cost([2.0], [1.0]) == pytest.approx(-0.5)


async def test_the_sink_takes_spans_and_says_how_much_came():
    async with bench_telemetry._sink() as endpoint:
        assert await http.get(f"{endpoint}/", 5.0) == (200, b"0")

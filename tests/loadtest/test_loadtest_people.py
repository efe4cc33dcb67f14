"""Who comes when, and how long they stay."""

import itertools
import random
import statistics

import pytest

from loadtest import people


def test_one_comes_soon_and_the_others_one_stay_apart_on_average_in_order():
    counts: list[int] = []
    for seed in range(300):
        coming = list(itertools.takewhile(lambda at: at < 400, people.arrivals(4, random.Random(seed))))
        assert coming == sorted(coming)
        assert coming[0] < people.TURN_S
        counts.append(len(coming) - 1)
    mean = 400 / (4 * people.TURN_S)
    assert statistics.fmean(counts) == pytest.approx(mean, rel=0.06)
    assert statistics.pvariance(counts) == pytest.approx(mean, rel=0.25)  # as of a Poisson process


def test_stays_have_the_mean_that_is_asked_for_and_at_least_one_turn():
    choose = random.Random(1)
    stays = [people.turns(5, choose) for _ in range(5000)]
    assert min(stays) == 1
    assert statistics.fmean(stays) == pytest.approx(5, rel=0.05)
    assert {people.turns(1, choose) for _ in range(50)} == {1}


def test_a_mix_names_kinds_and_weights():
    assert people.mix("talking=10, typing=2") == {"talking": 10, "typing": 2}


@pytest.mark.parametrize("text", ["", "shouting=1", "talking", "talking=-1", "talking=x", "talking=0,typing=0"])
def test_a_wrong_mix_is_told(text: str):
    with pytest.raises(ValueError, match="weight"):
        people.mix(text)

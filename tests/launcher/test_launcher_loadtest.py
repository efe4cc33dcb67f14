"""What `parley loadtest` hands to Locust."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.launcher import cli, loadtest, running
from services.launcher.loadtest import ALONE_S, Wanted, arguments, slots

TWENTY = Wanted(users=20, minutes=2, host=None, report=Path("/tmp/report"), locust={"turns": 3})


def wanted(**given: Any) -> Wanted:
    return replace(TWENTY, **given)


def test_there_is_room_for_all_but_never_for_more_than_on_average():
    assert slots(wanted()) == 43
    assert slots(wanted(overload=True)) == 20


def test_overload_wants_twice_the_places_after_one_alone():
    given = arguments(wanted(overload=True), "http://127.0.0.1:1", "")
    time = f"--run-time={ALONE_S + 120:.0f}s"
    assert {"--users=40", time, f"--alone={ALONE_S}", "--alone-within-ms=100", "--refusal-ms=100"} <= set(given)
    plain = arguments(wanted(), "http://127.0.0.1:1", "")
    assert {"--users=20", "--run-time=120s", "--turns=3"} <= set(plain)
    assert not [option for option in plain if "alone" in option]


def test_what_is_asked_for_goes_before_what_the_overload_test_brings():
    given = arguments(wanted(overload=True, locust={"mix": "typing=1"}), "http://127.0.0.1:1", "")
    assert [option for option in given if option.startswith("--mix")] == ["--mix=typing=1"]


def test_the_stack_that_runs_here_is_taken_and_another_is_started_where_its_places_count(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(loadtest, "page_address", lambda given: given or "http://127.0.0.1:8080")
    assert loadtest.target(wanted()) == "http://127.0.0.1:8080"
    assert loadtest.target(wanted(host="http://far:1")) == "http://far:1"
    assert loadtest.target(wanted(soak=True)) is None
    assert loadtest.target(wanted(overload=True)) is None


def test_one_is_started_where_none_runs(monkeypatch: pytest.MonkeyPatch):
    def nothing(given: str | None) -> str:
        raise running.NoStackError("no stack runs")

    monkeypatch.setattr(loadtest, "page_address", nothing)
    assert loadtest.target(wanted()) is None


def test_what_is_no_address_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert loadtest.loadtest(wanted(host="gopher://far")) == 2
    assert re.fullmatch(r"parley: 'gopher://far' is no address of a page.*\n", capsys.readouterr().err)


def test_without_locust_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(loadtest.importlib.util, "find_spec", lambda name: None)
    assert loadtest.loadtest(wanted()) == 2
    said = capsys.readouterr().err
    assert said == f"parley: {loadtest.MISSING}\n"
    assert "pip install -e '.[loadtest]'" in said


@pytest.mark.parametrize("option", ["--overload", "--soak"])
def test_what_needs_a_stack_of_its_own_takes_no_other(option: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main(["loadtest", option, "--host", "http://127.0.0.1:1"])
    assert ended.value.code == 2
    assert "start a stack of their own" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["0", "-1", "x", "nan"])
def test_minutes_are_a_time(minutes: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.main(["loadtest", "--minutes", minutes])
    assert "minutes above 0" in capsys.readouterr().err

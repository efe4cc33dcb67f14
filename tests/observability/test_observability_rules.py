"""The rules and their tests by Prometheus's own tool, and that each alert leads to what to do about it."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.launcher import instance
from services.launcher.config import LauncherConfiguration

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "observability" / "prometheus"
RUNBOOKS = ROOT / "docs" / "operations.md"


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]


def promtool(*words: str) -> None:
    program = shutil.which("promtool")
    assert program, "the tests of the rules need promtool: apt-get install prometheus"
    done = subprocess.run([program, *words], cwd=FOLDER, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_are_rules():
    promtool("check", "rules", "recording.yaml", "alerts.yaml")


def test_the_configuration_is_one():
    promtool("check", "config", "prometheus.yaml")


def test_alerts_fire_when_they_should_and_only_then():
    promtool("test", "rules", "tests.yaml")


def test_every_alert_has_tests_that_fire_and_that_do_not():
    cases = [
        case
        for test in yaml.safe_load((FOLDER / "tests.yaml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    quiet = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert fires == quiet == {rule["alert"] for rule in rules("alerts.yaml")}


@pytest.mark.parametrize("rule", rules("alerts.yaml"), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_leads_to_its_runbook(rule: dict[str, Any]):
    told = rule["annotations"]
    assert told["summary"].endswith(".")
    assert told["description"].endswith(".")
    assert rule["labels"]["severity"] in ("page", "ticket")
    document, _, anchor = told["runbook_url"].partition("#")
    assert ROOT / document == RUNBOOKS
    headings = re.findall(r"^### (\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert rule["alert"] in headings
    assert anchor == rule["alert"].lower()


def test_no_runbook_is_left_of_an_alert_that_is_gone():
    headings = re.findall(r"^### (Parley\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert set(headings) == {rule["alert"] for rule in rules("alerts.yaml")}


def test_the_budget_is_watched_over_four_pairs_of_windows():
    burns = {
        (rule["labels"]["burn"], *re.findall(r"ratio_rate(\w+)", rule["expr"]))
        for rule in rules("alerts.yaml")
        if "burn" in rule["labels"]
    }
    assert burns == {("14.4", "1h", "5m"), ("6", "6h", "30m"), ("3", "1d", "2h"), ("1", "3d", "6h")}


def test_the_configuration_looks_where_a_stack_of_this_machine_writes():
    [job] = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    [found] = job["file_sd_configs"][0]["files"]
    default = LauncherConfiguration.model_fields["state_dir"].default
    assert (FOLDER / found).resolve() == (ROOT / default / instance.TARGETS).resolve()

"""A sample of `make soak`: users come and go, nobody fails, memory stays, nothing is left. SOAK_MINUTES: how long."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from stack import PARLEY, ROOT

MINUTES = float(os.environ.get("SOAK_MINUTES", "2"))
PARTS = {"edge", "worker", "nats", "triton", "language"}


@pytest.mark.timeout(MINUTES * 60 + 120)
def test_users_who_come_and_go_leave_nothing_behind(tmp_path: Path):
    options = ["--soak", "--users", "4", "--turns", "2", "--minutes", str(MINUTES), "--report", str(tmp_path)]
    run = subprocess.run(
        [str(PARLEY), "loadtest", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=MINUTES * 60 + 90,
    )
    said = run.stdout + run.stderr
    found = json.loads((tmp_path / "summary.json").read_text())
    memory = json.loads((tmp_path / "memory.json").read_text())
    # Other tests run beside this one, so its clock may be late (3), which proves no latency; what follows still holds.
    assert run.returncode in (0, 3), said
    assert found["turns"] > 5 * MINUTES, said
    assert found["sessions"] > 2 * MINUTES, said
    assert (found["failures"], found["failed_sessions"], found["troubles"]) == ({}, {}, {}), said
    assert {process["part"] for process in memory["processes"]} == PARTS
    assert all(process["flat"] for process in memory["processes"]), said
    assert memory["leaked"] == [], said

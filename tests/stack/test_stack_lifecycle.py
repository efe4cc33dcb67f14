"""Starting, checking, measuring and ending the whole stack with the commands that a user types."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest
from stack import PARLEY, ROOT, Stack

from services.launcher.undertaker import shared_memory_prefix


def run(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PARLEY), *arguments], capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT
    )


def test_every_part_is_ready_and_measured(stack: Stack):
    assert json.loads(stack.get("/readyz"))["status"] == "ok"
    assert json.loads(stack.get("/healthz"))["status"] == "ok"
    assert "parley_edge_connections" in stack.get("/metrics")
    assert "<title>" in stack.get("/")
    log = "\n".join(stack.lines)
    assert "Traceback" not in log


def test_the_models_keep_their_contracts(stack: Stack):
    address = next(json.loads(path.read_text())["triton"] for path in stack.state.rglob("instance.json"))
    checked = run("verify", "triton", address)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_bench_turn_prints_the_latency_over_the_silence(stack: Stack):
    measured = run("bench", "turn", stack.url, "--turns", "1")
    assert measured.returncode == 0, measured.stdout + measured.stderr
    [row] = [line for line in measured.stdout.splitlines() if "over the silence setting" in line]
    # The worker's estimate of where the speech ended may be some milliseconds before the recording's last sample.
    assert -30 < float(row.split()[-3]) < 1000


def test_a_second_stack_runs_beside_the_first(stack: Stack, tmp_path: Path):
    second = Stack(tmp_path, port=stack.url.rsplit(":", 1)[1])
    try:
        second.start()
        assert second.url != stack.url
        assert json.loads(second.get("/readyz"))["status"] == "ok"
    finally:
        second.stop()


def shared_memory(stack: Stack) -> list[str]:
    """The files that this stack's models keep in shared memory."""
    prefix = shared_memory_prefix(stack.state.resolve())
    return [path.name for path in Path("/dev/shm").glob(f"{prefix}*")]


def test_ctrl_c_ends_everything_and_leaves_nothing(tmp_path: Path):
    stack = Stack(tmp_path).start()
    processes = stack.processes()
    assert len(processes) >= 5
    assert shared_memory(stack)
    assert stack.interrupt() < 5
    _, alive = psutil.wait_procs(processes, timeout=1)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert shared_memory(stack) == []


@pytest.mark.parametrize(
    ("name", "value"), [("port", "many"), ("llm_mode", "oracle"), ("llm_url", "not a url"), ("slots", "0")]
)
def test_a_wrong_setting_is_named_and_nothing_starts(tmp_path: Path, name: str, value: str):
    stack = Stack(tmp_path, **{name: value})
    with pytest.raises(AssertionError) as ended:
        stack.start()
    assert f"PARLEY_{name.upper()}" in str(ended.value)
    assert value in str(ended.value)
    stack.stop()

"""Locust's master with workers, as in a cluster, all on loopback: every worker's raw samples come to the master."""

import asyncio
import csv
import json
import socket
import sys
from pathlib import Path

from stack import ROOT

from services.launcher import bench_stack

SECONDS = 20


async def _locust(*options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--loglevel=WARNING", *options),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


async def test_the_workers_raw_samples_make_the_masters_report(tmp_path: Path):
    port = _free_port()
    meet = [f"--master-port={port}", "--master-host=127.0.0.1"]
    async with bench_stack.running(8, {}) as stack:
        master = await _locust(
            *("--master", "--headless", "--expect-workers=2", f"--master-bind-port={port}"),
            *("--master-bind-host=127.0.0.1", "--users=4", "--spawn-rate=10", f"--run-time={SECONDS}s", "--turns=1"),
            *(
                "--mix=talking=1",
                "--pauses=0",
                "--late-ms=1000",
                f"--host=http://127.0.0.1:{stack.port}",
                f"--report={tmp_path}",
            ),
        )
        workers = [await _locust("--worker", *meet) for _ in range(2)]
        try:
            async with asyncio.timeout(SECONDS + 40):
                said, *_ = await asyncio.gather(*(each.communicate() for each in (master, *workers)))
        finally:
            for each in (master, *workers):
                if each.returncode is None:
                    each.kill()
                    await each.wait()
    text = said[0].decode()
    assert master.returncode == 0, text
    found = json.loads((tmp_path / "summary.json").read_text())
    with (tmp_path / "turns.csv").open() as rows:
        turns = list(csv.DictReader(rows))
    with (tmp_path / "sessions.csv").open() as rows:
        wanted = sorted(float(session["at"]) for session in csv.DictReader(rows))
    # Each worker has two of the four users, and somebody comes to each of them within a turn's time.
    assert len(wanted) >= 4, text
    assert len(turns) >= 4
    assert found["turns"] == len(turns)
    assert found["conditions"]["generator"].endswith("2 workers")
    assert found["lateness"]["count"] > 4 * 50
    assert all(float(turn["latency_ms"]) > 200 and not turn["failure"] for turn in turns), text
    assert (
        abs(
            sum(float(value or 0) for name, value in turns[0].items() if name.startswith("part: "))
            - float(turns[0]["server_ms"])
        )
        < 1.0
    )

"""The benchmarks with stand-ins, as small as they get: the whole stack, the stand-ins and the client."""

import contextlib
import re
import subprocess
from pathlib import Path

import psutil
from stack import PARLEY, ROOT

from services.launcher import bench_stack, verify_triton
from services.launcher.undertaker import SHARED_MEMORY


def in_use(region: Path) -> bool:
    """A server that runs has it; another test may have started one meanwhile."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            prefixes = [word.partition("shm-region-prefix-name=")[2] for word in process.cmdline()]
            if any(prefix and region.name.startswith(prefix) for prefix in prefixes):
                return True
    return False


def test_density_of_two_sessions_adds_up_and_refuses_nobody():
    regions = set(SHARED_MEMORY.glob("parley_*"))
    measured = subprocess.run(
        [str(PARLEY), "bench", "density", "--sessions", "2", "--turns", "1", "--pauses", "0", "--no-past"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert "= 770 ms" in measured.stdout
    [row] = re.findall(r"^ +2 +2 \|.*$", measured.stdout, re.MULTILINE)
    cells = row.replace("|", " ").split()
    p50, cut_off, failed, edge, worker = (float(cells[at]) for at in (2, 6, 8, 9, 10))
    # Nothing is prepared with these settings, so nobody can be quicker than the stand-ins.
    assert -5 < p50 < 2000
    assert (cut_off, failed) == (0, 0)
    assert edge > 0
    assert worker > 0
    left = set(SHARED_MEMORY.glob("parley_*")) - regions
    assert not [each for each in left if not in_use(each)], "the bench left shared memory behind"


async def test_the_stand_ins_keep_the_models_contracts():
    async with bench_stack.running(2, {"PARLEY_STT_SLOTS": "20", "PARLEY_TTS_SLOTS": "24"}) as stack:
        checks = await verify_triton.verify(stack.triton, bench_stack.RECOGNISER, bench_stack.VOICE)
    assert len(checks) == 12
    assert [check for check in checks if not check.passed] == []

"""Supervision of real, tiny processes: order, restart, stop, and that nothing is left behind."""

import asyncio
import io
import os
import signal
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from services.launcher import undertaker
from services.launcher.console import Console
from services.launcher.process import Child, Lines
from services.launcher.supervision import Part
from services.launcher.supervisor import Command, Supervisor
from services.launcher.undertaker import mark

READY = "import pathlib, time; pathlib.Path({flag!r}).touch(); time.sleep(600)"
STUBBORN = (
    "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path({flag!r}).touch(); time.sleep(600)"
)

GRANDCHILD = (
    "import pathlib, subprocess, sys, time;"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True);"
    "pathlib.Path({flag!r}).touch(); time.sleep(600)"
)


def strays(folder: Path) -> list[int]:
    """Processes of any run of a folder."""
    return undertaker.strays(mark(folder))


def touch(path: Path) -> None:
    path.touch()


async def eventually(holds: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - the condition is another process's doing
            await asyncio.sleep(0.01)


def exists(path: Path) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if not os.access(path, os.F_OK):
            raise RuntimeError(f"{path.name} is not there")

    return check


def command(
    folder: Path, name: str, code: str = READY, after: tuple[str, ...] = (), stop_within: float = 1.0
) -> Command:
    """A part that is ready, and well, while the file of its name is there; it starts without the file."""
    flag = folder / name
    return Command(
        Part(name, after=after, ready_within=10.0, stop_within=stop_within),
        [sys.executable, "-c", code.format(flag=str(flag))],
        dict(os.environ),
        ready=exists(flag),
        well=exists(flag),
    )


class Run:
    """A supervisor at work, with what it printed."""

    def __init__(self, folder: Path, *commands: Command) -> None:
        self.folder = folder
        self.terminal = io.StringIO()
        self.console = Console(self.terminal)
        self.up = asyncio.Event()
        self.supervisor = Supervisor(commands, folder, "now", self.console, self.up.set)
        self.task = asyncio.create_task(self.supervisor.run())

    async def stop(self) -> tuple[int, float]:
        """Exit status and the seconds it took."""
        begun = time.monotonic()
        self.supervisor.stop()
        return await self.end(), time.monotonic() - begun

    async def end(self) -> int:
        async with asyncio.timeout(20):
            status = await self.task
        self.console.close()
        return status

    def printed(self) -> str:
        return self.terminal.getvalue()


def pid_of(run: Run, name: str) -> int | None:
    child = run.supervisor._children.get(name)
    return child.pid if child else None


async def test_parts_start_in_order_and_end_in_reverse(tmp_path: Path) -> None:
    first, second = command(tmp_path, "first"), command(tmp_path, "second", after=("first",))
    run = Run(tmp_path, first, second)
    async with asyncio.timeout(10):
        await run.up.wait()
    assert len(strays(tmp_path)) == 2
    status, seconds = await run.stop()
    assert status == 0
    assert seconds < 2
    assert strays(tmp_path) == []
    said = run.printed()
    assert said.index("first  | ready after") < said.index("second | ready after")


async def test_a_part_that_dies_is_started_again(tmp_path: Path) -> None:
    run = Run(tmp_path, command(tmp_path, "only"))
    async with asyncio.timeout(10):
        await run.up.wait()
    killed = pid_of(run, "only")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: pid_of(run, "only") not in (None, killed) and "ready again" in run.printed())
    await run.stop()
    assert "was ended by signal 9; starting it again in 0.5 s" in run.printed()


async def test_a_part_that_answers_no_more_is_ended_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.launcher.supervisor.CHECKED_EVERY", 0.05)
    monkeypatch.setattr("services.launcher.supervisor.CHECKED_AGAIN_AFTER", 0.05)
    run = Run(tmp_path, command(tmp_path, "only"))
    async with asyncio.timeout(10):
        await run.up.wait()
    sick = pid_of(run, "only")
    (tmp_path / "only").unlink()
    await eventually(lambda: pid_of(run, "only") not in (None, sick) and "ready again" in run.printed())
    await run.stop()
    assert "answers no more (RuntimeError: only is not there)" in run.printed()


async def test_a_wrong_configuration_ends_the_start_with_the_parts_own_sentence(tmp_path: Path) -> None:
    sentence = "configuration: PARLEY_SLOTS: Input should be a valid integer (got 'many')."
    refusing = f"import sys; print({sentence!r}, file=sys.stderr); sys.exit(2)"
    run = Run(tmp_path, command(tmp_path, "good"), command(tmp_path, "bad", refusing, after=("good",)))
    assert await run.end() == 2
    assert sentence in run.printed()
    assert "starting it again" not in run.printed()
    assert strays(tmp_path) == []


async def test_a_part_that_never_starts_ends_everything(tmp_path: Path) -> None:
    run = Run(tmp_path, command(tmp_path, "bad", "print('x [info] loading'); print('no such library'); exit(7)"))
    assert await run.end() == 1
    assert run.printed().count("ended with status 7") == 3
    assert "it does not start" in run.printed()
    assert run.printed().count("no such library") == 3, "each attempt's own words are shown as they come"
    assert run.printed().count("x [info] loading") == 1, (
        "what was for the file only is shown when it may explain the end"
    )


async def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = command(tmp_path, "bad")
    run = Run(tmp_path, Command(missing.part, ["/no/such/program"], {}, missing.ready, missing.well))
    assert await run.end() == 1
    assert "No such file or directory: '/no/such/program'" in run.printed()


async def test_parts_and_grandchildren_that_refuse_to_end_are_killed_in_time(tmp_path: Path) -> None:
    grandchild = STUBBORN.format(flag=str(tmp_path / "only"))
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"subprocess.run([sys.executable, '-c', {grandchild!r}])"
    )
    run = Run(tmp_path, command(tmp_path, "only", code, stop_within=0.3))
    async with asyncio.timeout(10):
        await run.up.wait()
    assert len(strays(tmp_path)) == 2
    status, seconds = await run.stop()
    assert status == 0
    assert seconds < 5
    assert strays(tmp_path) == []


async def test_what_an_earlier_launcher_left_is_ended_first(tmp_path: Path) -> None:
    env = {**os.environ, "PARLEY_INSTANCE": mark(tmp_path, "earlier")}
    left = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)", env=env)
    await eventually(lambda: strays(tmp_path) == [left.pid])
    run = Run(tmp_path, command(tmp_path, "only"))
    async with asyncio.timeout(10):
        await run.up.wait()
        assert await left.wait() == -signal.SIGKILL
    await run.stop()
    assert "ended 1 processes that an earlier run left" in run.printed()


async def test_a_killed_launcher_leaves_no_process_and_no_shared_memory(tmp_path: Path) -> None:
    """Neither a part that ignores signals, nor a grandchild in a session of its own, nor their shared memory."""
    region = f"parley_test_{os.getpid()}_"
    launcher = textwrap.dedent(
        f"""
        import asyncio, dataclasses, io, os, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_launcher_processes import GRANDCHILD, Run, STUBBORN, command

        async def main():
            folder = Path({str(tmp_path)!r})
            first = dataclasses.replace(command(folder, "first", STUBBORN), shared_memory={region!r})
            run = Run(folder, first, command(folder, "second", GRANDCHILD, after=("first",)))
            await run.up.wait()
            print("up", flush=True)
            await run.task

        asyncio.run(main())
        """
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", launcher, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"up\n"
    assert len(strays(tmp_path)) == 3
    shared = Path("/dev/shm", f"{region}1")
    touch(shared)
    process.kill()
    await process.wait()
    await eventually(lambda: strays(tmp_path) == [] and not os.access(shared, os.F_OK), within=3.0)


async def test_an_orderly_end_leaves_no_shared_memory_and_no_undertaker(tmp_path: Path) -> None:
    prefix = undertaker.shared_memory_prefix(tmp_path)
    earlier, shared = Path("/dev/shm", f"{prefix}earlier_1"), Path("/dev/shm", f"{prefix}now_1")
    touch(earlier)
    run = Run(tmp_path, replace(command(tmp_path, "only"), shared_memory=shared.name))
    async with asyncio.timeout(10):
        await run.up.wait()
    assert not os.access(earlier, os.F_OK), "what an earlier run left is removed at start"
    touch(shared)
    await run.stop()
    assert not os.access(shared, os.F_OK)
    listed = await asyncio.create_subprocess_exec("ps", "-eo", "args", stdout=asyncio.subprocess.PIPE)
    assert str(tmp_path).encode() not in (await listed.communicate())[0]


async def test_an_undertaker_ends_its_own_run_only(tmp_path: Path) -> None:
    """The next launcher of the folder may be at work while the last one's undertaker still cleans up."""
    prefix = undertaker.shared_memory_prefix(tmp_path)
    next_memory = Path("/dev/shm", f"{prefix}next_1")
    touch(next_memory)
    sleeping = (sys.executable, "-c", "import time; time.sleep(600)")
    runs = {
        run: await asyncio.create_subprocess_exec(*sleeping, env={**os.environ, "PARLEY_INSTANCE": mark(tmp_path, run)})
        for run in ("last", "next")
    }
    await eventually(lambda: len(strays(tmp_path)) == 2)
    buried = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        undertaker.__file__,
        mark(tmp_path, "last"),
        f"{prefix}last_",
        stdin=asyncio.subprocess.PIPE,
    )
    await buried.communicate(b"")
    assert await runs["last"].wait() == -signal.SIGKILL
    assert strays(tmp_path) == [runs["next"].pid]
    assert os.access(next_memory, os.F_OK)
    undertaker.bury(mark(tmp_path), [prefix])
    assert await runs["next"].wait() == -signal.SIGKILL
    assert not os.access(next_memory, os.F_OK)


async def test_wait_does_not_hang_on_a_grandchild_that_keeps_the_output_open(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; print('here');subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    )
    heard: list[str] = []
    env = {**os.environ, "PARLEY_INSTANCE": mark(tmp_path, "earlier")}
    child = await Child.start([sys.executable, "-c", code], env, heard.append)
    async with asyncio.timeout(10):
        assert await child.wait() == 0
    assert heard == ["here"]
    await eventually(lambda: strays(tmp_path) == [])


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne\r\nt", b"wo"], ["one", "two"]),
        ([b"\xff\n"], ["�"]),
        ([b"x" * 40_000], ["x" * 16_384, "x" * 16_384, "x" * 7_232]),
    ],
)
async def test_lines_are_cut_and_bounded(pieces: list[bytes], lines: list[str]) -> None:
    heard: list[str] = []
    cutter = Lines(heard.append)
    for piece in pieces:
        cutter.data_received(piece)
    cutter.connection_lost(None)
    assert heard == lines

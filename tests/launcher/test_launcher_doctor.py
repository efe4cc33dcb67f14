"""The doctor on sound and on broken machines: what it finds, and what it says to do."""

import io
import os
import random
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from services.launcher import doctor, doctor_checks, instance, ports, triton, undertaker
from services.launcher.doctor_checks import Finding

ROOT = Path(__file__).resolve().parents[2]


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1
    return findings[0]


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def missing(name: str) -> str:
    raise PackageNotFoundError(name)


def no_libpython() -> Path:
    raise triton.TritonMissing("libpython3.11.so.1.0 was not found; tritonserver's Python models need it.")


LOCK = """\
# a comment
numpy==1.26.4 ; python_full_version < '3.13' \\
    --hash=sha256:00
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(LOCK)
    return path


BROKEN: list[tuple[Callable[[Path], list[Finding]], str, str, str]] = [
    (lambda _: doctor_checks.python((3, 13)), "bad", "Python 3.13", "make setup"),
    (lambda _: doctor_checks.machine("darwin", "arm64"), "bad", "darwin on arm64", "such a machine"),
    (lambda _: doctor_checks.libpython(no_libpython), "bad", "was not found", "apt-get install libpython3."),
    (lambda _: doctor_checks.numpy(lambda _: "2.4.6"), "bad", "corrupts audio", "make setup"),
    (lambda _: doctor_checks.numpy(missing), "bad", "numpy is missing", "make setup"),
    (lambda path: doctor_checks.packages(path / "no.lock"), "warn", "no lock file", "repository"),
    (lambda path: doctor_checks.runs("nats-server", [str(path / "none")]), "bad", "does not run", "make setup"),
    (lambda path: doctor_checks.shared_memory(path / "none"), "bad", "cannot be written", "mount"),
    (lambda _: doctor_checks.browser(lambda _: None), "warn", "only the tests", "apt-get install chromium"),
    (lambda path: doctor_checks.disk(path, lambda _: 5_000_000), "bad", "4 MB of disk", "PARLEY_STATE_DIR"),
    (lambda path: doctor_checks.disk(path, lambda _: 500_000_000), "warn", "476 MB of disk", "may grow"),
    (
        lambda _: doctor_checks.page_port("192.0.2.1", 8080),
        "bad",
        "PARLEY_HOST: this machine cannot listen on 192.0.2.1",
        "correct it",
    ),
]


@pytest.mark.parametrize(("check", "level", "what", "todo"), BROKEN)
def test_what_is_wrong_is_named_with_what_to_do(
    tmp_path: Path, check: Callable[[Path], list[Finding]], level: str, what: str, todo: str
) -> None:
    finding = only(check(tmp_path))
    assert finding.level == level
    assert what in finding.what
    assert todo in finding.todo


def test_packages_that_differ_from_the_lock_are_named(lock: Path) -> None:
    assert only(doctor_checks.packages(lock, lambda _: "1.26.4")) == Finding("ok", "1 packages as in requirements.lock")
    assert "numpy is 2.4.6, not ==1.26.4" in only(doctor_checks.packages(lock, lambda _: "2.4.6")).what
    assert "numpy is missing" in only(doctor_checks.packages(lock, missing)).what


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    failing = program(tmp_path / "nats-server", "echo 'Illegal instruction' >&2; exit 132")
    finding = only(doctor_checks.runs("nats-server", [str(failing)]))
    assert (finding.level, finding.what) == ("bad", "nats-server does not run: Illegal instruction")


@pytest.mark.parametrize(
    ("said", "level", "what", "todo"),
    [
        ("\tlibz.so.1 => not found", "bad", "lacks libz.so.1", "apt-get install zlib1g, as root"),
        ("\tlibpython3.12.so.1.0 => not found", "bad", "lacks libpython3.12.so.1.0", "apt-get install libpython3.12"),
        ("\tlibodd.so.9 => not found", "bad", "lacks libodd.so.9", "make setup"),
        ("/lib/libc.so.6: version `GLIBC_2.34' not found", "bad", "needs GLIBC_2.34", "Debian 12, Ubuntu 22.04"),
        ("\tlibz.so.1 => /lib/libz.so.1 (0x00)", "ok", "all its libraries", ""),
    ],
)
def test_libraries_that_are_missing_are_named_with_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, level: str, what: str, todo: str
) -> None:
    (tmp_path / "said").write_text(said + "\n")
    program(tmp_path / "ldd", f"cat {tmp_path}/said")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    finding = only(doctor_checks.libraries("tritonserver", tmp_path / "tritonserver"))
    assert finding.level == level
    assert what in finding.what
    assert todo in finding.todo


def test_a_file_that_is_no_program_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "tritonserver").write_text("")
    assert only(doctor_checks.libraries("tritonserver", tmp_path / "tritonserver")).level == "bad"


def test_this_machine_can_run_the_speech_server(tmp_path: Path) -> None:
    found = doctor_checks.tritonserver(tmp_path, ROOT / "model_repository")
    found += doctor_checks.nats() + doctor_checks.speech_data() + doctor_checks.libpython() + doctor_checks.numpy()
    assert [finding for finding in found if finding.level != "ok"] == []
    assert list(tmp_path.iterdir()) == []


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    finding = only(doctor_checks.tritonserver(tmp_path, tmp_path))
    assert finding.level == "bad"
    assert "no model 'pocketsphinx'" in finding.what


@pytest.mark.parametrize(
    ("levels", "status", "end"),
    [
        (["ok", "ok"], 0, "Everything that is needed is here."),
        (["ok", "warn"], 0, "Everything that is needed is here."),
        (["ok", "bad", "bad"], 1, "2 of 3 things are wrong and needed."),
    ],
)
def test_the_report_ends_with_what_it_comes_to(levels: list[str], status: int, end: str) -> None:
    out = io.StringIO()
    assert doctor.report([Finding(level, f"thing {level}", "do this") for level in levels], out) == status  # type: ignore[arg-type]
    assert end in out.getvalue()
    assert out.getvalue().count("→ do this") == len(levels)


def test_the_whole_doctor_runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PARLEY_LLM_MODE", "echo")
    out = io.StringIO()
    assert doctor.doctor(out) == 0, out.getvalue()
    monkeypatch.setenv("PARLEY_PORT", "none")
    out = io.StringIO()
    assert doctor.doctor(out) == 1
    assert "bad   PARLEY_PORT: " in out.getvalue()


def test_the_doctor_names_a_state_folder_that_cannot_be_made() -> None:
    finding = only(doctor_checks.tritonserver(Path("/proc/parley"), ROOT / "model_repository"))
    assert finding.level == "bad"
    assert finding.what.startswith("PARLEY_STATE_DIR: /proc/parley cannot be used: ")
    assert "Errno" not in finding.what


def test_the_doctor_tells_a_misspelt_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PARLEY_LLM_MODE", "echo")
    monkeypatch.setenv("PARLEY_PROT", "1")
    out = io.StringIO()
    assert doctor.doctor(out) == 0
    assert "warn  PARLEY_PROT: nothing reads this variable; did you mean PARLEY_PORT?" in out.getvalue()


def announced(folder: Path, port: int) -> instance.Instance:
    mine = instance.claim(folder)
    url = f"http://127.0.0.1:{port}"
    mine.announce(instance.Running(os.getpid(), url, "echo", "127.0.0.1:1", {"page": port}))
    return mine


def test_a_stack_is_found_wherever_its_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of this state folder and one of another; the other is known by the mark of its processes."""
    here, there = ports.internal(2, random.Random())
    ours, other = announced(tmp_path / "ours", here), announced(tmp_path / "other", there)
    monkeypatch.setenv("PARLEY_STATE_DIR", str(tmp_path / "ours"))
    monkeypatch.setenv("PARLEY_LLM_MODE", "echo")
    env = {**os.environ, undertaker.INSTANCE_VARIABLE: undertaker.mark(other.folder, other.run)}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=env) as part:
        try:
            out = io.StringIO()
            assert doctor.doctor(out) == 0
        finally:
            part.kill()
    for port in (here, there):
        assert f"a stack runs at http://127.0.0.1:{port} but is not ready" in out.getvalue()
    ours.release()
    other.release()
    assert doctor._stacks(tmp_path / "ours").keys().isdisjoint({ours.folder, other.folder})


def test_the_port_of_a_running_stack_is_no_trouble_and_a_free_one_does_not_hide_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = instance.Running(1, f"http://127.0.0.1:{port}", "echo", "127.0.0.1:1", {"page": port})
        own = only(doctor_checks.page_port("127.0.0.1", port, [running]))
        assert (own.level, own.what) == ("ok", f"port {port} is that of the stack at {running.url}")
    free = only(doctor_checks.page_port("127.0.0.1", port, [replace(running, ports={"page": 1})]))
    assert (free.level, free.what) == ("ok", f"port {port} is free for one more stack, beside {running.url}")
    assert only(doctor_checks.page_port("127.0.0.1", port)).what == f"port {port} is free"


async def test_no_stack_is_said() -> None:
    assert await doctor._running({}) == [Finding("ok", "no stack is running")]


def test_the_doctor_runs_on_supported_pythons_only_here() -> None:
    assert only(doctor_checks.python()).level == "ok"
    assert sys.version_info[:2] in doctor_checks.PYTHONS

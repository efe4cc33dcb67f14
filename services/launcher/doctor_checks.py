"""What `parley doctor` looks at. Each check returns findings; none raises for what it is there to find."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from services.launcher import instance, ports, triton
from services.launcher.parts import nats_server

PYTHONS = ((3, 11), (3, 12))
SHARED_MEMORY_NEEDED = 32 * 1024 * 1024
DISK_NEEDED = 100 * 1024 * 1024
DISK_WISHED = 1024 * 1024 * 1024
DEBIAN_PACKAGES = {
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libz.so.1": "zlib1g",
    "libexpat.so.1": "libexpat1",
    "libc.so.6": "libc6",
    "libpython3.11.so.1.0": "libpython3.11",
    "libpython3.12.so.1.0": "libpython3.12",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Finding:
    level: Literal["ok", "warn", "bad"]
    what: str
    todo: str = ""


def ok(what: str) -> list[Finding]:
    return [Finding("ok", what)]


def warn(what: str, todo: str) -> list[Finding]:
    return [Finding("warn", what, todo)]


def bad(what: str, todo: str) -> list[Finding]:
    return [Finding("bad", what, todo)]


def python(running: tuple[int, int] = sys.version_info[:2]) -> list[Finding]:
    name = f"Python {running[0]}.{running[1]}"
    if running in PYTHONS:
        return ok(f"{name} ({sys.executable})")
    return bad(f"{name}, but Triton's Python stub and numpy 1.26 need 3.11 or 3.12", "install one of them; make setup")


def machine(system: str = sys.platform, architecture: str = os.uname().machine) -> list[Finding]:
    if system == "linux" and architecture == "x86_64":
        return ok("Linux on x86-64")
    return bad(
        f"{system} on {architecture}, but the embedded tritonserver is for Linux on x86-64", "use such a machine"
    )


def libpython(find: Callable[[], Path] = triton.find_libpython) -> list[Finding]:
    try:
        return ok(f"shared Python library: {find()}")
    except triton.TritonMissing as error:
        package = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
        return bad(str(error).split(";")[0], f"apt-get install {package}, as root")


def packages(lock: Path, installed: Callable[[str], str] = version) -> list[Finding]:
    """The virtual environment against what the lock file has for this machine."""
    try:
        text = lock.read_text()
    except OSError as error:
        return warn(f"no lock file to compare the packages with ({error.strerror}: {lock})", "run from the repository")
    entries = [Requirement(line.rstrip(" \\")) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    locked = [entry for entry in entries if entry.marker is None or entry.marker.evaluate()]
    wrong: list[str] = []
    for entry in locked:
        try:
            here = installed(entry.name)
        except PackageNotFoundError:
            wrong.append(f"{entry.name} is missing")
            continue
        if here not in entry.specifier:
            wrong.append(f"{entry.name} is {here}, not {entry.specifier}")
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        return bad(f"packages differ from {lock.name}: {shown}", "make setup")
    return ok(f"{len(locked)} packages as in {lock.name}")


def numpy(installed: Callable[[str], str] = version) -> list[Finding]:
    try:
        here = installed("numpy")
    except PackageNotFoundError:
        return bad("numpy is missing", "make setup")
    if int(here.split(".")[0]) >= 2:
        return bad(f"numpy {here}: from 2 on, Triton's Python stub corrupts audio without any error", "make setup")
    return ok(f"numpy {here}")


def runs(name: str, argv: Sequence[str]) -> list[Finding]:
    """Whether a program starts and says its version."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        return bad(f"{name} does not run: {error}", "make setup")
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0:
        return bad(f"{name} does not run: {said[:200]}", "make setup")
    return ok(said.splitlines()[0] if said else name)


def nats() -> list[Finding]:
    return runs("nats-server", [str(nats_server()), "--version"])


def libraries(name: str, program: Path, env: Mapping[str, str] | None = None) -> list[Finding]:
    """Whether all shared libraries of a program are found; missing ones are named with their Debian package."""
    try:
        done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, timeout=10, env=env)
    except (OSError, subprocess.SubprocessError) as error:
        return bad(f"{name} cannot be looked at: {error}", "make setup")
    said = done.stdout + done.stderr
    if done.returncode != 0:
        return bad(f"{name} is no program for this machine: {said.strip()[:200]}", "make setup")
    missing = re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE)
    if newer := re.findall(r"version `(\S+)' not found", said):
        return bad(f"{name} needs {', '.join(sorted(set(newer)))}", "use Debian 12, Ubuntu 22.04 or something newer")
    if missing:
        found = [DEBIAN_PACKAGES.get(library, "") for library in missing]
        todo = f"apt-get install {' '.join(filter(None, found))}, as root" if all(found) else "make setup"
        return bad(f"{name} lacks {', '.join(missing)}", todo)
    return ok(f"{name} has all its libraries")


def tritonserver(state: Path, repository: Path) -> list[Finding]:
    try:
        server = triton.prepare(repository, state / "doctor", triton.TritonPorts(1, 1, 1))
    except triton.TritonMissing as error:
        return bad(str(error), "make setup")
    except OSError as error:
        return bad(instance.unusable(state, error), "correct it in the environment or in .env")
    stub = state / "doctor" / "backends" / "python" / "triton_python_backend_stub"
    found = libraries("tritonserver", Path(server.argv[0])) + libraries("Triton's Python stub", stub, server.env)
    shutil.rmtree(state / "doctor", ignore_errors=True)
    return found


def speech_data() -> list[Finding]:
    """The data files of the embedded recogniser, voice and speech detector."""
    wanted = (
        ("espeak-ng voices", "espeakng_loader", "espeak-ng-data/phontab"),
        ("pocketsphinx model", "pocketsphinx", "model/en-us/en-us/mdef"),
        ("Silero speech detector", "faster_whisper", "assets/silero_vad_v6.onnx"),
    )
    found: list[Finding] = []
    for what, package, data in wanted:
        spec = importlib.util.find_spec(package)
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []
        if any((folder / data).is_file() for folder in folders):
            found += ok(what)
        else:
            found += bad(f"{what}: {package}/{data} is missing", "make setup")
    return found


def page_port(host: str, port: int, running: Sequence[instance.Running] = ()) -> list[Finding]:
    """Whether the page's port is free. `running`: stacks that were found at work already."""
    for stack in running:
        if stack.ports.get("page") == port:
            return ok(f"port {port} is that of the stack at {stack.url}")
    try:
        free = ports.page(host, port)
    except ports.NoHostError as error:
        return bad(str(error), "correct it in the environment or in .env")
    except ports.NoPortError as error:
        return bad(f"no port for the page: {error}", "set PARLEY_PORT to what is free")
    if free != port:
        return warn(f"port {port} is taken; the page would be on port {free}", "set PARLEY_PORT if you want another")
    beside = f" for one more stack, beside {', '.join(stack.url for stack in running)}" if running else ""
    return ok(f"port {port} is free{beside}")


def disk(folder: Path, free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free) -> list[Finding]:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return bad(f"{existing} cannot be written", "set PARLEY_STATE_DIR to a folder that can")
    mega = free(existing) // 1024**2
    if free(existing) < DISK_NEEDED:
        return bad(f"{mega} MB of disk free at {existing}", "free some, or set PARLEY_STATE_DIR")
    if free(existing) < DISK_WISHED:
        return warn(f"{mega} MB of disk free at {existing}", "logs and stores may grow to 1 GB")
    return ok(f"{mega} MB of disk free at {existing}")


def shared_memory(folder: Path = Path("/dev/shm")) -> list[Finding]:
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return bad(f"{folder} cannot be written, and Triton's models talk through it", f"mount -t tmpfs tmpfs {folder}")
    usage = shutil.disk_usage(folder)
    if usage.free < SHARED_MEMORY_NEEDED:
        return bad(
            f"{usage.free // 1024**2} MB free in {folder}, and Triton's models want {SHARED_MEMORY_NEEDED // 1024**2}",
            "in a container: --shm-size=256m; otherwise remove what lies there",
        )
    return ok(f"{usage.free // 1024**2} MB of shared memory")


def browser(find: Callable[[str], str | None] = shutil.which) -> list[Finding]:
    for name in BROWSERS:
        if found := find(name):
            return ok(f"browser for the tests: {found}")
    return warn("no Chromium here; only the tests need it", "apt-get install chromium, as root")

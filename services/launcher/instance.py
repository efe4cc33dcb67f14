"""The folder of one running stack: its lock, its session secret, its stores and its log.

The first stack of a state folder uses the folder itself, one that is started beside it the next free of the
numbered folders within, so that both run with stores, ports and logs of their own.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MOST = 9
"""Stacks beside each other in one state folder."""
SECRET_BYTES = 32
TARGETS = "prometheus-targets.json"


class NoRoomError(RuntimeError):
    """Every folder has a running stack already; the text says so."""


@dataclass(frozen=True)
class Running:
    """What a running stack tells other commands, in `instance.json`."""

    pid: int
    url: str
    answers: str
    triton: str
    """gRPC address."""
    ports: dict[str, int]


@dataclass(frozen=True)
class Instance:
    folder: Path
    number: int
    run: str
    """Tells this start from the folder's earlier ones."""
    _lock: int

    @property
    def log_file(self) -> Path:
        return self.folder / "log" / "parley.log"

    def secret(self) -> str:
        """The key that signs session tokens: made once, so that tokens outlive a restart; its owner's alone."""
        path = self.folder / "session.secret"
        with contextlib.suppress(FileNotFoundError):
            if text := path.read_text().strip():
                return text
        text = secrets.token_hex(SECRET_BYTES)
        _write_private(path, text + "\n")
        return text

    def announce(self, running: Running) -> None:
        _write_private(self.folder / "instance.json", json.dumps(asdict(running), indent=2) + "\n")

    def offer_metrics(self, addresses: Mapping[str, str]) -> None:
        """Tell a Prometheus on this machine ("host:port" by job) where the parts serve `/metrics`."""
        found = [{"targets": [address], "labels": {"job": job}} for job, address in addresses.items()]
        _write_private(self.folder / TARGETS, json.dumps(found, indent=2) + "\n")

    def release(self) -> None:
        (self.folder / "instance.json").unlink(missing_ok=True)
        (self.folder / TARGETS).unlink(missing_ok=True)
        os.close(self._lock)


def claim(root: Path) -> Instance:
    """Take the first free folder. Raises NoRoomError, or OSError when the folder cannot be written."""
    for number, folder in enumerate(folders(root), start=1):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        return Instance(folder.resolve(), number, secrets.token_hex(4), lock)
    raise NoRoomError(
        f"{MOST} stacks run from {root} already; stop one, or set PARLEY_STATE_DIR to another folder for this one"
    )


def unusable(root: Path, error: OSError) -> str:
    """The sentence for a state folder that cannot be made or written."""
    return (
        f"PARLEY_STATE_DIR: {root} cannot be used: {error.strerror or error}. It takes: a folder that can be made and "
        "written, for the session secret, stores and logs"
    )


def running(root: Path) -> list[Running]:
    """The stacks that run from this state folder."""
    return [found for folder in folders(root) if (found := running_in(folder))]


def running_in(folder: Path) -> Running | None:
    """The stack that runs in one folder."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        told: dict[str, Any] = json.loads((folder / "instance.json").read_text())
        if _is_locked(folder / "lock"):
            return Running(**told)
    return None


def folders(root: Path) -> list[Path]:
    """Where the stacks of a state folder run: the first in itself, further ones in numbered folders within."""
    return [root, *(root / str(number) for number in range(2, MOST + 1))]


def _is_locked(path: Path) -> bool:
    with path.open("r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _write_private(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)

"""The whole stack as a user starts it, for tests: `parley up`, its address, its processes, its end."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import psutil

PARLEY = Path(sys.executable).with_name("parley")
ROOT = Path(__file__).parents[2]


class Stack:
    """`start` returns when the page can be opened. Log lines are kept for the message of a failure."""

    def __init__(self, state: Path, **settings: str) -> None:
        self.state = state
        self.lines: list[str] = []
        self.url = ""
        self._ended = False
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        environment |= {
            "PARLEY_STATE_DIR": str(state),
            "PARLEY_PORT": str(_free_port()),
            "PARLEY_LLM_MODE": "template",
        }
        environment |= {f"PARLEY_{name.upper()}": value for name, value in settings.items()}
        self._process = subprocess.Popen(
            [str(PARLEY), "up", "--verbose"],
            cwd=state,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def start(self) -> "Stack":
        self.url = self.wait_for(r"Talk at (\S+)", 90)[1]
        return self

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws") + "/v1/conversation"

    def wait_for(self, pattern: str, seconds: float, after: int = 0) -> re.Match[str]:
        """The first match in the log from line `after` on."""
        deadline = time.monotonic() + seconds
        seen = after
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    if found := re.search(pattern, line):
                        return found
                seen = len(self.lines)
                if self._ended or not self._changed.wait(deadline - time.monotonic()):
                    tail = "\n".join(self.lines[-40:])
                    raise AssertionError(f"no {pattern!r} within {seconds:g} s; the log ends with\n{tail}")

    def part(self, name: str) -> psutil.Process:
        """The process of a part: nats-server, tritonserver, services.dialogue or services.edge."""
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if any(Path(word).name == name or word == name for word in line[:3]):
                    return process
        raise AssertionError(f"{name} does not run")

    def processes(self) -> list[psutil.Process]:
        launcher = psutil.Process(self._process.pid)
        return [launcher, *launcher.children(recursive=True)]

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=5) as reply:
            return reply.read().decode()

    def interrupt(self) -> float:
        """Ctrl-C; the seconds until all has ended."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        return time.monotonic() - begun

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]

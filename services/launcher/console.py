"""What `parley up` prints and what it writes to its log file.

A thread of its own does both, since a terminal that is held (Ctrl-S) or a slow disk must not hold the event
loop. Its queue is bounded: lines that do not fit are counted and dropped.
"""

import logging
import queue
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

LAUNCHER = "parley"
LOG_BYTES = 10 * 1024 * 1024
LOG_FILES_KEPT = 2
QUEUE_LINES = 10_000

_COLOURS = {LAUNCHER: "1", "nats": "36", "triton": "32", "worker": "35", "edge": "34"}
_TROUBLE = "33"

_CHATTER = {
    "nats": re.compile(r"\[(INF|DBG|TRC)\]|^\s*$"),
    # On a machine without GPU Triton complains of that in several ways at each start; at its end, of our open channels.
    "triton": re.compile(
        r"^[IW]\d{4} |^\S+Z [IW] \d|CudaDriverHelper|failed to stop server|^Signal \(15\)|^[+|]|^\s*$"
    ),
}
_SERVICE_CHATTER = re.compile(r'^\S+ \[(debug|info) *\]|"level": ?"(debug|info)"|^\s*$')


def is_chatter(part: str, text: str) -> bool:
    """Whether a line that a part printed is for the log file only, unless the user asked for all."""
    return _CHATTER.get(part, _SERVICE_CHATTER).search(text) is not None


@dataclass(frozen=True, slots=True)
class _Line:
    at: datetime
    part: str
    text: str
    shown: bool
    trouble: bool = False


class Console:
    """One prefixed log of all parts, on the terminal and in a file that is kept to 30 MB."""

    def __init__(self, terminal: TextIO, log_file: Path | None = None, verbose: bool = False) -> None:
        self._terminal = terminal
        self._colour = terminal.isatty()
        self._verbose = verbose
        self._file: RotatingFileHandler | None = None
        if log_file is not None:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            self._file = RotatingFileHandler(log_file, maxBytes=LOG_BYTES, backupCount=LOG_FILES_KEPT, encoding="utf-8")
        self._lines: queue.Queue[_Line | None] = queue.Queue(QUEUE_LINES)
        self.dropped = 0
        self._thread = threading.Thread(target=self._write_all, name="console", daemon=True)
        self._thread.start()

    def say(self, text: str, part: str = LAUNCHER, trouble: bool = False) -> None:
        """A line of the launcher's own."""
        self._put(_Line(datetime.now(UTC), part, text, True, trouble))

    def hear(self, part: str, text: str) -> bool:
        """A line that a part printed; whether the terminal shows it."""
        shown = self._verbose or not is_chatter(part, text)
        self._put(_Line(datetime.now(UTC), part, text, shown))
        return shown

    def close(self) -> None:
        """Write what is waiting, for a second at most."""
        if self.dropped:
            self.say(f"{self.dropped} lines were dropped: the terminal or the disk could not keep up", trouble=True)
        try:
            self._lines.put(None, timeout=0.5)
        except queue.Full:
            return
        self._thread.join(1.0)

    def _put(self, line: _Line) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            if line.shown:
                self._show(line)
            if self._file is not None:
                stamp = line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                self._file.emit(logging.makeLogRecord({"msg": f"{stamp} {line.part:<6} | {line.text}"}))
        if self._file is not None:
            self._file.close()

    def _show(self, line: _Line) -> None:
        prefix, text = f"{line.part:<6} |", line.text
        if self._colour:
            prefix = f"\033[{_COLOURS.get(line.part, '0')}m{prefix}\033[0m"
            text = f"\033[{_TROUBLE}m{text}\033[0m" if line.trouble else text
        try:
            self._terminal.write(f"{prefix} {text}\n")
            self._terminal.flush()
        except (OSError, ValueError):
            pass  # the terminal was closed; the file still gets everything

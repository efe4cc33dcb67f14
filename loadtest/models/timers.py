"""Many things to be done later, by one thread; load tests only."""

import heapq
import itertools
import threading
import time
import traceback
from collections.abc import Callable

Work = Callable[[], object]
After = Callable[[float, Work], None]
"""Have something done so many seconds from now."""


class Timers:
    """Does each piece of work when it is due, one after the other. Work must not block."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Work]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
        self._thread.start()

    def after(self, seconds: float, work: Work) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), work))
            if self._due[0][2] is work:
                self._changed.notify()

    def close(self) -> None:
        """What is not due yet is never done."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except Exception:
                traceback.print_exc()  # the thread is everybody's: one that fails must not end the others

    def _next(self) -> Work | None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None

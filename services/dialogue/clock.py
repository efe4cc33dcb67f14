"""The worker's clock: seconds since 1970 that never jump."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady_clock() -> Clock:
    """A clock that starts at the wall clock's time and then follows the monotonic one."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()

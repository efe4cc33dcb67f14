"""Where a sample lies in time, on the worker's clock and on the client's."""

from services.contracts.audio import UPLINK


class AudioClock:
    """When did sample number n happen? Maps sample numbers to the worker's and to the client's clock.

    Frames arrive late by a varying delay; the least delayed one of late is the best witness, so the mapping
    follows the minimum and drifts up only slowly. A stream that paused for more than `_BREAK_S` starts anew.
    """

    _BREAK_S = 0.5
    _DRIFT = 0.001
    """Seconds per second that the mapping gives way, against clocks of different speed."""

    def __init__(self) -> None:
        self._origin: float | None = None
        """Worker's time of sample 0, as well as it is known."""
        self._last = 0.0
        self._client_origin_ms = 0.0

    def arrived(self, end: int, now: float, first: int, client_ms: float) -> None:
        """A frame came at `now`: samples `first` to `end`, captured from `client_ms` on by the client's clock."""
        origin = now - end / UPLINK.sample_rate
        if self._origin is None or origin - self._origin > self._BREAK_S:
            self._origin = origin
        else:
            self._origin = min(origin, self._origin + self._DRIFT * max(0.0, now - self._last))
        self._last = now
        self._client_origin_ms = client_ms - first * 1000 / UPLINK.sample_rate

    def worker_time(self, sample: int) -> float:
        return (self._origin or 0.0) + sample / UPLINK.sample_rate

    def client_ms(self, sample: int) -> float:
        return self._client_origin_ms + sample * 1000 / UPLINK.sample_rate

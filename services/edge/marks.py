"""When a connection's messages pass the edge, as far as its worker asks: see `assignment.Mark`.

Pure: times are passed in, in seconds since 1970 on the edge's clock.
"""

from array import array

from services.contracts.assignment import Mark, Marked

KEPT = 1024
"""Microphone frames whose arrival is remembered: 20 s, and no silence that is waited for is longer."""


class Marks:
    def __init__(self) -> None:
        self._sequences = array("q", [-1]) * KEPT
        self._arrivals = array("d", [0.0]) * KEPT
        self._mark: Mark | None = None
        self._took = 0.0
        self.generation = -1
        """Of the answer whose first audio frame is waited for; -1: of none."""

    def heard(self, sequence: int, at: float) -> None:
        """A microphone frame came."""
        place = sequence % KEPT
        self._sequences[place] = sequence
        self._arrivals[place] = at

    def ask(self, mark: Mark) -> None:
        """Look out for the first frame of this answer; what was looked out for before is forgotten."""
        self._mark = mark
        self._took = 0.0
        self.generation = mark.generation

    def took(self, at: float) -> None:
        """An audio frame of the answer came from the worker; the first one counts."""
        self._took = self._took or at

    def sent(self, at: float) -> tuple[Mark, Marked] | None:
        """An audio frame of the answer has left. The mark and the answer to it, once."""
        mark, self._mark = self._mark, None
        self.generation = -1
        if mark is None or not self._took:
            return None
        return mark, Marked(
            generation=mark.generation,
            heard_us=self._heard_us(mark),
            took_us=int(self._took * 1e6),
            sent_us=int(at * 1e6),
        )

    def _heard_us(self, mark: Mark) -> int:
        if mark.sequence is None:
            return mark.heard_us
        place = mark.sequence % KEPT
        return int(self._arrivals[place] * 1e6) if self._sequences[place] == mark.sequence else 0

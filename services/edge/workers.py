"""Which dialogue workers are there, by their beats. Pure: the time is passed in, in seconds of any one clock."""

from dataclasses import dataclass
from enum import Enum, auto

from services.contracts.assignment import LOST_AFTER_SECONDS, Beat

MAX_WORKERS = 10_000
FORGET_SECONDS = 60.0


class Presence(Enum):
    THERE = auto()
    SILENT = auto()
    """Its beats stopped, or it is not known: taken for lost."""
    LEFT = auto()
    """It said that it stops; its sessions are in the store."""


@dataclass(slots=True)
class _Worker:
    heard: float
    free: int = 0
    left: bool = False


class Roster:
    def __init__(self) -> None:
        self._workers: dict[str, _Worker] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def heard(self, beat: Beat, now: float) -> None:
        """Take in a beat."""
        self._forget(now)
        if beat.wid in self._workers or len(self._workers) < MAX_WORKERS:
            free = 0 if beat.draining or beat.leaving else max(0, beat.slots - beat.active)
            self._workers[beat.wid] = _Worker(now, free, beat.leaving)

    def expect(self, wid: str, now: float) -> None:
        """A worker took a session: it may not have beaten yet, but is to beat from now on."""
        if wid not in self._workers:
            self._workers[wid] = _Worker(now)

    def forgive(self, now: float) -> None:
        """We could not hear (NATS was away): the silence so far says nothing about the workers."""
        for worker in self._workers.values():
            worker.heard = now

    def presence(self, wid: str, now: float) -> Presence:
        worker = self._workers.get(wid)
        if worker is None or now - worker.heard > LOST_AFTER_SECONDS:
            return Presence.LEFT if worker and worker.left else Presence.SILENT
        return Presence.LEFT if worker.left else Presence.THERE

    def there(self, now: float) -> list[str]:
        """The workers that are there."""
        return [wid for wid in self._workers if self.presence(wid, now) is Presence.THERE]

    def alive(self, now: float) -> int:
        """How many workers are there."""
        return len(self.there(now))

    def free(self, now: float) -> int:
        """Free places at the workers that are there, as they last said."""
        return sum(worker.free for wid, worker in self._workers.items() if self.presence(wid, now) is Presence.THERE)

    def _forget(self, now: float) -> None:
        for wid in [wid for wid, worker in self._workers.items() if now - worker.heard > FORGET_SECONDS]:
            del self._workers[wid]

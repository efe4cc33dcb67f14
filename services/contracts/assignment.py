"""What edge and dialogue workers say to each other about who holds a session."""

from typing import Literal

import msgspec

from services.contracts.settings import SettingsPatch


class Attach(msgspec.Struct, frozen=True, kw_only=True):
    """Request on `ASSIGN` or `RECLAIM` of `subjects` (a worker is wanted) or `attach(sid)` (its holder is wanted)."""

    sid: str
    token: str
    """Told to the client in `ready`; the edge has checked it on resume."""
    resume: bool
    last_sequence: int = 0
    epoch: int = 0
    """The last that this edge knows of the session; 0: none, as when it resumes what another edge had."""
    unheard: int = 0
    """So many tries of this attachment got no reply; a worker may have taken the session by each of them."""
    settings: SettingsPatch = SettingsPatch()
    client: str = ""


_UNHEARD_STEP = 1000
"""More epochs than a worker that is not heard counts by itself."""


def next_epoch(known: int, request: Attach) -> int:
    """The epoch of an attachment at a worker that has the session at epoch `known`.

    It is higher than that of every attachment before, those included that nobody heard of: the edge would take
    messages of the same epoch for its worker's, and of a higher one for another connection's.
    """
    return max(known, request.epoch) + 1 + _UNHEARD_STEP * request.unheard


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """The reply. `busy`: ask another worker. `unknown`: a resume of a session that nobody remembers.

    `failed`: the worker could not; another one, or a later try, may.
    """

    status: Literal["ok", "busy", "unknown", "failed"]
    wid: str = ""
    epoch: int = 0
    """Messages of older epochs are dropped by whoever gets them."""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """Published every 500 ms by each worker; one that has not been heard for 2 s is taken for lost."""

    wid: str
    slots: int
    active: int
    draining: bool = False
    leaving: bool = False
    """The last beat of a worker that stops in order."""


BEAT_SECONDS = 0.5
LOST_AFTER_SECONDS = 2.0


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a frame of Kind.CONTROL.

    To the worker: `present` (a browser is connected, and the session is worker `wid`'s), said at once after each
    attachment and every PRESENCE_SECONDS; a worker that holds the session and is another one gives it up. `detached`:
    the browser's connection is gone.
    To the edge: `close` (end this connection with `code` as an errors.Code).
    """

    verb: Literal["present", "detached", "close"]
    wid: str = ""
    code: str = ""


PRESENCE_SECONDS = 10.0
ABSENT_AFTER_SECONDS = 35.0
"""A session whose edge has said nothing for so long has lost its connection, and its edge with it."""

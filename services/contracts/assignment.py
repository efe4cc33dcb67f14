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


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker asks an edge when the turn passed it on its way up, and is to pass it on its way down."""

    generation: int
    """Of the answer, whose first audio frame it is about."""
    sequence: int | None = None
    """Of the microphone frame with the last of the user's speech; None: the message was typed."""
    heard_us: int = 0
    """When the edge took a typed message in, as it wrote into the frame's header."""
    traceparent: str = ""
    """Of the turn."""


class Marked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to `Mark`, once the first audio frame has left. Microseconds since 1970 on the edge's clock."""

    generation: int
    heard_us: int = 0
    """It took the microphone frame, or the typed message; 0: it does not know."""
    took_us: int
    """It took the answer's first audio frame from NATS."""
    sent_us: int
    """It had written that to the client's connection."""
    ahead_us: int = 0
    """So much the worker's clock is ahead of the edge's."""


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Payload of a frame of Kind.CONTROL.

    To the worker: `present` (a browser is connected, and the session is worker `wid`'s), said at once after each
    attachment and every PRESENCE_SECONDS; a worker that holds the session and is another one gives it up. `detached`:
    the browser's connection is gone. `marked`: the answer to a `mark`.
    To the edge: `close` (end this connection with `code` as an errors.Code). `mark`: see `Mark`.
    """

    verb: Literal["present", "detached", "marked", "close", "mark"]
    wid: str = ""
    code: str = ""
    mark: Mark | None = None
    marked: Marked | None = None


class ClockReply(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's answer to a request on `subjects.clock(wid)`, whose payload is empty: its time, in microseconds since
    1970, when it took the request and when it answered."""

    took_us: int
    answered_us: int


CLOCK_SECONDS = 10.0
"""An edge asks each worker for its time so often."""


PRESENCE_SECONDS = 10.0
ABSENT_AFTER_SECONDS = 35.0
"""A session whose edge has said nothing for so long has lost its connection, and its edge with it."""

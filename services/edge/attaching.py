"""Finding the worker that holds a session, or one that takes it."""

from enum import Enum, auto

import msgspec

from services.contracts import subjects
from services.contracts.assignment import Attach, Attached
from services.contracts.errors import Code
from services.edge.bus import Bus, NoResponder, Unavailable

TRIES = 3
REPLY_SECONDS = 2.0
HOLDER_REPLY_SECONDS = 0.5
"""A holder that does not answer within this time hangs; its session is taken up elsewhere."""
_decoder = msgspec.json.Decoder(Attached)


class Ask(Enum):
    """Whom to ask for a session."""

    HOLDER = auto()
    HOLDER_THEN_ANYONE = auto()
    ANYONE = auto()


class Refused(Exception):
    """No worker took the session; `code` says why."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.value)
        self.code = code


async def attach(bus: Bus, request: Attach, ask: Ask, workers_alive: bool) -> Attached:
    """The attachment, with status "ok". Raises Refused.

    When nobody listens for sessions, `workers_alive` tells a full system from one without workers.
    """
    message = msgspec.json.encode(request)
    if ask is not Ask.ANYONE:
        try:
            reply = _decode(await bus.request(subjects.attach(request.sid), message, HOLDER_REPLY_SECONDS))
        except (NoResponder, Unavailable):
            reply = None
        if reply is not None and reply.status != "busy":
            return _accept(reply)
        if ask is Ask.HOLDER:
            raise Refused(Code.NO_WORKER)
    full = False
    for _ in range(TRIES):
        try:
            reply = _decode(await bus.request(subjects.ASSIGN, message, REPLY_SECONDS))
        except NoResponder:
            raise Refused(Code.AT_CAPACITY if workers_alive else Code.NO_WORKER) from None
        except Unavailable:
            if not bus.connected:
                break
            continue
        if reply.status != "busy":
            return _accept(reply)
        full = True
    raise Refused(Code.AT_CAPACITY if full else Code.NO_WORKER)


def _accept(reply: Attached) -> Attached:
    if reply.status == "unknown":
        raise Refused(Code.SESSION_UNKNOWN)
    return reply


def _decode(reply: bytes) -> Attached:
    try:
        return _decoder.decode(reply)
    except msgspec.DecodeError as error:
        raise Unavailable(f"not an attachment: {error}") from error

"""Finding the worker that holds a session, or one that takes it."""

from enum import Enum, auto

import msgspec

from services.contracts import subjects
from services.contracts.assignment import Attach, Attached
from services.contracts.errors import Code
from services.contracts.trace import HEADER, TraceContext
from services.edge.bus import Bus, NoResponder, Unavailable

TRIES = 3
REPLY_SECONDS = 2.0
HOLDER_REPLY_SECONDS = 0.5
"""A holder that does not answer within this time hangs; its session is taken up elsewhere."""
_NEXT_PLEASE = ("busy", "failed")
_decoder = msgspec.json.Decoder(Attached)


class Ask(Enum):
    """Whom to ask for a session."""

    HOLDER = auto()
    HOLDER_THEN_ANYONE = auto()
    ANYONE = auto()


class Refused(Exception):
    """No worker took the session; `code` says why. `unheard`: that of the request, for the next one."""

    def __init__(self, code: Code, unheard: int = 0) -> None:
        super().__init__(code.value)
        self.code = code
        self.unheard = unheard


async def attach(bus: Bus, request: Attach, ask: Ask, workers_alive: bool, trace: TraceContext) -> Attached:
    """The attachment, with status "ok". Raises Refused.

    When nobody listens for sessions, `workers_alive` tells a full system from one without workers. `trace`: what the
    worker's taking of the session is part of.
    """
    headers = {HEADER: trace.traceparent}
    if ask is not Ask.ANYONE:
        try:
            reply = await _ask(bus, subjects.attach(request.sid), request, HOLDER_REPLY_SECONDS, headers)
        except NoResponder:
            reply = None
        except Unavailable:
            reply, request = None, _unheard(request)
        if reply is not None and reply.status not in _NEXT_PLEASE:
            return _accept(reply, request)
        if ask is Ask.HOLDER:
            raise Refused(Code.NO_WORKER, request.unheard)
    return await _anyone(bus, request, workers_alive, headers)


async def _anyone(bus: Bus, request: Attach, workers_alive: bool, headers: dict[str, str]) -> Attached:
    """By whoever has a free slot; if nobody has, by whoever holds one for a client that is gone. Raises Refused."""
    full = False
    for subject in (subjects.ASSIGN, subjects.RECLAIM):
        nobody = False
        for _ in range(TRIES):
            try:
                reply = await _ask(bus, subject, request, REPLY_SECONDS, headers)
            except NoResponder:
                nobody = True
                full = full or workers_alive
                break
            except Unavailable:
                if not bus.connected:
                    break
                request = _unheard(request)
                continue
            if reply.status not in _NEXT_PLEASE:
                return _accept(reply, request)
            full = full or reply.status == "busy"
        if not full and not nobody:
            break  # workers there are, and they fail: asking for another's slot mends nothing
    raise Refused(Code.AT_CAPACITY if full else Code.NO_WORKER, request.unheard)


def _unheard(request: Attach) -> Attach:
    """To be asked after a try without a reply."""
    return msgspec.structs.replace(request, unheard=request.unheard + 1)


def _accept(reply: Attached, request: Attach) -> Attached:
    if reply.status == "unknown":
        raise Refused(Code.SESSION_UNKNOWN, request.unheard)
    return reply


async def _ask(bus: Bus, subject: str, request: Attach, timeout: float, headers: dict[str, str]) -> Attached:
    reply = await bus.request(subject, msgspec.json.encode(request), timeout, headers)
    try:
        return _decoder.decode(reply)
    except msgspec.DecodeError as error:
        raise Unavailable(f"not an attachment: {error}") from error

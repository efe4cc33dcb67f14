"""NATS subjects. `sid` is a session's id, `wid` a dialogue worker's: 32 hex digits each."""

import re
import secrets

ASSIGN = "voice.v1.assign"
"""Request: a session wants a worker. Workers with free slots answer it in the queue group below."""
RECLAIM = "voice.v1.reclaim"
"""Request: no worker has a free slot; a session wants that of one whose client is gone. The same queue group."""
ASSIGN_QUEUE = "dialogue"
BEATS = "voice.v1.w.*.beat"
TURNS = "voice.v1.turns"
"""Each turn that was measured, see `turns.MeasuredTurn`; every edge hears all of them."""
SESSIONS_BUCKET = "sessions"
"""JetStream key-value bucket: a session's checkpoint by its id, written at milestones only."""

_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """128 random bits as 32 hex digits."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def uplink(sid: str) -> str:
    """Browser to worker: the WebSocket messages in order, each behind a frame header."""
    return f"voice.v1.s.{sid}.in"


def downlink(sid: str) -> str:
    """Worker to browser: events and audio on one subject, so their order holds."""
    return f"voice.v1.s.{sid}.out"


def attach(sid: str) -> str:
    """Request: a connection takes up a session at the worker that holds it. No responder: nobody holds it."""
    return f"voice.v1.s.{sid}.attach"


def beat(wid: str) -> str:
    """Worker presence and free slots, see `assignment.Beat`."""
    return f"voice.v1.w.{wid}.beat"


def clock(wid: str) -> str:
    """Request: what time is it at that worker? See `assignment.ClockReply`."""
    return f"voice.v1.w.{wid}.clock"

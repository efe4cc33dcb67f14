"""What of a session outlives its worker: written at milestones to a JetStream key-value bucket."""

import asyncio
import contextlib
from typing import Any

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, NotFoundError
from nats.js.kv import KeyValue

from services.contracts.events import Turn
from services.contracts.settings import SessionSettings
from services.contracts.subjects import SESSIONS_BUCKET

log = structlog.get_logger(__name__)

_OPEN_AGAIN_S = 1.0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    settings: SessionSettings
    turns: list[Turn]
    generation: int
    number: int
    epoch: int
    sequence: int
    open_text: str = ""
    """What the user has said and was not answered."""


_decoder = msgspec.json.Decoder(Checkpoint)


class CheckpointStore:
    """Writes the newest checkpoint of each session, one write at a time and session.

    While the bucket cannot be reached the newest checkpoint is kept and tried again with the next milestone
    or within `_RETRY_S`; a conversation never waits for it.
    """

    _RETRY_S = 2.0

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._newest: dict[str, Checkpoint | None] = {}
        self._signal = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @staticmethod
    async def open(client: Client, remember_s: float) -> "CheckpointStore":
        """The bucket, made when it is not there. NATS may still be starting: tries until it answers."""
        untyped: Any = client
        stream = untyped.jetstream()
        while True:
            try:
                try:
                    bucket = await stream.key_value(SESSIONS_BUCKET)
                except NotFoundError:
                    bucket = await stream.create_key_value(bucket=SESSIONS_BUCKET, ttl=remember_s, history=1)
                return CheckpointStore(bucket)
            except (nats.errors.Error, TimeoutError) as failure:
                log.warning("the session store does not answer yet", cause=str(failure))
                await asyncio.sleep(_OPEN_AGAIN_S)

    def save(self, sid: str, checkpoint: Checkpoint) -> None:
        self._put(sid, checkpoint)

    def forget(self, sid: str) -> None:
        self._put(sid, None)

    def _put(self, sid: str, checkpoint: Checkpoint | None) -> None:
        self._newest[sid] = checkpoint
        self._idle.clear()
        self._signal.set()

    async def load(self, sid: str) -> Checkpoint | None:
        """The last checkpoint of a session; None when there is none. Raises nats errors when out of reach."""
        try:
            entry = await self._bucket.get(sid)
        except KeyNotFoundError:
            return None
        try:
            return _decoder.decode(entry.value or b"")
        except msgspec.DecodeError:
            log.warning("checkpoint is unreadable and was passed over", session=sid)
            return None

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            await self._signal.wait()
            self._signal.clear()
            while self._newest:
                sid, checkpoint = next(iter(self._newest.items()))
                try:
                    if checkpoint is None:
                        await self._bucket.purge(sid)
                    else:
                        await self._bucket.put(sid, msgspec.json.encode(checkpoint))
                except Exception as failure:
                    log.warning("checkpoint not written; it will be tried again", session=sid, cause=str(failure))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._signal.wait(), self._RETRY_S)
                    continue
                if self._newest.get(sid) is checkpoint:
                    del self._newest[sid]
            self._idle.set()

    async def flush(self, seconds: float) -> None:
        """Waits until all is written, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

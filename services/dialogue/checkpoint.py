"""What of a session outlives its worker: written at milestones to a JetStream key-value bucket."""

import asyncio
import contextlib
from typing import Any

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from services.contracts.events import Turn
from services.contracts.settings import SessionSettings
from services.contracts.subjects import SESSIONS_BUCKET

log = structlog.get_logger(__name__)

_RETRY_S = 1.0


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
    closed: bool = False
    """The session ended with it: the worker that wrote it said nothing afterwards."""


_decoder = msgspec.json.Decoder(Checkpoint)


class CheckpointStore:
    """Writes the newest checkpoint of each session, in turn; a conversation never waits for it.

    While the bucket cannot be reached, the newest checkpoints are kept and tried again. A write that finds a
    checkpoint of a later epoch is not made: another worker has the session.
    """

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._newest: dict[str, Checkpoint] = {}
        """In the order in which they are written."""
        self._revisions: dict[str, int] = {}
        """Of the last checkpoint that this worker wrote or read, by session."""
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
                await asyncio.sleep(_RETRY_S)

    def save(self, sid: str, checkpoint: Checkpoint) -> None:
        self._newest[sid] = checkpoint
        self._idle.clear()
        self._signal.set()

    def release(self, sid: str) -> None:
        """The session is another worker's; what was not written yet is stale."""
        self._newest.pop(sid, None)
        self._revisions.pop(sid, None)

    async def load(self, sid: str) -> Checkpoint | None:
        """The last checkpoint of a session; None when there is none. Raises nats errors when out of reach."""
        try:
            entry = await self._bucket.get(sid)
        except KeyNotFoundError:
            return None
        try:
            checkpoint = _decoder.decode(entry.value or b"")
        except msgspec.DecodeError:
            log.warning("checkpoint is unreadable and was passed over", session=sid)
            return None
        if entry.revision is not None:
            self._revisions[sid] = entry.revision
        return checkpoint

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            await self._signal.wait()
            self._signal.clear()
            failed = 0
            while self._newest:
                sid, checkpoint = next(iter(self._newest.items()))
                del self._newest[sid]
                try:
                    await self._write(sid, checkpoint)
                    failed = 0
                except nats.errors.MaxPayloadError:
                    log.error("checkpoint is too large to be kept", session=sid)
                except Exception as failure:
                    log.warning("checkpoint not written; it will be tried again", session=sid, cause=str(failure))
                    self._newest.setdefault(sid, checkpoint)  # behind the others, unless a newer one has come
                    failed += 1
                    if failed >= len(self._newest):
                        await asyncio.sleep(_RETRY_S)
                        failed = 0
            self._idle.set()

    async def _write(self, sid: str, checkpoint: Checkpoint) -> None:
        await self._put(sid, checkpoint)
        if checkpoint.closed:
            self._revisions.pop(sid, None)

    async def _put(self, sid: str, checkpoint: Checkpoint) -> None:
        value = msgspec.json.encode(checkpoint)
        if sid not in self._revisions:
            self._revisions[sid] = await self._bucket.put(sid, value)
            return
        try:
            self._revisions[sid] = await self._bucket.update(sid, value, last=self._revisions[sid])
        except KeyWrongLastSequenceError:
            # Either our own last write was made though its answer was lost, or another worker has written.
            stored = await self.load(sid)
            if stored is not None and stored.epoch > checkpoint.epoch:
                log.warning("another worker has the session; its checkpoint stays", session=sid)
            elif stored is None:
                self._revisions[sid] = await self._bucket.put(sid, value)
            else:
                self._revisions[sid] = await self._bucket.update(sid, value, last=self._revisions[sid])

    async def flush(self, seconds: float) -> None:
        """Waits until all is written, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

"""Checkpoints on a bucket that fails: nobody waits for it, nothing spins, the newest one wins."""

import asyncio
import contextlib

import msgspec
import nats.errors
import pytest
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from services.contracts.settings import SessionSettings
from services.dialogue import checkpoint
from services.dialogue.checkpoint import Checkpoint, CheckpointStore


def at(number: int, epoch: int = 1) -> Checkpoint:
    return Checkpoint(
        token="t", settings=SessionSettings(), turns=[], generation=1, number=number, epoch=epoch, sequence=1
    )


class Entry:
    def __init__(self, value, revision):
        self.value, self.revision = value, revision


class Bucket:
    """A key-value bucket in memory that fails when told to."""

    def __init__(self):
        self.entries: dict[str, Entry] = {}
        self.failures: dict[str, Exception] = {}
        self.tries = 0
        self.revision = 0

    async def get(self, key):
        if key not in self.entries:
            raise KeyNotFoundError
        return self.entries[key]

    async def put(self, key, value):
        self.tries += 1
        if key in self.failures:
            raise self.failures[key]
        self.revision += 1
        self.entries[key] = Entry(value, self.revision)
        return self.revision

    async def update(self, key, value, last):
        if self.entries[key].revision != last:
            raise KeyWrongLastSequenceError
        return await self.put(key, value)

    def number(self, key):
        return msgspec.json.decode(self.entries[key].value, type=Checkpoint).number


@pytest.fixture
def bucket():
    return Bucket()


@pytest.fixture
async def store(bucket, monkeypatch):
    monkeypatch.setattr(checkpoint, "_RETRY_S", 0.05)
    made = CheckpointStore(bucket)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_the_newest_is_written(bucket, store):
    for number in range(5):
        store.save("a", at(number))
    await store.flush(5)
    assert bucket.number("a") == 4
    store.save("a", at(7))
    await store.flush(5)
    assert bucket.number("a") == 7


async def test_one_that_can_never_be_written_harms_no_other(bucket, store):
    bucket.failures["a"] = nats.errors.MaxPayloadError()
    store.save("a", at(1))
    store.save("b", at(2))
    await store.flush(5)
    assert bucket.number("b") == 2
    assert bucket.tries == 2


async def test_a_bucket_that_is_away_is_tried_again_without_haste(bucket, store):
    bucket.failures["a"] = nats.errors.NoRespondersError()
    store.save("a", at(1))
    store.save("b", at(2))
    await store.flush(0.3)
    assert bucket.number("b") == 2
    assert bucket.tries < 15
    del bucket.failures["a"]
    await store.flush(5)
    assert bucket.number("a") == 1


async def test_a_stale_writer_leaves_what_a_later_worker_wrote(bucket, store):
    store.save("a", at(1, epoch=1))
    await store.flush(5)
    await bucket.put("a", msgspec.json.encode(at(9, epoch=2)))
    store.save("a", at(2, epoch=1))
    await store.flush(5)
    assert bucket.number("a") == 9


async def test_a_write_whose_answer_was_lost_is_no_other_writer(bucket, store):
    store.save("a", at(1))
    await store.flush(5)
    await bucket.put("a", msgspec.json.encode(at(1)))
    store.save("a", at(2))
    await store.flush(5)
    assert bucket.number("a") == 2

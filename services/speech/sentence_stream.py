"""One sentence on its way from a synthesis model."""

import asyncio
import secrets
from typing import Any

import grpc.aio
import msgspec

from services.contracts.characters import Voice
from services.speech import wire
from services.speech.errors import Reason, SpeechUnavailable
from services.speech.replicas import Replica, explain

_END_SECONDS = 1.0
"""A model stops within a chunk; a stream that is still open after this is cancelled."""


class SentenceStream:
    """The gRPC stream of one sentence on one replica. Give it to `end` whatever happened."""

    def __init__(
        self,
        replica: Replica,
        model: str,
        text: str,
        voice: Voice,
        chunk_seconds: float,
        speculative: bool = False,
        traceparent: str = "",
    ) -> None:
        self.replica = replica
        self._model = model
        self._chunk_seconds = chunk_seconds
        self._identity = secrets.token_hex(8)
        tensors = {"TEXT": wire.text_tensor(text), "VOICE": wire.text_tensor(msgspec.json.encode(voice))}
        self._request = wire.request(model, self._identity, tensors, speculative=speculative)
        self._call = replica.open(traceparent)
        self._reading: asyncio.Task[Any] | None = None
        self._expected = 0
        self._asked = False
        self._final = False

    async def read(self) -> bytes | None:
        """The next chunk, PCM16 at 24 kHz; None at the end. Raises what `explain` makes of a failure."""
        try:
            if not self._asked:
                self._asked = True
                await self._call.write(self._request)
            while not self._final:
                found = wire.outputs(await self._response())
                if "PCM" in found:
                    if wire.sequence(found) != self._expected:
                        raise SpeechUnavailable(Reason.FAILED, f"{self.replica.address} lost a chunk of a sentence")
                    self._expected += 1
                    if found["PCM"]:
                        return found["PCM"]
            return None
        except (wire.ModelError, grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError) as error:
            raise explain(error, self.replica) from error

    async def end(self) -> None:
        """Stop the model if it still speaks, and close the stream.

        By a request of its own, and not by cancelling the stream, which an interruption may do ever so often:
        see `model_repository.decoupled.Running`.
        """
        try:
            async with asyncio.timeout(_END_SECONDS):
                if not self._final:
                    tensors = {"TEXT": wire.text_tensor(""), "VOICE": wire.text_tensor("{}")}
                    await self._call.write(wire.request(self._model, "", tensors, stop=self._identity))
                await self._call.done_writing()
                if self._reading is not None:
                    await self._reading
                while await self._call.read() is not wire.EOF:
                    pass
        except (TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # a replica that is gone has stopped
        finally:
            if self._reading is not None:
                self._reading.cancel()
            self.replica.leave(self._call)

    async def _response(self) -> Any:
        # Kept apart from its reader: gRPC cancels the stream with the task that waits for a response.
        self._reading = reading = asyncio.ensure_future(self._call.read())
        async with asyncio.timeout(self._chunk_seconds):
            response = await asyncio.shield(reading)
        self._reading = None
        if response is wire.EOF:
            self._final = True
            raise SpeechUnavailable(Reason.FAILED, f"{self.replica.address} ended a sentence without its end")
        self._final = wire.is_final(response)
        return response

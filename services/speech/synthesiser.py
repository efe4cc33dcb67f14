"""Client of a synthesis model: a sentence in, PCM out as it is made."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack
from typing import Any

import grpc.aio
import msgspec

from services.contracts.characters import Voice
from services.speech import wire
from services.speech.errors import Reason, SpeechUnavailable
from services.speech.replicas import Replica, Replicas, explain
from services.speech.retry import PATIENCE_SECONDS, ask_around


class Synthesiser:
    """One gRPC stream per sentence, on channels shared by all."""

    def __init__(
        self,
        addresses: str | Iterable[str],
        model: str,
        *,
        chunk_seconds: float = 10.0,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`addresses`: "host:port", several with commas. A chunk that takes over `chunk_seconds` is a failure."""
        self._replicas = Replicas(addresses)
        self._model = model
        self._chunk_seconds = chunk_seconds
        self._patience = patience

    async def speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        """Yield PCM16, mono, 24 kHz. Closing the generator, or cancelling its task, stops the model.

        Another replica is tried only while nothing was yielded: half a sentence twice is worse than none.
        Raises SpeechUnavailable, SpeechRejected.
        """
        request = wire.request(
            self._model,
            "",
            {"TEXT": wire.text_tensor(text), "VOICE": wire.text_tensor(msgspec.json.encode(voice))},
        )
        async with AsyncExitStack() as held:

            async def begin(replica: Replica) -> tuple[AsyncIterator[bytes], bytes | None]:
                chunks = self._chunks(replica, request)
                try:
                    first = await anext(chunks, None)
                except BaseException:
                    await chunks.aclose()
                    raise
                held.push_async_callback(chunks.aclose)
                return chunks, first

            chunks, first = await ask_around(self._replicas, begin, self._patience)
            if first is None:
                return
            yield first
            async for chunk in chunks:
                yield chunk

    async def canary(self, timeout: float = 5.0) -> None:
        """Every replica speaks a word. Raises SpeechUnavailable with a sentence that names the one that does not.

        A replica with all slots taken is alive.
        """
        request = wire.request(
            self._model,
            "canary",
            {"TEXT": wire.text_tensor("Yes."), "VOICE": wire.text_tensor(msgspec.json.encode(Voice()))},
        )
        for replica in self._replicas.all():
            heard = 0
            try:
                async with asyncio.timeout(timeout):
                    async for chunk in self._chunks(replica, request):
                        heard += len(chunk)
            except SpeechUnavailable as error:
                if error.reason is Reason.AT_CAPACITY:
                    continue
                raise
            except TimeoutError as error:
                message = f"{self._model} at {replica.address} gave no speech within {timeout:.0f} s"
                raise SpeechUnavailable(Reason.DEADLINE, message) from error
            if not heard:
                raise SpeechUnavailable(Reason.FAILED, f"{self._model} at {replica.address} answered without any sound")

    async def close(self) -> None:
        await self._replicas.close()

    async def _chunks(self, replica: Replica, request: Any) -> AsyncGenerator[bytes, None]:
        """The chunks of one replica. Raises what `explain` makes of its failures."""
        expected = 0
        try:
            with replica.stream() as call:
                await call.write(request)
                await call.done_writing()
                while True:
                    async with asyncio.timeout(self._chunk_seconds):
                        response = await call.read()
                    if response is wire.EOF:
                        raise SpeechUnavailable(Reason.FAILED, f"{replica.address} ended a sentence without its end")
                    found = wire.outputs(response)
                    if "PCM" in found:
                        if wire.sequence(found) != expected:
                            raise SpeechUnavailable(Reason.FAILED, f"{replica.address} lost a chunk of a sentence")
                        expected += 1
                        if found["PCM"]:
                            yield found["PCM"]
                    if wire.is_final(response):
                        return
        except (wire.ModelError, grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError) as error:
            raise explain(error, replica) from error

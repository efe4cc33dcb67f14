"""A Triton double: a real gRPC server that answers inference streams as a test tells it to."""

# pyright: reportAttributeAccessIssue=false

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc


class Hang(Exception):
    """Raised by a double's behaviour: never answer this request."""


class TritonDouble(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Keeps utterances like a recognition model and says each word of a text as a chunk.

    `before` is called with each request's options (or text) and may raise ValueError (an error answer), Hang, or
    ConnectionError (the stream breaks).
    """

    def __init__(self) -> None:
        self.before: Callable[[Any], None] = lambda request: None
        self.requests: list[dict[str, Any]] = []
        """Options of each recognition request, with the number of samples as "samples"."""
        self.texts: list[str] = []
        self.speculative: list[bool] = []
        """Of each sentence, whether it was one that may never be wanted."""
        self.utterances: dict[str, int] = {}
        self.stops: list[str] = []
        """Ids that stop requests named."""
        self.cancelled_streams = 0
        self.open_streams = 0
        self.quiet = asyncio.Condition()
        self.chunk_gate: Callable[[int], Awaitable[None]] | None = None
        self.address = ""
        self.server: grpc.aio.Server | None = None

    async def ModelStreamInfer(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        self.open_streams += 1
        try:
            async for request in request_iterator:
                if stop := request.parameters["stop"].string_param:
                    self.stops.append(stop)
                    yield self._response(final=True)
                    continue
                inputs = dict(zip([tensor.name for tensor in request.inputs], request.raw_input_contents, strict=True))
                if "TEXT" in inputs:
                    self.speculative.append(request.parameters["speculative"].bool_param)
                answer = self._recognise(inputs) if "OPTIONS" in inputs else self._speak(inputs)
                try:
                    async for response in answer:
                        yield response
                except ValueError as error:
                    yield self._response(error=str(error), final=True)
                except Hang:
                    await asyncio.Event().wait()
                except ConnectionError as error:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except asyncio.CancelledError:
            self.cancelled_streams += 1
            raise
        finally:
            self.open_streams -= 1
            async with self.quiet:
                self.quiet.notify_all()

    async def until_quiet(self) -> None:
        """Until no stream is open."""
        async with asyncio.timeout(5), self.quiet:
            await self.quiet.wait_for(lambda: self.open_streams == 0)

    async def _recognise(self, inputs: dict[str, bytes]) -> AsyncIterator[Any]:
        options = json.loads(inputs["OPTIONS"])
        options["samples"] = len(inputs["AUDIO"]) // 4
        self.requests.append(options)
        self.before(options)
        identity = options["utterance"]
        if options["kind"] == "drop":
            self.utterances.pop(identity, None)
            yield self._response(final=True)
            return
        if options.get("first"):
            self.utterances[identity] = 0
        elif identity not in self.utterances:
            raise ValueError("utterance_unknown: no such utterance")
        self.utterances[identity] += options["samples"]
        if options["kind"] == "append":
            yield self._response(final=True)
            return
        heard = self.utterances[identity]
        is_final = options["kind"] == "final"
        if is_final and not options.get("speculative"):
            del self.utterances[identity]
        result = {"utterance": identity, "text": f"{heard} samples", "is_final": is_final}
        yield self._response({"RESULT": np.frombuffer(json.dumps(result).encode(), np.uint8)}, final=True)

    async def _speak(self, inputs: dict[str, bytes]) -> AsyncIterator[Any]:
        text = inputs["TEXT"].decode()
        self.texts.append(text)
        self.before(text)
        for number, word in enumerate(text.split()):
            if self.chunk_gate is not None:
                await self.chunk_gate(number)
            yield self._response({"PCM": np.full(len(word), number, np.int16)}, number)
        yield self._response(final=True)

    def _response(
        self,
        outputs: dict[str, np.ndarray[Any, Any]] | None = None,
        number: int = 0,
        *,
        error: str = "",
        final: bool = False,
    ) -> Any:
        response = service_pb2.ModelStreamInferResponse(error_message=error)
        response.infer_response.parameters["triton_final_response"].bool_param = final
        for name, array in (outputs or {}).items():
            datatype = {"uint8": "UINT8", "int16": "INT16"}[array.dtype.name]
            response.infer_response.outputs.add(name=name, datatype=datatype, shape=array.shape)
            response.infer_response.raw_output_contents.append(array.tobytes())
        if outputs:
            response.infer_response.outputs.add(name="SEQUENCE", datatype="INT32", shape=[1])
            response.infer_response.raw_output_contents.append(np.array([number], np.int32).tobytes())
        return response

    async def start(self) -> None:
        self.server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self.server)
        port = self.server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await self.server.start()

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(None)
            self.server = None
        self.utterances.clear()


@pytest.fixture
async def triton():
    double = TritonDouble()
    await double.start()
    yield double
    await double.stop()


@pytest.fixture
async def other_triton():
    double = TritonDouble()
    await double.start()
    yield double
    await double.stop()


@pytest.fixture
def hang() -> type[Exception]:
    """What a double's `before` raises to never answer."""
    return Hang

"""Triton's gRPC messages, as few of them as the speech clients need.

The generated stubs are used directly: `tritonclient.grpc.aio` ignores `enable_empty_final_response`, so with it
a client never learns that a request on a long stream has ended.
"""

# The messages of tritonclient's generated modules are made at import, where type checkers cannot see them.
# pyright: reportAttributeAccessIssue=false

from typing import Any

import grpc.aio
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc

from services.contracts.speech import SPECULATIVE_PARAMETER, STOP_PARAMETER

EOF: Any = grpc.aio.EOF
"""What reading a stream gives once the server has closed it."""
_DATATYPES = {"uint8": "UINT8", "int16": "INT16", "int32": "INT32", "float32": "FP32"}
_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that was restarted is found again within half a second; the default backs off to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]


class ModelError(Exception):
    """The model answered with an error; the text begins with a name of `contracts.speech`."""


def channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)


def stub(of: grpc.aio.Channel) -> Any:
    return service_pb2_grpc.GRPCInferenceServiceStub(of)


def request(
    model: str, identity: str, tensors: dict[str, NDArray[Any]], stop: str = "", speculative: bool = False
) -> Any:
    """A ModelInferRequest that asks for an explicit final response.

    With `stop` it is one that ends the earlier request of that id.
    """
    message = service_pb2.ModelInferRequest(model_name=model, id=identity)
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    if stop:
        message.parameters[STOP_PARAMETER].string_param = stop
    if speculative:
        message.parameters[SPECULATIVE_PARAMETER].bool_param = True
    for name, array in tensors.items():
        message.inputs.add(name=name, datatype=_DATATYPES[array.dtype.name], shape=array.shape)
        message.raw_input_contents.append(np.ascontiguousarray(array).tobytes())
    return message


def index_request() -> Any:
    return service_pb2.RepositoryIndexRequest()


def text_tensor(text: str | bytes) -> NDArray[np.uint8]:
    """UINT8 [n]: Triton's own string type has hung decoupled Python models."""
    encoded = text.encode() if isinstance(text, str) else text
    return np.frombuffer(encoded, np.uint8)


def is_final(response: Any) -> bool:
    """Whether a ModelStreamInferResponse ends its request. Look here before looking at outputs: it may have none."""
    if response.error_message:
        return True
    parameters = response.infer_response.parameters
    return "triton_final_response" in parameters and parameters["triton_final_response"].bool_param


def outputs(response: Any) -> dict[str, bytes]:
    """The raw output tensors by name. Raises ModelError."""
    if response.error_message:
        raise ModelError(response.error_message)
    answer = response.infer_response
    return {output.name: raw for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)}


def sequence(found: dict[str, bytes]) -> int:
    """The response's number within its request, from 0."""
    return int(np.frombuffer(found["SEQUENCE"], "<i4")[0])

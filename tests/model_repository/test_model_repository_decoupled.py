"""What the models share, with a stand-in for Triton's Python module."""

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.speech import RecognitionOptions

REPOSITORY = Path(__file__).parents[2] / "model_repository"
FINAL = 1


class StandInTensor:
    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> Any:
        return self.array


class StandInSender:
    def __init__(self) -> None:
        self.sent: list[tuple[Any, int]] = []

    def send(self, response: Any = None, flags: int = 0) -> None:
        self.sent.append((response, flags))

    def is_cancelled(self) -> bool:
        assert not any(flags for _, flags in self.sent), "asked after FINAL, which crashes some servers"
        return False


class StandInRequest:
    def __init__(self, identity: str = "", stop: str = "", **tensors: Any) -> None:
        self.identity, self.stop = identity, stop
        self.tensors = {name: StandInTensor(name, array) for name, array in tensors.items()}
        self.sender = StandInSender()
        self.given: dict[str, Any] = {}

    def get_response_sender(self) -> StandInSender:
        return self.sender

    def request_id(self) -> str:
        return self.identity

    def parameters(self) -> str:
        return json.dumps(self.given or ({"stop": self.stop} if self.stop else {}))


class StandInError:
    UNAVAILABLE, INVALID_ARG, NOT_FOUND, CANCELLED, INTERNAL = range(5)

    def __init__(self, message: str, code: int) -> None:
        self.message, self.code = message, code


def _load() -> Any:
    module: Any = types.ModuleType("triton_python_backend_utils")
    module.Tensor = StandInTensor
    module.TritonError = StandInError
    module.InferenceResponse = lambda outputs=(), error=None: types.SimpleNamespace(outputs=outputs, error=error)
    module.TRITONSERVER_RESPONSE_COMPLETE_FINAL = FINAL
    module.get_input_tensor_by_name = lambda request, name: request.tensors.get(name)
    module.Logger = types.SimpleNamespace(log_error=lambda text: None)
    sys.modules["triton_python_backend_utils"] = module
    spec = importlib.util.spec_from_file_location("decoupled", REPOSITORY / "decoupled.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


_decoupled = _load()


@pytest.fixture
def decoupled() -> Any:
    return _decoupled


@given(st.lists(st.sampled_from(["send", "finish", "finish_with", "fail", "cancelled"]), max_size=12))
def test_whatever_is_called_exactly_one_final_goes_out_and_it_is_the_last(calls: list[str]):
    request = StandInRequest()
    responder = _decoupled.Responder(request)
    arguments: dict[str, tuple[Any, ...]] = {
        "send": ("PCM", np.zeros(1, np.int16)),
        "finish_with": ("PCM", np.zeros(1, np.int16)),
        "fail": (ValueError("no"),),
    }
    for call in [*calls, "finish"]:
        getattr(responder, call)(*arguments.get(call, ()))
    flags = [flags for _, flags in request.sender.sent]
    assert flags.count(FINAL) == 1
    assert flags[-1] == FINAL
    numbers = [
        int(output.array[0])
        for response, _ in request.sender.sent
        if response is not None
        for output in response.outputs
        if output.name == "SEQUENCE"
    ]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, None), ({"speculative": True}, True), ({"speculative": False}, False), ({"speculative": "yes"}, "yes")],
)
def test_a_parameter_is_read_as_it_was_given(decoupled: Any, given: dict[str, Any], expected: object):
    request = StandInRequest()
    request.given = given
    assert decoupled.parameter(request, "speculative") == expected


def test_a_request_stops_the_one_it_names_and_no_other(decoupled: Any):
    running = decoupled.Running()
    first, second = running.begin(StandInRequest("1")), running.begin(StandInRequest("2"))
    assert not running.stop(StandInRequest("3"))
    stop = StandInRequest(stop="1")
    assert running.stop(stop)
    assert stop.sender.sent == [(None, FINAL)]
    assert first.cancelled()
    assert not second.cancelled()
    first.finish()
    late = StandInRequest(stop="1")
    assert running.stop(late)
    assert late.sender.sent == [(None, FINAL)]


def test_an_id_that_is_used_again_is_the_newer_requests(decoupled: Any):
    running = decoupled.Running()
    older, newer = running.begin(StandInRequest("1")), running.begin(StandInRequest("1"))
    older.finish()
    assert running.stop(StandInRequest(stop="1"))
    assert newer.cancelled()


def test_an_error_begins_with_its_name(decoupled: Any):
    for error, code, begins in (
        (decoupled.InvalidRequest("TEXT is missing"), StandInError.INVALID_ARG, "invalid_request: TEXT is missing"),
        (RuntimeError(), StandInError.INTERNAL, "model_failed: RuntimeError"),
    ):
        request = StandInRequest()
        decoupled.Responder(request).fail(error)
        response, flags = request.sender.sent[0]
        assert (response.error.message, response.error.code, flags) == (begins, code, FINAL)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (None, "missing"),
        (np.zeros((2, 2), np.float32), r"float32 \[2, 2\]"),
        (np.zeros(2, np.float64), "float64"),
        (np.zeros(11, np.float32), "at most 10"),
    ],
)
def test_a_wrong_tensor_is_described(decoupled: Any, array: Any, says: str):
    request = StandInRequest() if array is None else StandInRequest(AUDIO=array)
    with pytest.raises(decoupled.InvalidRequest, match=says):
        decoupled.tensor(request, "AUDIO", np.float32, 10)


def test_inputs_are_copied_out_of_shared_memory(decoupled: Any):
    shared = np.ones(3, np.float32)
    copied = decoupled.tensor(StandInRequest(AUDIO=shared), "AUDIO", np.float32, 10)
    shared[:] = 0
    assert copied.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "encoded", [b"", b"{", b"[]", b'{"utterance": "u"}', b'{"utterance": "u", "kind": "sing"}', b"\xff"]
)
def test_options_that_are_not_the_contracts_are_refused(decoupled: Any, encoded: bytes):
    request = StandInRequest(OPTIONS=np.frombuffer(encoded, np.uint8))
    with pytest.raises(decoupled.InvalidRequest, match="OPTIONS"):
        decoupled.structure(request, "OPTIONS", RecognitionOptions, 100)


def test_slots_come_from_the_environment_before_the_configuration(decoupled: Any, monkeypatch: pytest.MonkeyPatch):
    config = json.dumps({"parameters": {"slots": {"string_value": "16"}}})
    assert decoupled.slots(config, "PARLEY_STT_SLOTS") == 16
    monkeypatch.setenv("PARLEY_STT_SLOTS", "3")
    assert decoupled.slots(config, "PARLEY_STT_SLOTS") == 3
    for wrong in ("0", "1025", "many", "-1", "1.5"):
        monkeypatch.setenv("PARLEY_STT_SLOTS", wrong)
        with pytest.raises(ValueError, match="PARLEY_STT_SLOTS is"):
            decoupled.slots(config, "PARLEY_STT_SLOTS")


def test_numpy_2_is_refused_by_name(decoupled: Any, monkeypatch: pytest.MonkeyPatch):
    decoupled.require_numpy_1()
    monkeypatch.setattr(decoupled.np, "__version__", "2.4.6")
    with pytest.raises(RuntimeError, match=r"numpy below 2.*2\.4\.6"):
        decoupled.require_numpy_1()

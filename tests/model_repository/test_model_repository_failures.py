"""Servers and models that are broken on purpose."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.contracts.characters import Voice
from services.launcher import triton, verify_triton, verify_wire
from services.launcher.triton import TritonMissing, TritonNotReady, TritonPorts
from services.speech.errors import SpeechUnavailable
from services.speech.recogniser import Recogniser
from services.speech.synthesiser import Synthesiser

REPOSITORY = Path(__file__).parents[2] / "model_repository"

CARELESS_MODEL = '''
import threading
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Says something for every text: SEQUENCE stands still, nothing is refused, an empty text hangs."""

    def execute(self, requests):
        for request in requests:
            text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
            sender = request.get_response_sender()
            if len(text) == 0:
                self.held = sender
                continue
            for _ in range(3):
                pcm = pb_utils.Tensor("PCM", np.full(24_000, 5_000, np.int16))
                number = pb_utils.Tensor("SEQUENCE", np.zeros(1, np.int32))
                sender.send(pb_utils.InferenceResponse([pcm, number]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
'''


async def test_a_killed_model_process_is_found_by_the_canary(start_triton: Any):
    with start_triton("killed") as server:
        await server.ready()
        recogniser = Recogniser(server.address, "pocketsphinx", deadline=3.0, patience=0.2)
        synthesiser = Synthesiser(server.address, "espeak", chunk_seconds=3.0, patience=0.2)
        await recogniser.canary()
        await synthesiser.canary()
        stubs = server.stubs("pocketsphinx") + server.stubs("espeak")
        assert len(stubs) >= 2
        for stub in stubs:
            stub.kill()
        with pytest.raises(SpeechUnavailable, match=f"pocketsphinx at {server.address}"):
            await recogniser.canary(timeout=2.0)
        with pytest.raises(SpeechUnavailable, match=server.address):
            await synthesiser.canary(timeout=2.0)
        with pytest.raises(SpeechUnavailable):
            await anext(synthesiser.speak("Hello.", Voice()))
        await recogniser.close()
        await synthesiser.close()


async def test_a_model_that_does_not_load_is_named_with_its_cause_and_the_other_serves(start_triton: Any):
    with start_triton("wrong", PARLEY_STT_SLOTS="many") as server:
        with pytest.raises(TritonNotReady, match=r"model 'pocketsphinx' did not load: .*PARLEY_STT_SLOTS is 'many'"):
            await server.ready()
        await triton.wait_ready(server.address, ["espeak"], 40)
        synthesiser = Synthesiser(server.address, "espeak")
        await synthesiser.canary()
        await synthesiser.close()


async def test_a_careless_model_fails_its_checks_one_by_one(
    start_triton: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(verify_wire, "ANSWER_SECONDS", 1.0)
    model = tmp_path / "careless" / "espeak"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.py").write_text(CARELESS_MODEL)
    (model / "config.pbtxt").write_text((REPOSITORY / "espeak" / "config.pbtxt").read_text())
    with start_triton("careless", tmp_path / "careless", ("espeak",)) as server:
        await server.ready()
        checks = await verify_triton.verify(server.address, "pocketsphinx", "espeak")
    found = {check.name: check for check in checks}
    synthesis = "synthesis (espeak): "
    assert found[synthesis + "exactly one FINAL"].passed
    assert "0, 0, 0" in found[synthesis + "SEQUENCE without gaps"].detail
    assert "hangs" in found[synthesis + "a wrong request is an error with FINAL"].detail
    assert "none was refused" in found[synthesis + "UNAVAILABLE beyond the slots, cancelling frees them"].detail
    recognition = [check for check in checks if check.name.startswith("recognition")]
    assert recognition
    assert not any(check.passed for check in recognition)


def test_a_dead_address_is_said_once(capsys: pytest.CaptureFixture[str]):
    assert verify_triton.verify_triton("grpc://127.0.0.1:1", "pocketsphinx", "espeak") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "no Triton server answers at 127.0.0.1:1 (" in said.err
    assert "refused" in said.err


async def failed(stub: object, model: str) -> str:
    raise verify_wire.Broken("nothing is right")


def test_the_command_says_what_failed_with_its_exit_status(
    start_triton: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(verify_triton.verify_synthesis, "CHECKS", {"all is right": failed})
    monkeypatch.setattr(verify_triton.verify_recognition, "CHECKS", {})
    with start_triton("refuted") as server:
        asyncio.run(server.ready())
        assert verify_triton.verify_triton(server.address, "pocketsphinx", "espeak") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["FAIL  synthesis (espeak): all is right: nothing is right", "0 of 1 checks passed"]


async def test_a_killed_server_leaves_shared_memory_that_is_removed(start_triton: Any):
    with start_triton("orphan") as server:
        await server.ready()
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(5)
        prefix = server.server.shm_prefix
        left = [region.name for region in triton.SHARED_MEMORY.iterdir() if region.name.startswith(prefix)]
        assert left
        assert triton.remove_shared_memory(prefix) == sorted(left)
        assert triton.remove_shared_memory(prefix) == []


async def test_a_stopped_server_leaves_nothing(start_triton: Any):
    with start_triton("stopped") as server:
        await server.ready()
        family = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
        assert len(family) >= 3
        server.process.terminate()
        assert server.process.wait(5) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
        assert triton.remove_shared_memory(server.server.shm_prefix) == []


async def test_waiting_for_a_server_that_ended_says_so():
    with pytest.raises(TritonNotReady, match="ended"):
        await triton.wait_ready("127.0.0.1:1", ["espeak"], 5.0, alive=lambda: False)


async def test_waiting_for_a_server_that_is_not_there_names_what_is_missing():
    with pytest.raises(TritonNotReady, match=r"not ready after 0 s at 127.0.0.1:1: espeak"):
        await triton.wait_ready("127.0.0.1:1", ["espeak"], 0.2)


def test_what_is_run_is_private_to_this_stack(tmp_path: Path):
    ports = TritonPorts(grpc=1, http=2, metrics=3)
    server = triton.prepare(REPOSITORY, tmp_path, ports, name="mine", environment={"PATH": "/usr/bin"})
    assert server.env["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert server.grpc_address == "127.0.0.1:1"
    assert f"--backend-config=python,shm-region-prefix-name={server.shm_prefix}" in server.argv
    backend = tmp_path / "backends" / "python"
    assert os.access(backend / "triton_python_backend_stub", os.X_OK)
    assert (backend / "libtriton_python.so").is_file()
    again = triton.prepare(REPOSITORY, tmp_path, ports, name="mine", environment={"PATH": "/usr/bin"})
    assert again == server


def test_the_stub_finds_every_library_it_is_linked_to(tmp_path: Path):
    server = triton.prepare(REPOSITORY, tmp_path, TritonPorts(1, 2, 3))
    stub = tmp_path / "backends" / "python" / "triton_python_backend_stub"
    linked = subprocess.run(["ldd", str(stub)], env=server.env, capture_output=True, text=True, check=True).stdout
    assert "not found" not in linked
    assert str(triton.find_libpython().parent) in linked


def test_a_model_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(TritonMissing, match="holds no model 'whisper'"):
        triton.prepare(REPOSITORY, tmp_path, TritonPorts(1, 2, 3), models=["whisper"])


def test_a_missing_libpython_names_the_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    monkeypatch.setattr(triton.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(TritonMissing, match=r"apt-get install libpython3\.1"):
        triton.find_libpython()

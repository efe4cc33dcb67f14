"""A real tritonserver with the embedded models, once for all tests of this folder."""

import asyncio
import functools
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from services.launcher import triton
from services.launcher.triton import TritonPorts, TritonServer

REPOSITORY = Path(__file__).parents[2] / "model_repository"


@dataclass
class RunningTriton:
    server: TritonServer
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def address(self) -> str:
        return self.server.grpc_address

    async def ready(self) -> None:
        await triton.wait_ready(self.address, self.server.models, 40, lambda: self.process.poll() is None)

    def stubs(self, model: str) -> list[psutil.Process]:
        """The processes that run a model's Python."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        alive = [child for child in family if child.status() != psutil.STATUS_ZOMBIE]
        return [child for child in alive if any(f"/{model}/" in part for part in child.cmdline())]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def running(
    state: Path,
    name: str,
    repository: Path = REPOSITORY,
    models: tuple[str, ...] = triton.EMBEDDED_MODELS,
    **variables: str,
) -> Iterator[RunningTriton]:
    """A server for the length of a block; its processes and shared memory are gone afterwards."""
    server = triton.prepare(
        repository,
        state,
        TritonPorts(*free_ports(3)),
        name=f"{name}_{os.getpid()}",
        models=models,
        environment={**os.environ, **variables},
    )
    log = state / "triton.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            server.argv, env=server.env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield RunningTriton(server, process, log)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(8)
        # The models' processes outlive a server that crashed.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(8)
        triton.remove_shared_memory(server.shm_prefix)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    """Ready, with 20 recognition and 24 synthesis slots."""
    state = tmp_path_factory.mktemp("triton")
    with running(state, "parleytest", PARLEY_STT_SLOTS="20", PARLEY_TTS_SLOTS="24") as server:
        asyncio.run(server.ready())
        yield server


@pytest.fixture
def start_triton(tmp_path: Path) -> Callable[..., AbstractContextManager[RunningTriton]]:
    """`running` with a state folder of the test's own, for tests that break their server."""
    return functools.partial(running, tmp_path)

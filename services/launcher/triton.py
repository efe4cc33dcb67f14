"""How to start the embedded tritonserver that the nvidia-pytriton wheel carries.

`prepare` says what to run; whoever supervises it runs it. Nothing is written into site-packages: Triton
wants its Python backend and the stub of the running Python in one folder, so that folder is composed
under a state directory of ours.
"""

import asyncio
import ctypes.util
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from services.contracts import trace
from services.speech import wire

EMBEDDED_MODELS = ("pocketsphinx", "espeak")
EXIT_TIMEOUT_SECONDS = 2
"""How long tritonserver waits for running requests after SIGTERM; its own default of 30 s outlives a Ctrl-C."""
SHARED_MEMORY = Path("/dev/shm")
_STUB = "triton_python_backend_stub"


class TritonMissing(RuntimeError):
    """Something that tritonserver needs is not on this machine; the text says what, and how to get it."""


class TritonNotReady(RuntimeError):
    """The server or one of its models did not come up; the text names the model and its cause."""


class ModelNotLoaded(TritonNotReady):
    """A model's own start failed; the server and its other models are up."""


@dataclass(frozen=True)
class TritonPorts:
    grpc: int
    http: int
    metrics: int


@dataclass(frozen=True)
class TritonServer:
    """One tritonserver to run: `argv` with exactly `env` as its environment."""

    argv: tuple[str, ...]
    env: dict[str, str]
    models: tuple[str, ...]
    grpc_address: str
    """host:port, what `services.speech` takes."""
    http_url: str
    metrics_url: str
    shm_prefix: str
    """Every shared-memory region of this server begins so; see `remove_shared_memory`."""


@dataclass(frozen=True)
class _Wheel:
    binary: Path
    backend: Path
    stub: Path
    libraries: Path


def prepare(
    repository: Path,
    state: Path,
    ports: TritonPorts,
    *,
    name: str = "parley",
    models: Iterable[str] = EMBEDDED_MODELS,
    host: str = "127.0.0.1",
    environment: Mapping[str, str] = os.environ,
    log_info: bool = False,
) -> TritonServer:
    """The server over `repository`, with its private backend folder composed under `state`.

    `name` (letters, digits, underscores) tells this stack's shared memory from another's on the same machine.
    Model parameters such as PARLEY_STT_SLOTS travel in `environment`. Raises TritonMissing.
    """
    wheel = _find_wheel()
    backends = _compose_backends(wheel, state)
    prefix = f"{name}_triton_"
    chosen = tuple(models)
    for model in chosen:
        if not (repository / model / "config.pbtxt").is_file():
            raise TritonMissing(f"{repository} holds no model '{model}': {repository / model}/config.pbtxt is missing")
    argv = (
        str(wheel.binary),
        f"--model-repository={repository}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in chosen),
        # A model that fails to load must not take the other down; readiness stays false and the cause is kept.
        "--exit-on-error=false",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        f"--exit-timeout-secs={EXIT_TIMEOUT_SECONDS}",
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        f"--http-address={host}",
        f"--http-port={ports.http}",
        "--http-thread-count=2",
        f"--grpc-address={host}",
        f"--grpc-port={ports.grpc}",
        # The caller's trace reaches the models as a request parameter of this name.
        f"--grpc-header-forward-pattern={trace.HEADER}",
        f"--metrics-address={host}",
        f"--metrics-port={ports.metrics}",
        "--allow-gpu-metrics=false",
        "--allow-cpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
        f"--log-info={'true' if log_info else 'false'}",
        "--log-format=ISO8601",
    )
    return TritonServer(
        argv=argv,
        env=_environment(environment, wheel),
        models=chosen,
        grpc_address=f"{host}:{ports.grpc}",
        http_url=f"http://{host}:{ports.http}",
        metrics_url=f"http://{host}:{ports.metrics}/metrics",
        shm_prefix=prefix,
    )


def remove_shared_memory(prefix: str) -> list[str]:
    """Unlink the shared-memory regions that a killed server with this `shm_prefix` left; returns their names.

    Call it only while no server with that prefix runs.
    """
    removed: list[str] = []
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)
        removed.append(region.name)
    return sorted(removed)


async def wait_ready(
    address: str,
    models: Iterable[str],
    timeout: float = 60.0,
    alive: Callable[[], bool] = lambda: True,
    progress: Callable[[str], None] = lambda model: None,
) -> None:
    """Return once every model of the server at `address` is loaded; `progress` is told each as it becomes ready.

    Raises TritonNotReady when `alive` says that the process is gone, when a model failed to load (with the
    cause that Triton gives), or after `timeout` seconds. Readiness is no proof that a model still works, since
    Triton keeps it after the model's process has died: ask the clients' `canary` for that.
    """
    waiting = list(models)
    async with wire.channel(address) as channel:
        stub = wire.stub(channel)
        try:
            async with asyncio.timeout(timeout):
                while waiting:
                    if not alive():
                        raise TritonNotReady("tritonserver ended before its models were ready; its log says why")
                    for model, state, reason in await _index(stub):
                        if model not in waiting:
                            continue
                        if state == "READY":
                            waiting.remove(model)
                            progress(model)
                        elif state == "UNAVAILABLE" and reason:
                            raise ModelNotLoaded(f"model '{model}' did not load: {reason}")
                    if waiting:
                        await asyncio.sleep(0.05)
        except TimeoutError as error:
            names = ", ".join(waiting)
            raise TritonNotReady(f"not ready after {timeout:.0f} s at {address}: {names}") from error


async def _index(stub: Any) -> list[tuple[str, str, str]]:
    """(model, state, reason) of the server's models; empty while it does not answer yet."""
    try:
        reply = await stub.RepositoryIndex(wire.index_request(), timeout=2)
    except grpc.aio.AioRpcError:
        return []
    return [(model.name, model.state, model.reason) for model in reply.models]


def _find_wheel() -> _Wheel:
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise TritonMissing("tritonserver is not installed; it comes with: pip install 'parley[embedded]'")
    package = Path(next(iter(spec.submodule_search_locations)))
    server = package / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheel = _Wheel(
        binary=server / "bin" / "tritonserver",
        backend=server / "backends" / "python",
        stub=server / "python_backend_stubs" / version / _STUB,
        libraries=package.parent / "nvidia_pytriton.libs",
    )
    for path in (wheel.binary, wheel.backend / "libtriton_python.so", wheel.stub):
        if not path.is_file():
            raise TritonMissing(
                f"{path} is missing: the installed nvidia-pytriton has no tritonserver for Python {version} on this "
                "machine (it is built for Linux on x86-64)"
            )
    return wheel


def _compose_backends(wheel: _Wheel, state: Path) -> Path:
    """`state`/backends/python with the backend linked and the stub copied (it must be executable)."""
    folder = state / "backends" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    for source in wheel.backend.iterdir():
        if not source.is_file():
            continue
        fresh = folder / f".{source.name}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(source)
        fresh.replace(folder / source.name)
    fresh = folder / f".{_STUB}.{os.getpid()}"
    shutil.copyfile(wheel.stub, fresh)
    fresh.chmod(0o755)
    # Renamed into place: a stub that is running cannot be written to, and two starts may meet here.
    fresh.replace(folder / _STUB)
    return folder.parent


def _environment(environment: Mapping[str, str], wheel: _Wheel) -> dict[str, str]:
    env = dict(environment)
    # The stub ignores PYTHONPATH and VIRTUAL_ENV; it takes the environment of the first python3 on PATH.
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    libpython = find_libpython()
    libraries = [str(libpython.parent)] if libpython.is_absolute() else []
    libraries.append(str(wheel.libraries))
    if inherited := env.get("LD_LIBRARY_PATH"):
        libraries.append(inherited)
    env["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    # The embedded models are for the CPU; without this a CUDA context is opened on machines that have a GPU.
    env.setdefault("CUDA_VISIBLE_DEVICES", "")
    return env


def find_libpython() -> Path:
    """The shared library of the running Python, which the stub is linked against.

    The folders of the running installation come first: the system may hold another build of the same version.
    A bare name: the loader finds it by itself. Raises TritonMissing.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{version}.so.1.0"
    libdir = sysconfig.get_config_var("LIBDIR") or ""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [Path(sys.base_prefix, "lib"), Path(libdir), Path(libdir, multiarch)]
    folders += [Path(root, multiarch) for root in ("/usr/lib", "/lib")]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    if found := ctypes.util.find_library(f"python{version}"):
        return Path(found)
    raise TritonMissing(
        f"{name} was not found; tritonserver's Python models need it. On Debian and Ubuntu: "
        f"apt-get install libpython{version}"
    )

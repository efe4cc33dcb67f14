"""The stack as `parley up` runs it, with stand-ins for the models, for as long as a measurement takes."""

import asyncio
import contextlib
import io
import os
import random
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.launcher import bench_processes, instance, parts, ports, speech_parts, triton, undertaker
from services.launcher.answer_source import AnswerSource
from services.launcher.console import Console
from services.launcher.parts import Ports
from services.launcher.supervision import Part
from services.launcher.supervisor import Command, Supervisor
from services.launcher.triton import TritonPorts
from services.speech.recogniser import Recogniser
from services.speech.synthesiser import Synthesiser

ROOT = Path(__file__).resolve().parents[2]
STANDINS = ROOT / "loadtest" / "models"
RECOGNISER, VOICE, LANGUAGE = "standin_recogniser", "standin_voice", "standin"
OURS = ("edge", "worker", "nats")
"""The parts whose processor time is Parley's own; the stand-ins' would be on other machines."""
READY_WITHIN = 60.0
_MODULES = {"services.edge": "edge", "services.dialogue": "worker", "loadtest.models.language": "language"}


class StackFailed(RuntimeError):
    """The stack did not come up; the text is the end of its log."""


@dataclass(frozen=True)
class Standins:
    """A running stack."""

    port: int
    """The edge's."""
    triton: str
    """The gRPC address of the stand-in models."""
    worker_metrics: str
    """The URL of the worker's metrics."""
    triton_metrics: str
    """The URL of the models' metrics."""
    nats_monitor: str
    """The URL under which nats-server tells of itself."""
    processes: Mapping[str, list[int]]
    """Process ids by part."""


@contextlib.asynccontextmanager
async def running(slots: int, environment: Mapping[str, str]) -> AsyncIterator[Standins]:
    """A stack for so many sessions, and all of it gone afterwards. `environment`: further variables of its parts.

    Raises StackFailed, triton.TritonMissing, ports.NoPortError, OSError.
    """
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        mine = instance.claim(Path(folder))
        told = io.StringIO()
        console = Console(told, mine.log_file)
        ready = asyncio.Event()
        chosen = Ports(*ports.internal(7, random.Random()))
        [language] = ports.internal(1, random.Random())
        commands = _commands(mine, chosen, language, slots, environment, console)
        supervisor = Supervisor(commands, mine.folder, mine.run, console, ready.set)
        living = asyncio.create_task(supervisor.run())
        try:
            waiting = asyncio.create_task(ready.wait())
            await asyncio.wait({living, waiting}, timeout=READY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not ready.is_set():
                raise StackFailed(f"the stack with the stand-ins did not come up:\n{told.getvalue()[-2000:]}")
            marked = undertaker.mark(mine.folder, mine.run)
            yield Standins(
                port=chosen.page,
                triton=f"127.0.0.1:{chosen.triton_grpc}",
                worker_metrics=f"http://127.0.0.1:{chosen.worker_health}/metrics",
                triton_metrics=f"http://127.0.0.1:{chosen.triton_metrics}/metrics",
                nats_monitor=f"http://127.0.0.1:{chosen.nats_monitor}",
                processes=_by_part(undertaker.strays(marked)),
            )
        finally:
            supervisor.stop()
            await living
            console.close()
            mine.release()


def _by_part(pids: list[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for pid in pids:
        found.setdefault(part_of(bench_processes.command_line(pid)), []).append(pid)
    return found


def part_of(command: list[str]) -> str:
    """Which part a process belongs to, by its command line; "" for none of them."""
    for word in command:
        if word in _MODULES:
            return _MODULES[word]
    program = Path(command[0]).name if command else ""
    if program == "nats-server":
        return "nats"
    return "triton" if program.startswith("triton") else ""


def _commands(
    mine: instance.Instance,
    chosen: Ports,
    language: int,
    slots: int,
    environment: Mapping[str, str],
    console: Console,
) -> list[Command]:
    # What is set for the stack that this machine usually runs must not change what is measured.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    limits = {
        "PARLEY_SLOTS": str(slots),
        "PARLEY_GRACE_SECONDS": "1",
        "PARLEY_CONNECT_RATE": "1000",
        "PARLEY_CONNECT_BURST": "1000",
        "PARLEY_MAX_CONNECTIONS": str(slots + 100),
    }
    base = parts.base_environment({**clean, **limits, **environment, "PYTHONPATH": str(ROOT)}, "json")
    token = secrets.token_hex(16)
    nats_url = f"nats://{token}@127.0.0.1:{chosen.nats}"
    server = triton.prepare(
        STANDINS,
        mine.folder,
        TritonPorts(grpc=chosen.triton_grpc, http=chosen.triton_http, metrics=chosen.triton_metrics),
        name=undertaker.shared_memory_prefix(mine.folder) + mine.run,
        models=(RECOGNISER, VOICE),
        environment=base,
    )
    canaries: dict[str, speech_parts.Canary] = {
        RECOGNISER: Recogniser(server.grpc_address, RECOGNISER).canary,
        VOICE: Synthesiser(server.grpc_address, VOICE).canary,
    }
    models = speech_parts.Models(
        server.grpc_address, canaries, lambda text, trouble: console.say(text, "triton", trouble)
    )
    speech = {
        "PARLEY_STT_ADDRESSES": server.grpc_address,
        "PARLEY_STT_MODEL": RECOGNISER,
        "PARLEY_TTS_ADDRESSES": server.grpc_address,
        "PARLEY_TTS_MODEL": VOICE,
    }
    url = f"http://127.0.0.1:{language}/v1"
    listed = parts.answers_well(f"{url}/models")
    return [
        Command(
            Part("language", ready_within=20.0, stop_within=1.0),
            [sys.executable, "-m", "loadtest.models.language", str(language)],
            base,
            ready=listed,
            well=listed,
        ),
        parts.nats(mine.folder, chosen, token, base),
        speech_parts.command(server, models),
        parts.worker(nats_url, chosen, AnswerSource("llm", url, "", LANGUAGE, "load test"), speech, base),
        parts.edge(nats_url, "127.0.0.1", chosen, mine.secret(), base),
    ]

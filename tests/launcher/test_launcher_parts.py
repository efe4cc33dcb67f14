"""The parts' commands, and a real nats-server started by one of them."""

import asyncio
import io
import random
import secrets
import subprocess
import sys
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.js.api import KeyValueConfig

from services.launcher import parts, ports
from services.launcher.answer_source import AnswerSource
from services.launcher.console import Console
from services.launcher.supervisor import Supervisor
from services.launcher.undertaker import mark, strays


def some_ports() -> parts.Ports:
    return parts.Ports(*ports.internal(7, random.Random()))


def test_secrets_go_to_the_part_that_needs_them_and_to_no_other() -> None:
    own = {"PARLEY_LLM_API_KEY": "key", "PARLEY_SESSION_SECRET": "old", "OPENAI_API_KEY": "other", "PATH": "/bin"}
    base = parts.base_environment(own, "json")
    assert base == {
        "PATH": "/bin",
        "PARLEY_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    answers = AnswerSource("llm", "http://127.0.0.1:1/v1", "key", "model", "detail")
    speech = {"PARLEY_STT_ADDRESSES": "127.0.0.1:2"}
    worker = parts.worker("nats://t@127.0.0.1:3", some_ports(), answers, speech, base)
    edge = parts.edge("nats://t@127.0.0.1:3", "0.0.0.0", some_ports(), "secret", base)
    assert worker.env["PARLEY_LLM_API_KEY"] == "key"
    assert worker.env["PARLEY_LLM_MODE"] == "llm"
    assert "PARLEY_SESSION_SECRET" not in worker.env
    assert edge.env["PARLEY_SESSION_SECRET"] == "secret"
    assert "PARLEY_LLM_API_KEY" not in edge.env


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("box.lan", "box.lan")],
)
def test_the_address_that_reaches_a_server_from_this_machine(host: str, here: str) -> None:
    assert parts.reachable(host) == here


async def test_nats_starts_keeps_strangers_out_and_has_a_store(tmp_path: Path) -> None:
    chosen, token = some_ports(), secrets.token_hex(16)
    base = parts.base_environment({}, "console")
    console, up = Console(io.StringIO()), asyncio.Event()
    supervisor = Supervisor([parts.nats(tmp_path, chosen, token, base)], tmp_path, "now", console, up.set)
    running = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(10):
        await up.wait()
    with pytest.raises(nats.errors.Error):
        await nats.connect(f"nats://127.0.0.1:{chosen.nats}", allow_reconnect=False, connect_timeout=2)
    client = await nats.connect(f"nats://{token}@127.0.0.1:{chosen.nats}", connect_timeout=2)
    bucket = await client.jetstream().create_key_value(KeyValueConfig(bucket="sessions"))
    await bucket.put("a", b"1")
    await client.close()
    supervisor.stop()
    assert await running == 0
    console.close()
    assert strays(mark(tmp_path)) == []
    assert (tmp_path / "nats").is_dir()
    assert (tmp_path / "nats.conf").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--help"], 0, "run the whole stack on this machine"),
        (["--version"], 0, "parley 0."),
        (["up", "--help"], 0, "PARLEY_LLM_URL"),
        ([], 2, "usage: parley"),
        (["fly"], 2, "invalid choice"),
    ],
)
def test_the_command_line_is_light_and_says_what_it_takes(arguments: list[str], status: int, says: str) -> None:
    code = (
        "import sys\nfrom services.launcher.cli import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n"
        "    heavy = {'grpc', 'numpy', 'pydantic', 'asyncio', 'tritonclient'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert says in done.stdout + done.stderr

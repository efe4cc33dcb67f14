"""The Triton part: models that work, that die and that do not load; and what `parley up` hands to whom."""

import io
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.launcher import instance, parts, ports, speech_parts, triton, up
from services.launcher.answer_source import AnswerSource
from services.launcher.config import LauncherConfiguration
from services.launcher.console import Console
from services.launcher.speech_parts import Models


class Server:
    """What the models of a server do when they are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.does_not_load: dict[str, str] = {}
        self.dead: set[str] = set()
        self.said: list[str] = []
        monkeypatch.setattr(triton, "wait_ready", self._wait_ready)
        canaries = {name: lambda name=name: self._sing(name) for name in ("pocketsphinx", "espeak")}
        self.models = Models("127.0.0.1:1", canaries, lambda text, _trouble: self.said.append(text))

    async def _wait_ready(self, _address: str, models: Iterable[str], **_given: object) -> None:
        for model in models:
            if model in self.does_not_load:
                raise triton.ModelNotLoaded(f"model '{model}' did not load: {self.does_not_load[model]}")

    async def _sing(self, name: str) -> None:
        if name in self.dead:
            raise RuntimeError("the stub is not healthy")


async def test_models_that_work_are_ready_and_well(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    await server.models.ready()
    await server.models.well()
    assert server.said == []


async def test_a_model_whose_process_died_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    await server.models.ready()
    server.dead = {"espeak"}
    with pytest.raises(RuntimeError, match="canary of espeak: the stub is not healthy"):
        await server.models.well()


async def test_a_model_that_does_not_load_is_named_once_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    server.does_not_load = {"espeak": "no voices"}
    server.dead = {"espeak"}
    await server.models.ready()
    await server.models.ready()
    await server.models.well()
    assert server.said == ["Parley goes on without a model: model 'espeak' did not load: no voices"]


async def test_a_model_that_loads_after_a_restart_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    server.does_not_load = {"espeak": "no voices"}
    await server.models.ready()
    server.does_not_load = {}
    server.dead = {"espeak"}
    with pytest.raises(RuntimeError, match="canary of espeak"):
        await server.models.ready()


@pytest.mark.parametrize(
    ("set_by_user", "recognition"),
    [({}, "pocketsphinx"), ({"PARLEY_STT_ADDRESSES": "gpu:8001", "PARLEY_STT_MODEL": "whisper"}, "whisper")],
)
async def test_each_part_is_told_where_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_by_user: dict[str, str], recognition: str
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = instance.claim(tmp_path / "state")
    chosen = parts.Ports(*ports.internal(7, random.Random()))
    for name, value in set_by_user.items():
        monkeypatch.setenv(name, value)
    configuration = LauncherConfiguration(host="127.0.0.1", llm_api_key=SecretStr("key"))
    answers = AnswerSource("llm", "http://127.0.0.1:1/v1", "key", "model", "detail")
    terminal = io.StringIO()
    console = Console(terminal)
    (tmp_path / ".env").write_text("PARLEY_STT_SLOTS=3\n")
    nats, server, worker, edge = up.stack(configuration, mine, chosen, answers, console, set_by_user)
    console.close()
    assert [command.part.name for command in (nats, server, worker, edge)] == ["nats", "triton", "worker", "edge"]
    assert worker.env["PARLEY_NATS_URL"] == edge.env["PARLEY_NATS_URL"]
    assert worker.env["PARLEY_NATS_URL"].endswith(f"@127.0.0.1:{chosen.nats}")
    assert worker.env["PARLEY_TTS_ADDRESSES"] == f"127.0.0.1:{chosen.triton_grpc}"
    assert worker.env["PARLEY_STT_MODEL"] == recognition
    assert worker.env["PARLEY_STT_ADDRESSES"] == set_by_user.get(
        "PARLEY_STT_ADDRESSES", f"127.0.0.1:{chosen.triton_grpc}"
    )
    assert worker.env["PARLEY_HEALTH_PORT"] == str(chosen.worker_health)
    assert edge.env["PARLEY_PORT"] == str(chosen.page)
    assert len(edge.env["PARLEY_SESSION_SECRET"]) == 64
    assert server.env["PARLEY_STT_SLOTS"] == "3", "what stands in .env reaches parts that do not read it"
    assert server.shared_memory.startswith("parley_")
    assert ("whisper at gpu:8001 is used" in terminal.getvalue()) == bool(set_by_user)
    assert not any("key" in (part.env.get("PARLEY_LLM_API_KEY") or "") for part in (nats, server, edge))
    mine.release()


def test_stacks_of_two_folders_share_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prefixes: set[str] = set()
    for folder in ("one", "two"):
        mine = instance.claim(tmp_path / folder)
        chosen = parts.Ports(*ports.internal(7, random.Random()))
        console = Console(io.StringIO())
        commands = up.stack(LauncherConfiguration(), mine, chosen, AnswerSource("echo"), console, {})
        console.close()
        prefixes |= {command.shared_memory for command in commands if command.shared_memory}
        mine.release()
    assert len(prefixes) == 2
    assert speech_parts.repository().name == "model_repository"

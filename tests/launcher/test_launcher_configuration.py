"""Wrong values are refused by name, and the document of all variables is what the classes say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from services import configuration, configuration_names
from services.addresses import is_host, is_host_port
from services.configuration import ConfigurationError, load
from services.dialogue.config import WorkerConfiguration
from services.edge.config import EdgeConfiguration
from services.launcher import part_configurations, up
from services.launcher.config import LauncherConfiguration
from services.launcher.undertaker import INSTANCE_VARIABLE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PARLEY_PORT", "eighty", "valid integer"),
        ("PARLEY_PORT", "80800", "less than or equal to 65535"),
        ("PARLEY_PORT", "0", "greater than or equal to 1"),
        ("PARLEY_HOST", "", "at least 1 character"),
        ("PARLEY_HOST", "999.1.1.1", "no IP address and no name of a machine"),
        ("PARLEY_HOST", "my host", "no IP address and no name of a machine"),
        ("PARLEY_STT_ADDRESSES", "abc", "'abc' is not host:port"),
        ("PARLEY_TTS_ADDRESSES", "box:8001,box:0", "'box:0' is not host:port"),
        ("PARLEY_LLM_MODE", "gpt", "'auto', 'llm', 'template' or 'echo'"),
        ("PARLEY_LLM_URL", "localhost:11434", "no http or https address"),
        ("PARLEY_LLM_URL", "https://", "no http or https address"),
        ("PARLEY_LOG_FORMAT", "xml", "'console' or 'json'"),
    ],
)
def test_a_wrong_value_names_the_variable_what_it_got_and_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        load(LauncherConfiguration)
    sentence = str(refused.value)
    assert sentence.startswith(f"{name}: ")
    assert says in sentence
    assert "Value error" not in sentence
    assert f"(got {value!r})" in sentence
    assert "It takes: " in sentence


@pytest.mark.parametrize("name", ["PARLEY_STT_ADDRESSES", "PARLEY_TTS_ADDRESSES", "PARLEY_NATS_URL"])
@pytest.mark.parametrize("value", ["abc", "", "host:"])
def test_the_worker_refuses_addresses_that_are_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        load(WorkerConfiguration)


def test_the_edge_refuses_a_host_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_HOST", "999.1.1.1")
    with pytest.raises(ConfigurationError, match=r"^PARLEY_HOST: "):
        load(EdgeConfiguration)


@pytest.mark.parametrize("text", ["localhost", "box.lan", "127.0.0.1", "::", "fe80::1", "triton-0.triton.svc", "x_1"])
def test_hosts(text: str) -> None:
    assert is_host(text)
    assert is_host_port(f"[{text}]:8001" if ":" in text else f"{text}:8001")


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "256.1.1.1", "a b", "-a", "a..b", "http://a", "a/b", "1::2::3", "x" * 64]
)
def test_no_hosts(text: str) -> None:
    assert not is_host(text)
    assert not is_host_port(f"{text}:8001")


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:b", "a:65536", "a:0", "::1", "[a]:1", "[]:1", "a:1,b:1"])
def test_no_host_and_port(text: str) -> None:
    assert not is_host_port(text)


def test_a_key_with_a_line_break_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM_API_KEY", "sk-very\nsecret")
    with pytest.raises(ConfigurationError, match="PARLEY_LLM_API_KEY") as refused:
        load(LauncherConfiguration)
    assert "very" not in str(refused.value)


def test_white_space_around_a_value_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM_MODEL", " llama3.2\n")
    monkeypatch.setenv("PARLEY_LLM_API_KEY", "sk-from-a-file\n")
    for kind in (LauncherConfiguration, WorkerConfiguration):
        loaded = load(kind)
        assert (loaded.llm_model, loaded.llm_api_key.get_secret_value()) == ("llama3.2", "sk-from-a-file")


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_PORT", "-1")
    monkeypatch.setenv("PARLEY_LLM_MODE", "none")
    with pytest.raises(ConfigurationError) as refused:
        load(LauncherConfiguration)
    assert len(str(refused.value).splitlines()) == 2


def test_the_env_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PARLEY_PORT=9001\nPARLEY_LLM_MODE=echo\n")
    monkeypatch.setenv("PARLEY_PORT", "9002")
    loaded = load(LauncherConfiguration)
    assert (loaded.port, loaded.llm_mode) == (9002, "echo")


def test_an_address_needs_no_slash_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM_URL", "http://127.0.0.1:11434/v1/")
    assert load(LauncherConfiguration).llm_url == "http://127.0.0.1:11434/v1"


def test_parley_up_ends_with_status_2_and_the_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_PORT", "eighty")
    with pytest.raises(SystemExit) as ended:
        up.up()
    assert ended.value.code == 2
    assert "configuration: PARLEY_PORT: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("PARLEY_PORT=9001\n\n# a comment\nPARLEY_LLM_MODE echo\n", [".env, line 4: this is not NAME=value."]),
        ("PARLEY_PORT\n", [".env, line 1: this is not NAME=value."]),
        (
            "\n=1\nPARLEY_LLM_API_KEY='sk-secret\n",
            [".env, line 2: this is not NAME=value.", ".env, line 3: this is not NAME=value."],
        ),
    ],
)
def test_a_bad_line_of_the_env_file_is_named(tmp_path: Path, text: str, says: list[str]) -> None:
    (tmp_path / ".env").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load(LauncherConfiguration)
    assert str(refused.value).splitlines() == says


def test_an_env_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PARLEY_PORT=9001\nPARLEY_LLM_MODEL=\xe4\n")
    with pytest.raises(ConfigurationError, match=r"^\.env, line 2: this is not UTF-8\.$"):
        load(LauncherConfiguration)


def test_lines_of_others_in_the_env_file_are_none_of_our_business(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("export EDITOR\nOTHER=1\nPARLEY_PORT=9001 # the page\nPARLEY_LLM_MODEL=''\n")
    assert load(LauncherConfiguration).port == 9001
    assert configuration.misspelt() == []


def test_a_misspelt_name_is_told_with_the_nearest_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("PARLEY_SLOT=4\n")
    monkeypatch.setenv("PARLEY_PROT", "9001")
    configuration.load_or_exit(LauncherConfiguration)
    assert capsys.readouterr().err.splitlines() == [
        "configuration: PARLEY_PROT: nothing reads this variable; did you mean PARLEY_PORT?",
        "configuration: PARLEY_SLOT: nothing reads this variable; did you mean PARLEY_SLOTS?",
    ]
    monkeypatch.setenv("PARLEY_INSTANCE", "/state:run")
    configuration.load_or_exit(LauncherConfiguration)
    assert capsys.readouterr().err == "", "the launcher has said so"


def test_names_that_somebody_reads_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*configuration_names.known() - {INSTANCE_VARIABLE}, "parley_port", "OTHER_PROT"):
        monkeypatch.setenv(name, "1")
    for link in (
        "PARLEY_EDGE_SERVICE_HOST=10.0.0.1",
        "PARLEY_EDGE_SERVICE_PORT_HTTP=80",
        "PARLEY_EDGE_PORT=tcp://1:80",
    ):
        monkeypatch.setenv(*link.split("="))
    monkeypatch.setenv("PARLEY_EDGE_PORT_80_TCP_ADDR", "tcp://10.0.0.1")
    assert configuration.misspelt() == []
    monkeypatch.setenv("PARLEY_HELTH_PORT", "80")
    assert "PARLEY_HEALTH_PORT?" in configuration.misspelt()[0]


def test_every_variable_that_the_models_read_is_known() -> None:
    models = [path.read_text() for path in (ROOT / "model_repository").glob("*/1/*.py")]
    read = {name for text in models for name in re.findall(r"PARLEY_\w+", text)}
    assert read
    assert read <= configuration_names.known()
    assert configuration_names.STARTED_BY == INSTANCE_VARIABLE


@pytest.mark.parametrize("folder", ["/proc/parley", "file/below"])
def test_parley_up_says_that_its_folder_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PARLEY_STATE_DIR", folder)
    assert up.up() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"configuration: PARLEY_STATE_DIR: {folder} cannot be used: ")
    assert "Errno" not in said
    assert "It takes: a folder" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_SLOTS", "many"),
        ("PARLEY_SPECULATION", "maybe"),
        ("PARLEY_CHARACTERS", "/nowhere/cast.json"),
        ("PARLEY_MAX_CONNECTIONS", "0"),
        ("PARLEY_LOG_LEVEL", "loud"),
        ("PARLEY_ALLOWED_ORIGINS", "example"),
    ],
)
def test_parley_up_refuses_what_a_part_would_refuse_before_it_starts_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("PARLEY_STATE_DIR", str(tmp_path / "state"))
    assert up.up() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"configuration: {name}: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "state").exists()


def test_what_parley_up_sets_itself_is_not_asked_of_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PARLEY_LLM_MODE": "auto",
        "PARLEY_STT_ADDRESSES": "",
        "PARLEY_PORT": "none",
        "PARLEY_SESSION_SECRET": "short",
        "PARLEY_HEALTH_PORT": "none",
    }.items():
        monkeypatch.setenv(name, value)
    part_configurations.check()


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_parley_up_says_that_it_cannot_listen_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    monkeypatch.setenv("PARLEY_HOST", host)
    monkeypatch.setenv("PARLEY_STATE_DIR", str(tmp_path / "state"))
    assert up.up() == 2
    said = capsys.readouterr().out
    assert f"PARLEY_HOST: this machine cannot listen on {host}: " in said
    assert "Errno" not in said


def test_parley_up_says_what_an_answer_source_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARLEY_LLM_MODE", "llm")
    monkeypatch.setenv("PARLEY_STATE_DIR", str(tmp_path / "state"))
    assert up.up() == 2
    assert "PARLEY_LLM_URL: needed with PARLEY_LLM_MODE=llm" in capsys.readouterr().out


def test_the_document_lists_what_the_classes_read() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "configuration_table.py", "--check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_examples_are_commented_and_known() -> None:
    known = (ROOT / "docs" / "configuration.md").read_text()
    for line in (ROOT / ".env.example").read_text().splitlines():
        assert not line or line.startswith("#")
        if line.startswith("#PARLEY_"):
            assert f"`{line[1:].partition('=')[0]}`" in known

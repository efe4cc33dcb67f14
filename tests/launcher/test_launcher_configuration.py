"""Wrong values are refused by name, and the document of all variables is what the classes say."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.configuration import ConfigurationError, load
from services.launcher import up
from services.launcher.config import LauncherConfiguration

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
    assert f"(got {value!r})" in sentence
    assert "It takes: " in sentence


def test_a_key_with_a_line_break_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM_API_KEY", "sk-very\nsecret")
    with pytest.raises(ConfigurationError, match="PARLEY_LLM_API_KEY") as refused:
        load(LauncherConfiguration)
    assert "very" not in str(refused.value)


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_PORT", "-1")
    monkeypatch.setenv("PARLEY_LLM_MODE", "none")
    with pytest.raises(ConfigurationError) as refused:
        load(LauncherConfiguration)
    assert len(str(refused.value).splitlines()) == 2


def test_the_env_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PARLEY_PORT=9001\nPARLEY_LLM_MODE=echo\n")
    monkeypatch.setenv("PARLEY_PORT", "9002")
    configuration = load(LauncherConfiguration)
    assert (configuration.port, configuration.llm_mode) == (9002, "echo")


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

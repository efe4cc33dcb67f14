import os

import pytest

from services.configuration import ConfigurationError, load
from services.edge.config import EdgeConfiguration


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """No variables but the test's, and no .env."""
    for name in [name for name in os.environ if name.startswith("PARLEY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_serve_one_machine_only():
    configuration = load(EdgeConfiguration)
    assert configuration.host == "127.0.0.1"
    assert configuration.origins() == frozenset()
    assert configuration.trusted_proxies == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_PORT", "70000"),
        ("PARLEY_NATS_URL", "localhost"),
        ("PARLEY_SESSION_SECRET", "short"),
        ("PARLEY_ALLOWED_ORIGINS", "voice.example"),
        ("PARLEY_MAX_CONNECTIONS", "0"),
        ("PARLEY_CONNECT_RATE", "-1"),
        ("PARLEY_LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_takes(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as raised:
        load(EdgeConfiguration)
    assert str(raised.value).startswith(f"{name}: ")
    assert "It takes: " in str(raised.value)


def test_every_field_says_what_it_takes():
    for name, field in EdgeConfiguration.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert not field.description[0].isupper(), name


def test_origins_are_normalized(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PARLEY_ALLOWED_ORIGINS", " https://Voice.example/ ,http://localhost:3000")
    assert load(EdgeConfiguration).origins() == {"https://voice.example:443", "http://localhost:3000"}


def test_without_a_secret_each_edge_makes_its_own(monkeypatch: pytest.MonkeyPatch):
    first, second = load(EdgeConfiguration), load(EdgeConfiguration)
    assert first.secret() != second.secret()
    monkeypatch.setenv("PARLEY_SESSION_SECRET", "sixteen or more characters")
    assert load(EdgeConfiguration).secret() == b"sixteen or more characters"
    assert "sixteen" not in repr(load(EdgeConfiguration))

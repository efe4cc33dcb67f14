import os
import traceback

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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://parley:hunter2@nats.example:4222", "http://***@nats.example:4222"),
        ("parley:hunter2@nats.example", "***@nats.example"),
        ("nats://hunter2@nats.example :4222", "nats://***@nats.example :4222"),
        ("nats://parley:hunter2@a b@c/d@nats.example", "nats://***@nats.example"),
        ("http://a:hunter2@one.example,nats://b:hunter2@two.example", "http://***@two.example"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(url: str, shown: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PARLEY_NATS_URL", url)
    with pytest.raises(ConfigurationError) as raised:
        load(EdgeConfiguration)
    assert f"(got {shown!r})" in str(raised.value)
    trace = "".join(traceback.format_exception(raised.value))
    assert "hunter2" not in trace


def test_an_origin_with_a_password_is_told_without_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PARLEY_ALLOWED_ORIGINS", "me:hunter2@voice.example")
    with pytest.raises(ConfigurationError) as raised:
        load(EdgeConfiguration)
    assert "hunter2" not in str(raised.value)
    assert "'***@voice.example' is no origin" in str(raised.value)


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

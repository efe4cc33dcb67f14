import pytest

from services.edge.origins import allowed, normalized


@pytest.mark.parametrize(
    ("origin", "host", "configured", "may"),
    [
        (None, "voice.example", [], True),  # no browser
        ("https://voice.example", "voice.example", [], True),
        ("https://voice.example", "voice.example:443", [], True),
        ("https://VOICE.example", "voice.EXAMPLE", [], True),
        ("http://localhost:8080", "localhost:8080", [], True),
        ("http://[::1]:8080", "[::1]:8080", [], True),
        ("http://localhost:8081", "localhost:8080", [], False),
        ("https://evil.example", "voice.example", [], False),
        ("https://voice.example.evil.example", "voice.example", [], False),
        ("https://voice.example@evil.example", "voice.example", [], False),
        ("null", "voice.example", [], False),
        ("", "voice.example", [], False),
        ("https://voice.example", None, [], False),
        ("https://page.example", "voice.example", ["https://page.example"], True),
        ("http://page.example", "voice.example", ["https://page.example"], False),
        ("https://voice.example", "voice.example", ["https://page.example"], False),
        ("https://any.example", "voice.example", ["*"], True),
        ("null", "voice.example", ["*"], True),
    ],
)
def test_origins(origin: str | None, host: str | None, configured: list[str], may: bool):
    names = frozenset("*" if name == "*" else str(normalized(name)) for name in configured)
    assert allowed(origin, host, names) is may


@pytest.mark.parametrize(
    "junk", ["https://", "https://a:b", "https://a:99999", "https://a/path", "file:///x", "a.example"]
)
def test_what_is_no_origin(junk: str):
    assert normalized(junk) is None

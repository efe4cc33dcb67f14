import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.telemetry import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Other tests' logging is left as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_is_one_object_a_line_with_service_time_and_context():
    stream = io.StringIO()
    logs.configure("edge", "json", "info", stream)
    structlog.contextvars.bind_contextvars(session="s1", turn=3)
    structlog.get_logger("edge.test").info("two\nlines", number=1, thing=object)
    (line,) = lines(stream)
    assert line["service"] == "edge"
    assert line["event"] == "two\nlines"
    assert line["logger"] == "edge.test"
    assert line["level"] == "info"
    assert (line["session"], line["turn"], line["number"]) == ("s1", 3, 1)
    assert str(line["timestamp"]).endswith("Z")


def test_other_libraries_come_out_the_same_way():
    stream = io.StringIO()
    logs.configure("edge", "json", "info", stream)
    structlog.contextvars.bind_contextvars(session="s1")
    logging.getLogger("some.library").warning("%s of %d", "part", 2)
    (line,) = lines(stream)
    assert (line["event"], line["session"], line["service"]) == ("part of 2", "s1", "edge")


def test_an_exception_is_in_its_line():
    stream = io.StringIO()
    logs.configure("edge", "json", "info", stream)
    try:
        raise ValueError("wrong")
    except ValueError:
        structlog.get_logger("edge").exception("failed", session="s1")
    (line,) = lines(stream)
    assert "ValueError: wrong" in str(line["exception"])
    assert line["session"] == "s1"


@pytest.mark.parametrize(("level", "seen"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels(level: str, seen: int):
    stream = io.StringIO()
    logs.configure("edge", "json", level, stream)
    log = structlog.get_logger("edge")
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("said")
    assert len(lines(stream)) == seen


def test_the_server_does_not_print_lines_of_its_own_twice():
    stream = io.StringIO()
    own = logging.StreamHandler(io.StringIO())
    logging.getLogger("uvicorn.error").addHandler(own)
    logs.configure("edge", "json", "info", stream)
    logging.getLogger("uvicorn.error").info("connection open")
    logging.getLogger("uvicorn.error").error("broken")
    assert [line["event"] for line in lines(stream)] == ["broken"]
    assert own not in logging.getLogger("uvicorn.error").handlers


def test_questions_to_the_language_model_do_not_fill_the_log():
    stream = io.StringIO()
    logs.configure("dialogue", "json", "info", stream)
    logging.getLogger("httpx2").info("HTTP Request: POST http://llm/v1/chat/completions")
    logging.getLogger("httpx2").warning("trouble")
    assert [line["event"] for line in lines(stream)] == ["trouble"]


def test_configuring_again_replaces_the_first():
    first, second = io.StringIO(), io.StringIO()
    logs.configure("edge", "json", "info", first)
    logs.configure("edge", "json", "info", second)
    structlog.get_logger("edge").info("once")
    assert (len(lines(first)), len(lines(second))) == (0, 1)


def test_the_console_is_readable_and_has_no_colour_codes_in_a_file():
    stream = io.StringIO()
    logs.configure("edge", "console", "info", stream)
    structlog.get_logger("edge").info("session", worker="w1", client="evil\nname")
    text = stream.getvalue()
    assert "session" in text
    assert "worker=w1" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 1, "a client's name starts no line of its own"

"""State folders, ports and what is printed."""

import io
import json
import os
import random
import socket
import stat
import threading
from pathlib import Path

import pytest

from services.launcher import console, instance, ports
from services.launcher.console import Console, is_chatter
from services.launcher.instance import TARGETS, NoRoomError, Running
from services.launcher.running import NoStackError, conversation_address


def test_a_second_stack_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    first, second = instance.claim(tmp_path), instance.claim(tmp_path)
    assert (first.folder, first.number) == (tmp_path, 1)
    assert (second.folder, second.number) == (tmp_path / "2", 2)
    first.release()
    again = instance.claim(tmp_path)
    assert again.number == 1
    again.release()
    second.release()


def test_there_is_a_limit_and_it_is_said(tmp_path: Path) -> None:
    taken = [instance.claim(tmp_path) for _ in range(instance.MOST)]
    with pytest.raises(NoRoomError, match="PARLEY_STATE_DIR"):
        instance.claim(tmp_path)
    for one in taken:
        one.release()


def test_the_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    one = instance.claim(tmp_path)
    secret = one.secret()
    assert len(bytes.fromhex(secret)) == 32
    assert stat.S_IMODE((tmp_path / "session.secret").stat().st_mode) == 0o600
    one.release()
    other = instance.claim(tmp_path)
    assert other.secret() == secret
    other.release()


def test_only_running_stacks_are_told_of(tmp_path: Path) -> None:
    one = instance.claim(tmp_path)
    told = Running(os.getpid(), "http://127.0.0.1:8080", "template", "127.0.0.1:20001", {"page": 8080})
    one.announce(told)
    assert instance.running(tmp_path) == [told]
    text = (tmp_path / "instance.json").read_text()
    one.release()
    (tmp_path / "instance.json").write_text(text)  # as a launcher that was killed leaves it
    assert instance.running(tmp_path) == []


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/conversation"),
        ("127.0.0.1:8080/", "ws://127.0.0.1:8080/v1/conversation"),
        ("https://voice.example.org", "wss://voice.example.org/v1/conversation"),
        ("ws://127.0.0.1:8080/v1/conversation", "ws://127.0.0.1:8080/v1/conversation"),
    ],
)
def test_the_conversations_address_follows_from_the_pages(given: str, address: str) -> None:
    assert conversation_address(given) == address


def test_without_an_address_the_stack_of_this_folder_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoStackError, match="parley up"):
        conversation_address(None)
    with pytest.raises(NoStackError, match="no address of a page"):
        conversation_address("ftp://127.0.0.1")
    one = instance.claim(Path(".parley"))
    one.announce(Running(os.getpid(), "http://127.0.0.1:8083", "echo", "127.0.0.1:20001", {"page": 8083}))
    assert conversation_address(None) == "ws://127.0.0.1:8083/v1/conversation"
    one.release()


def test_the_page_takes_the_next_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not ports.is_free("127.0.0.1", port)
        assert port < ports.page("127.0.0.1", port) <= port + ports.PAGE_PORTS_TRIED


def test_a_host_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError, match="assign"):
        ports.page("192.0.2.1", 8080)


def test_internal_ports_differ_and_lie_below_the_ephemeral_ones() -> None:
    found = ports.internal(10, random.Random(7))
    assert len(set(found)) == 10
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(20_000 <= port < min(low, 32_000) for port in found)


CHATTER = {
    "nats": ["[77] 2026/11/21 02:40:00.000000 [INF] Server is ready"],
    "triton": [
        'I1121 02:28:15.304138 13115 model_lifecycle.cc:472] "loading: np:1"',
        'E1121 02:28:15.303364 13115 server.cc:241] "CudaDriverHelper has not been initialized."',
        "2026-11-21T02:42:12Z W 16486 pinned_memory_manager.cc:273] no pinned memory",
        "Signal (15) received.",
        "+------+------+",
    ],
    "worker": ["2026-11-21T02:40:00.123456Z [info     ] session opened [dialogue] session=ab", '{"level": "info"}', ""],
}
WORTH_SHOWING = {
    "nats": ["[77] 2026/11/21 02:40:00.000000 [ERR] maximum connections exceeded"],
    "triton": [
        "E1121 02:28:15.304138 13115 model_lifecycle.cc:642] \"failed to load 'espeak'\"",
        '2026-11-21T02:42:13Z E 16486 model_lifecycle.cc:642] "failed to load"',
        "Traceback (most recent call last):",
    ],
    "worker": [
        "2026-11-21T02:40:00.123456Z [warning  ] lost NATS [dialogue]",
        "Traceback (most recent call last):",
        '{"level": "error", "event": "info"}',
    ],
}


@pytest.mark.parametrize(("lines", "expected"), [(CHATTER, True), (WORTH_SHOWING, False)])
def test_what_is_shown_of_the_parts_without_verbose(lines: dict[str, list[str]], expected: bool) -> None:
    for part, texts in lines.items():
        for text in texts:
            assert is_chatter(part, text) is expected, (part, text)


def test_the_file_gets_everything_and_the_terminal_what_matters(tmp_path: Path) -> None:
    terminal = io.StringIO()
    both = Console(terminal, tmp_path / "log" / "parley.log")
    both.hear("nats", "[1] 2026/11/21 02:40:00.000000 [INF] Server is ready")
    both.say("ready after 0.1 s", "nats")
    both.close()
    assert terminal.getvalue() == "nats   | ready after 0.1 s\n"
    written = (tmp_path / "log" / "parley.log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in written] == [
        "nats   | [1] 2026/11/21 02:40:00.000000 [INF] Server is ready",
        "nats   | ready after 0.1 s",
    ]


def test_colours_only_where_there_is_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    coloured = Console(shown)
    coloured.say("lost", "edge", trouble=True)
    coloured.close()
    assert shown.getvalue() == "\033[34medge   |\033[0m \033[33mlost\033[0m\n"


def test_the_log_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LOG_BYTES", 10_000)
    bounded = Console(io.StringIO(), tmp_path / "parley.log")
    for number in range(2_000):
        bounded.hear("edge", f"line {number} " + "x" * 100)
    bounded.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 1 + console.LOG_FILES_KEPT
    assert max(sizes) <= 10_000
    assert "line 1999 " in (tmp_path / "parley.log").read_text()


def test_a_terminal_that_is_held_drops_lines_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "QUEUE_LINES", 10)
    released = threading.Event()

    class Held(io.StringIO):
        def write(self, text: str) -> int:
            released.wait()
            return super().write(text)

    held = Held()
    stuck = Console(held, verbose=True)
    for number in range(200):
        stuck.hear("edge", f"line {number}")
    assert stuck.dropped >= 189
    released.set()
    stuck.close()
    assert held.getvalue().count("\n") <= 12


def test_prometheus_is_told_where_metrics_are_while_the_stack_runs(tmp_path: Path) -> None:
    one = instance.claim(tmp_path)
    one.offer_metrics({"edge": "127.0.0.1:8080", "worker": "127.0.0.1:9000"})
    told = json.loads((tmp_path / TARGETS).read_text())
    assert told == [
        {"targets": ["127.0.0.1:8080"], "labels": {"job": "edge"}},
        {"targets": ["127.0.0.1:9000"], "labels": {"job": "worker"}},
    ]
    one.release()
    assert not (tmp_path / TARGETS).exists()

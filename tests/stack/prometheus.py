"""A real Prometheus over a running stack, for tests: what it scrapes, what it answers, its end."""

import asyncio
import json
import shutil
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

RULES = Path(__file__).parents[2] / "observability" / "prometheus"


class Prometheus:
    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer. Raises AssertionError with what Prometheus says is wrong."""
        try:
            with urllib.request.urlopen(f"{self._url}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        return self.ask("/api/v1/query", query=expression)["result"]

    def scraped(self) -> int:
        """How many targets have answered."""
        try:
            return len(self.query("up == 1"))
        except AssertionError:  # it starts
            return 0


@asynccontextmanager
async def watching(folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """Scrapes the URLs, by job, every second with the project's rules, until the context ends.

    Each has been scraped once when it begins: Prometheus takes five seconds until it knows its targets, and the rate of
    a counter begins with its second sample.
    """
    program = shutil.which("prometheus")
    assert program, "this test needs Prometheus: apt-get install prometheus"
    scraped = []
    for job, url in targets.items():
        parts = urlsplit(url)
        scraped.append({"job_name": job, "metrics_path": parts.path, "static_configs": [{"targets": [parts.netloc]}]})
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES / "recording.yaml"), str(RULES / "alerts.yaml")],
        "scrape_configs": scraped,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            stdout=log,
            stderr=log,
        )
    try:
        found = Prometheus(f"http://127.0.0.1:{port}")
        async with asyncio.timeout(20):
            while not await _listens(port) or found.scraped() < len(targets):
                assert process.returncode is None, (folder / "log").read_text()
                await asyncio.sleep(0.1)
        yield found
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True

import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real nats-server with JetStream on a port of its own."""
    folder = tmp_path_factory.mktemp("nats")
    server = Path(sysconfig.get_path("scripts")) / "nats-server"
    arguments = [str(server), "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", str(folder)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            address = ""
            for line in process.stderr:
                if found := re.search(r"client connections on (127\.0\.0\.1:\d+)", line):
                    address = found[1]
                if "Server is ready" in line:
                    break
            assert address, "nats-server did not start"
            yield f"nats://{address}"
        finally:
            process.kill()

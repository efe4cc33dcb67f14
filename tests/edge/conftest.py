from collections.abc import AsyncIterator, Iterator

import pytest
from edge_harness import EdgeProcess, NatsServer, Worker, edge_process, worker


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    server = NatsServer()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def edge(nats_url: str) -> Iterator[EdgeProcess]:
    """One edge for all tests that need none of their own. It may log no error and no traceback in any of them."""
    with edge_process(nats_url) as process:
        yield process
        assert process.tracebacks() == []


@pytest.fixture
async def scripted(nats_url: str) -> AsyncIterator[Worker]:
    async with worker(nats_url) as made:
        yield made

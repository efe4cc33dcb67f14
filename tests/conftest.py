"""Two workers share the tests (`pytest -n 2 --dist loadgroup`): one runs whole stacks, one after the other and first,
since they take the longest and measure; the other one everything else, a file at a time."""

from pathlib import Path

import pytest

STACK = Path(__file__).parent / "stack"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: STACK not in item.path.parents)
    for item in items:
        group = "stack" if STACK in item.path.parents else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))

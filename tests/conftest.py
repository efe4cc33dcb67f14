"""Two workers share the tests (`pytest -n 2 --dist loadgroup`), a file at a time: whole stacks come first,
since they take the longest and leave the processors idle while somebody speaks."""

from pathlib import Path

import pytest

STACK = Path(__file__).parent / "stack"
LONGEST = ("test_stack_conversation.py", "test_stack_soak.py", "test_stack_recovery.py")


def _order(item: pytest.Item) -> tuple[bool, int]:
    name = item.path.name
    return STACK not in item.path.parents, LONGEST.index(name) if name in LONGEST else len(LONGEST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_order)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(item.path)))

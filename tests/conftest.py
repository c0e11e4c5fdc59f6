"""What holds for all tests."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONG = ("faults", "e2e", "integration", "bench", "conformance")
"""Folders of long tests come first: so files that run beside each other end at the same time."""

# A shell starts what it puts into the background with SIGINT ignored, and children inherit that:
# then no command under test would end at a Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Suites that are no test modules themselves: their failures shall be explained like any other.
pytest.register_assert_rewrite("comporta.testing.conformance", "tests.support")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the long ones to the front."""
    items.sort(key=lambda item: _rank(item.path.relative_to(TESTS).parts))


def _rank(place: Sequence[str]) -> int:
    return LONG.index(place[0]) if place[0] in LONG else len(LONG)

"""What holds for all tests."""

import signal

import pytest

# A shell starts what it puts into the background with SIGINT ignored, and children inherit that:
# then no command under test would end at a Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Suites that are no test modules themselves: their failures shall be explained like any other.
pytest.register_assert_rewrite("comporta.testing.conformance", "tests.support")

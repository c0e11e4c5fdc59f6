"""`traceparent`, as the W3C wants it read: whatever is not one names no trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.tracing import trace_id_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE),
        (f"00-{TRACE}-{SPAN}-00", TRACE),
        (f"01-{TRACE}-{SPAN}-01-what-comes-later", TRACE),
        (f"00-{TRACE}-{SPAN}-01-what-comes-later", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE.upper()}-{SPAN}-01", ""),
        (f"00-{TRACE}-{SPAN}", ""),
        ("", ""),
    ],
)
def test_the_forms_of_the_standard(given_: str, expected: str) -> None:
    assert trace_id_of((("traceparent", given_),)) == expected


def test_a_call_without_it_names_no_trace() -> None:
    assert trace_id_of((("tracestate", f"00-{TRACE}-{SPAN}-01"),)) == ""


@given(st.text(max_size=80))
def test_whatever_comes_it_is_an_id_or_nothing(text: str) -> None:
    found = trace_id_of((("traceparent", text),))
    assert not found or (len(found) == 32 and set(found) <= set("0123456789abcdef"))

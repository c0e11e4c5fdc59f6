"""What a `traceparent` header says (W3C Trace Context, section 3.2). Pure."""

import re

from comporta.domain.event import Headers

TRACEPARENT = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


def trace_id_of(headers: Headers) -> str:
    """The id of the trace that a call belongs to: 32 hexadecimal digits, or "" if it names none."""
    given = next((value for name, value in headers if name == TRACEPARENT), "")
    seen = _FORM.fullmatch(given)
    if seen is None or seen[1] == "ff" or (seen[1] == "00" and seen[5]):
        return ""
    return "" if seen[2] == _NO_TRACE or seen[3] == _NO_SPAN else seen[2]

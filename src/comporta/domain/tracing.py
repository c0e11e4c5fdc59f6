"""Where in a trace something happens, as `traceparent` says it (W3C Trace Context). Pure."""

import re

import msgspec

from comporta.domain.event import Headers

TRACEPARENT = "traceparent"
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_SAMPLED = 1


class SpanContext(msgspec.Struct, frozen=True, gc=False):
    """One span of one trace: what others need in order to refer to it."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    sampled: bool
    """Whoever goes on with the trace is asked to record it, too."""

    @property
    def traceparent(self) -> str:
        """The header's value (section 3.2)."""
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED if self.sampled else 0:02x}"


def context_of(headers: Headers) -> SpanContext | None:
    """The span that a call belongs to, or None if it names none, or is wrong (section 3.2)."""
    given = next((value for name, value in headers if name == TRACEPARENT), "")
    seen = _FORM.fullmatch(given)
    if seen is None or seen[1] == "ff" or (seen[1] == "00" and seen[5]):
        return None
    if seen[2] == _NO_TRACE or seen[3] == _NO_SPAN:
        return None
    return SpanContext(seen[2], seen[3], bool(int(seen[4], 16) & _SAMPLED))


def trace_id_of(headers: Headers) -> str:
    """The id of the trace that a call belongs to: 32 hexadecimal digits, or "" if it names none."""
    found = context_of(headers)
    return found.trace_id if found else ""


def within(headers: Headers, context: SpanContext) -> Headers:
    """The same headers, sent on from this span."""
    others = tuple(header for header in headers if header[0] != TRACEPARENT)
    return (*others, (TRACEPARENT, context.traceparent))

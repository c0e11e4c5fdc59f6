"""What ingest reads off a request before its body: one pass over the headers, decoding few."""

import base64
from collections.abc import Iterable
from urllib.parse import parse_qs

from comporta.domain.event import Headers

TOKEN_CHARS_MAX = 512
KEPT_HEADERS_MAX = 24
HEADER_CHARS_MAX = 1024
DIGITS_MAX = 20
"""Of a length; Python refuses to read thousands of them."""
_OURS = b"x-chatwoot-"
_KEPT = frozenset((b"content-type", b"traceparent", b"tracestate"))
_ASKED = frozenset((b"authorization", b"content-length", b"content-encoding", b"accept-language"))


class Request:
    """A webhook call's head. Names of headers are in lower case, as ASGI has them."""

    __slots__ = ("_seen", "kept")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        kept: list[tuple[str, str]] = []
        seen: dict[bytes, str] = {}
        for name, raw in headers:
            if name in _KEPT or name.startswith(_OURS):
                seen[name] = value = raw.decode("latin-1")
                if len(kept) < KEPT_HEADERS_MAX and len(value) <= HEADER_CHARS_MAX:
                    kept.append((name.decode("latin-1"), value))
            elif name in _ASKED:
                seen[name] = raw.decode("latin-1")
        self._seen = seen
        self.kept: Headers = tuple(kept)

    def header(self, name: bytes) -> str:
        """A header that ingest knows, or ""."""
        return self._seen.get(name, "")

    @property
    def content_length(self) -> int:
        """As announced; 0 if it is not."""
        value = self._seen.get(b"content-length", "")
        is_number = value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX
        return int(value) if is_number else 0

    @property
    def is_json(self) -> bool:
        """False only if the body is said to be something else, or is compressed."""
        if self._seen.get(b"content-encoding", "identity") not in ("", "identity"):
            return False
        given = self._seen.get(b"content-type", "")
        if given in ("application/json", ""):
            return True
        return given.partition(";")[0].strip().lower().endswith(("/json", "+json"))

    def token(self, path: str, query: bytes) -> str:
        """The token that the caller shows: in the path, in `Authorization`, or in the query."""
        token = path[9:].rstrip("/") or self._authorization_token()
        if not token and b"token=" in query:
            token = _token_in(query)
        return token[: TOKEN_CHARS_MAX + 1]

    def _authorization_token(self) -> str:
        scheme, _, credentials = self._seen.get(b"authorization", "").partition(" ")
        scheme = scheme.lower()
        if scheme == "bearer":
            return credentials.strip()
        if scheme == "basic":
            try:
                pair = base64.b64decode(credentials.strip(), validate=True).decode()
            except ValueError:  # of any kind: not ASCII, not base64, not UTF-8
                return ""
            return pair.partition(":")[2]
        return ""


def _token_in(query: bytes) -> str:
    try:
        return parse_qs(query.decode("latin-1"), max_num_fields=32).get("token", [""])[0]
    except ValueError:  # too many fields
        return ""

"""What ingest reads off a request before its body: one pass over the headers."""

import base64
import binascii
from collections.abc import Iterable
from urllib.parse import parse_qs

from comporta.domain.event import Headers

TOKEN_CHARS_MAX = 512
KEPT_HEADERS_MAX = 24
HEADER_CHARS_MAX = 1024
_KEPT = (b"content-type", b"traceparent", b"tracestate")


class Request:
    """A webhook call's head."""

    __slots__ = (
        "accept_language",
        "authorization",
        "content_encoding",
        "content_length",
        "content_type",
        "instance",
        "kept",
        "signature",
        "timestamp",
    )

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.authorization = self.content_type = self.content_encoding = ""
        self.signature = self.timestamp = self.instance = self.accept_language = ""
        self.content_length: int | None = None
        kept: list[tuple[str, str]] = []
        for name, raw in headers:
            if name.startswith(b"x-chatwoot-") or name in _KEPT:
                value = raw.decode("latin-1")
                if len(kept) < KEPT_HEADERS_MAX and len(value) <= HEADER_CHARS_MAX:
                    kept.append((name.decode("latin-1"), value))
                self._note(name, value)
            elif name in _ASKED:
                self._note(name, raw.decode("latin-1"))
        self.kept: Headers = tuple(kept)

    def _note(self, name: bytes, value: str) -> None:
        if name == b"content-length":
            self.content_length = int(value) if value.isascii() and value.isdigit() else None
        elif name in _ASKED:
            setattr(self, _ASKED[name], value)

    @property
    def is_json(self) -> bool:
        """False only if the body is said to be something else, or is compressed."""
        if self.content_encoding not in ("", "identity"):
            return False
        media = self.content_type.partition(";")[0].strip().lower()
        return not media or media.endswith(("/json", "+json"))

    def token(self, path: str, query: bytes) -> str:
        """The token that the caller shows: in the path, in `Authorization`, or in the query."""
        token = path.strip("/").partition("/")[2] or self._authorization_token()
        if not token and b"token=" in query:
            token = parse_qs(query.decode("latin-1"), max_num_fields=32).get("token", [""])[0]
        return token[: TOKEN_CHARS_MAX + 1]

    def _authorization_token(self) -> str:
        scheme, _, credentials = self.authorization.partition(" ")
        scheme = scheme.lower()
        if scheme == "bearer":
            return credentials.strip()
        if scheme == "basic":
            try:
                pair = base64.b64decode(credentials.strip(), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return ""
            return pair.partition(":")[2]
        return ""


_ASKED = {
    b"authorization": "authorization",
    b"content-type": "content_type",
    b"content-encoding": "content_encoding",
    b"content-length": "content_length",
    b"accept-language": "accept_language",
    b"x-chatwoot-signature": "signature",
    b"x-chatwoot-timestamp": "timestamp",
    b"x-chatwoot-instance-id": "instance",
}

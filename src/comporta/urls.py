"""URLs: which ones are accepted from operators, how they are shown, and how a webhook URL looks.

Nothing here connects anywhere, or knows which addresses are allowed: that is decided when
connecting.
"""

from urllib.parse import SplitResult, quote, urlsplit

from comporta.i18n import _

URL_CHARS_MAX = 2048
HANDLER_SCHEME = "handler:"


def url_problem(text: str, *, login: bool = False) -> str:
    """What is wrong with an HTTP URL, in a sentence; "" if nothing is.

    Args:
        text: as the operator wrote it.
        login: whether `user:password@` may be in it.
    """
    if not text or len(text) > URL_CHARS_MAX:
        return _("A URL has 1 to {max} characters.").format(max=URL_CHARS_MAX)
    if not text.isprintable() or " " in text or "\\" in text:
        return _("A URL has no spaces, backslashes or control characters; write them as %20 …")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return _("This is not a URL: its host or port cannot be read.")
    return _parts_problem(parts, port, login=login)


def handler_of(url: str) -> str | None:
    """`"handler:answer"` → `"answer"`, the handler that a destination stands for; else None."""
    return url.removeprefix(HANDLER_SCHEME) if url.startswith(HANDLER_SCHEME) else None


def _parts_problem(parts: SplitResult, port: int | None, *, login: bool) -> str:
    if parts.scheme not in {"http", "https"}:
        return _("A URL starts with http:// or https://.")
    if not parts.hostname or port == 0:
        return _("This URL names no host that can be reached.")
    if parts.fragment:
        return _("A URL ends before the #: the part after it is never sent.")
    if not login and "@" in parts.netloc:
        return _("This URL must not hold a user name or password.")
    return ""


def masked_url(url: str) -> str:
    """The URL as it may be shown and logged: without password and without the query's values."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    netloc = f"{login.partition(':')[0]}:***@{host}" if at else host
    return parts._replace(netloc=netloc, query="***" if parts.query else "").geturl()


def webhook_url(public_url: str, token: str) -> str:
    """What an operator pastes into Chatwoot. It holds the token: show it once, never log it.

    Args:
        public_url: where Chatwoot reaches this gateway, with or without a slash at the end.
        token: the source's token.
    """
    return f"{public_url.rstrip('/')}/webhook/{quote(token, safe='')}"

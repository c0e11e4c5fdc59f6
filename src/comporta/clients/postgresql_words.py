"""What PostgreSQL and its client say went wrong, in sentences for people; never a password."""

from asyncpg import InterfaceError, PostgresError  # type: ignore[import-untyped]
from asyncpg.exceptions import (  # type: ignore[import-untyped]
    InternalClientError,
    TargetServerAttributeNotMatched,
)

from comporta.errors import StoreUnavailableError
from comporta.i18n import _

FAILURES = (PostgresError, InterfaceError, InternalClientError, OSError, TimeoutError)
"""What the client raises when the server, or the way to it, is at fault."""


class UnsureError(StoreUnavailableError):
    """The connection broke while a transaction was being committed: it may be stored, or not.

    Args:
        message: for people.
        result: what the transaction's job had returned.
    """

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result


def said(error: Exception, where: str) -> str:
    """What went wrong with the database `where`, and what to do next."""
    if isinstance(error, TargetServerAttributeNotMatched):
        reason = _("none of its servers takes writes")
    elif isinstance(error, TimeoutError):
        reason = _("it did not answer in time")
    else:
        reason = str(error).partition("\n")[0] or type(error).__name__
    text = _("The PostgreSQL database {where} cannot be used: {reason}. {hint}")
    return text.format(where=where, reason=reason.rstrip("."), hint=_hint(error))


def _hint(error: Exception) -> str:
    state = getattr(error, "sqlstate", None) or ""
    hints = {
        "28": _("Check the user and the password in COMPORTA_LEDGER."),
        "3D": _("Create it with CREATE DATABASE, or name another one in COMPORTA_LEDGER."),
        "53300": _("Raise max_connections there, or put PgBouncer in front of it."),
        "53100": _("Make room on its disk; Comporta goes on by itself."),
        "25006": _("It is a standby: name the primary in COMPORTA_LEDGER."),
        "42501": _("Give the user the right to create a schema in the database."),
    }
    known = hints.get(state) or hints.get(state[:2])
    return known or _("Comporta tries again by itself; see that the server is up.")

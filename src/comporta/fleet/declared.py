"""What an operator declares: a fleet file as structs, before it has ids and sealed secrets.

A fleet that is already stored can be put in this form too (`plan.declare`), so that files, single
commands and exports all go the same way. Nothing here checks anything.
"""

from typing import NoReturn, Protocol

import msgspec

from comporta.domain.backoff import DEFAULT_WAITS_S
from comporta.domain.fleet import PARK_S, Format, Scalar, Token
from comporta.domain.rate import Rate
from comporta.toml_lines import Path

INSTANCES_MAX = 5000
SOURCES_MAX = 50
DESTINATIONS_MAX = 1000
ROUTES_MAX = 2000
CREDENTIALS_MAX = 20
"""Tokens, or secrets, of one source."""
LIST_MAX = 5000
"""Items in one list of a route."""
NAME_CHARS_MAX = 64
TOKEN_CHARS_MIN = 16
TOKEN_CHARS_MAX = 512
SECRET_CHARS_MAX = 512
TEXT_CHARS_MAX = 2048
"""Any other text."""
WAITS_MAX = 50
WAIT_S_MAX = 7 * 86_400.0
TIMEOUT_S_DEFAULT = 10.0
TIMEOUT_S_MAX = 120.0
CONCURRENCY_MAX = 1000
PARK_S_MAX = 7 * 86_400.0
CLASSES_MAX = 100
TRANSFORM_CHARS_MAX = 4000
HEADERS_MAX = 20
HEADER_NAME_CHARS_MAX = 100
HEADER_CHARS_MAX = 2000
"""In the value of one header."""
INTEGER_MAX = 2**63 - 1


class Fail(Protocol):
    """How a check says no: raises, with the place that `path` stands for."""

    def __call__(self, path: Path, message: str, hint: str = "") -> NoReturn:
        """Raise."""
        ...


class GivenSecret(msgspec.Struct, frozen=True):
    """A secret as it was given. Its text is never shown."""

    text: str = ""
    """In the clear; "" if it is only known sealed."""
    sealed: str = ""
    """As stored; "" if it was given in the clear."""
    ref: str = ""
    """`env:NAME` or `file:PATH`, where the operator keeps it."""

    def __repr__(self) -> str:
        return f"GivenSecret(ref={self.ref!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("ref", self.ref)]


class DeclaredSource(msgspec.Struct, frozen=True):
    """A source. No tokens: keep those it has, or make one."""

    name: str
    kind: str
    tokens: tuple[Token, ...] = ()
    secrets: tuple[GivenSecret, ...] = ()


class DeclaredInstance(msgspec.Struct, frozen=True):
    """An instance with its sources."""

    name: str
    url: str = ""
    sources: tuple[DeclaredSource, ...] = ()


class DeclaredDestination(msgspec.Struct, frozen=True):
    """A destination."""

    name: str
    url: str
    secret: GivenSecret | None = None
    timeout_s: float = TIMEOUT_S_DEFAULT
    retry: tuple[float, ...] = DEFAULT_WAITS_S
    rate: Rate | None = None
    concurrency: int = 0
    instance_concurrency: int = 0
    park_s: float = PARK_S
    classes: dict[str, str] = {}
    format: str = Format.RAW.value
    transform: str = ""
    headers: dict[str, GivenSecret] = {}
    """Lower-case name → value."""


class DeclaredRoute(msgspec.Struct, frozen=True):
    """A route."""

    name: str
    to: tuple[str, ...]
    instances: tuple[str, ...] = ("*",)
    events: tuple[str, ...] = ("*",)
    where: dict[str, tuple[Scalar, ...]] = {}


class Declared(msgspec.Struct, frozen=True):
    """A whole fleet, in the order in which it was written."""

    instances: tuple[DeclaredInstance, ...] = ()
    destinations: tuple[DeclaredDestination, ...] = ()
    routes: tuple[DeclaredRoute, ...] = ()
    warnings: tuple[str, ...] = ()
    """Sentences for the operator about what is allowed but looks like a slip."""

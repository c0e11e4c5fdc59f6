"""A fleet file's text → what it declares. It is refused whole, at the first thing that is wrong.

Reads the environment variables and files that tokens and secrets refer to; changes nothing.
"""

import tomllib
from pathlib import Path as FilePath
from typing import NoReturn

from comporta.domain.fleet import Token
from comporta.errors import ConfigError, FleetError
from comporta.fleet.check import check
from comporta.fleet.credentials import make_secret, make_token
from comporta.fleet.declared import (
    DESTINATIONS_MAX,
    INSTANCES_MAX,
    ROUTES_MAX,
    SOURCES_MAX,
    Declared,
    DeclaredDestination,
    DeclaredInstance,
    DeclaredRoute,
    DeclaredSource,
    Fail,
    GivenSecret,
)
from comporta.fleet.options import DestinationOptions, amended
from comporta.fleet.table import Table
from comporta.i18n import _
from comporta.toml_lines import Path, line_of
from comporta.vault import Vault

FILE_BYTES_MAX = 16 * 1024 * 1024


def load(path: FilePath, vault: Vault) -> Declared:
    """Read a fleet file.

    Raises:
        FleetError: it cannot be read, or anything in it is wrong.
    """
    return parse(read_text(path), str(path), vault)


def read_text(path: FilePath) -> str:
    """The text of a fleet file.

    Raises:
        FleetError: it cannot be read, or is no text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        return raw.decode("utf-8-sig")
    except OSError as error:
        said = _("The fleet file cannot be read: {reason}.").format(reason=error.strerror)
        raise FleetError(said, str(path)) from None
    except UnicodeDecodeError:
        raise FleetError(_("The fleet file is not UTF-8 text."), str(path)) from None


def parse(text: str, file: str, vault: Vault) -> Declared:
    """What a fleet file declares, checked.

    Args:
        text: TOML.
        file: its name, for messages.
        vault: opens the secrets that an export wrote.

    Raises:
        FleetError: anything is wrong; with file, line and what to do.
    """
    values = toml_values(text, file)

    def fail(path: Path, message: str, hint: str = "") -> NoReturn:
        raise FleetError(message, file, line_of(text, path), hint, path)

    reader = _Reader(fail, vault)
    return check(reader.fleet(Table(values, (), fail)), fail, lambda path: _place(file, text, path))


def read_values(values: dict[str, object], vault: Vault) -> Declared:
    """What a document with the keys of a fleet file declares; its rules are not checked here.

    Args:
        values: as `tomllib`, or a JSON decoder, reads them; may be a part of a fleet.
        vault: opens the secrets that an export wrote.

    Raises:
        FleetError: a key or a type is wrong; with the path, and what to do.
    """
    return _Reader(refuse, vault).fleet(Table(values, (), refuse))


def check_values(declared: Declared) -> Declared:
    """A whole fleet from `read_values`, checked. Raises FleetError."""
    return check(declared, refuse, lambda path: f"{'.'.join(map(str, path))}: ")


def refuse(path: Path, message: str, hint: str = "") -> NoReturn:
    """For documents without lines: the error has the path."""
    raise FleetError(message, hint=hint, path=path)


def _place(file: str, text: str, path: Path) -> str:
    return f"{file}:{line_of(text, path) or 1}: "


def toml_values(text: str, file: str) -> dict[str, object]:
    """A fleet file's text as keys and values. Raises FleetError."""
    if len(text) > FILE_BYTES_MAX:
        said = _("A fleet file has at most {max} MiB.").format(max=FILE_BYTES_MAX // 1024**2)
        raise FleetError(said, file)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = _("This is not valid TOML: {reason}.").format(reason=error)
        raise FleetError(said, file, _line_in(str(error))) from None
    except (ValueError, RecursionError):
        raise FleetError(_("This is not a fleet file: it cannot be read as TOML."), file) from None


def _line_in(reason: str) -> int | None:
    """`tomllib` ends its messages with "(at line 3, column 1)"."""
    number = reason.rpartition("at line ")[2].partition(",")[0]
    return int(number) if number.isdecimal() else None


class _Reader:
    """Tables → declared things. Knows keys and types; `check` knows the rules."""

    def __init__(self, fail: Fail, vault: Vault) -> None:
        self._fail = fail
        self._vault = vault

    def fleet(self, table: Table) -> Declared:
        instances = table.tables("instance", INSTANCES_MAX, "[[instance]]")
        destinations = table.tables("destination", DESTINATIONS_MAX, "[[destination]]")
        routes = table.tables("route", ROUTES_MAX, "[[route]]")
        table.finish()
        return Declared(
            instances=tuple(self._instance(item) for item in instances),
            destinations=tuple(self._destination(item) for item in destinations),
            routes=tuple(self._route(item) for item in routes),
        )

    def _instance(self, table: Table) -> DeclaredInstance:
        name, url = table.text("name"), table.text("url", "")
        sources = table.tables("source", SOURCES_MAX, "[[instance.source]]")
        table.finish()
        return DeclaredInstance(name, url, tuple(self._source(item) for item in sources))

    def _source(self, table: Table) -> DeclaredSource:
        name = table.text("name")
        kind = table.text("kind")
        tokens = self._tokens(table)
        secrets = tuple(
            self._secret((*table.path, "secrets", index), given)
            for index, given in enumerate(table.texts("secrets", ()))
        )
        table.finish()
        return DeclaredSource(name, kind, tokens, secrets)

    def _tokens(self, table: Table) -> tuple[Token, ...]:
        if not table.has("tokens"):
            given = table.text("token", "") if table.has("token") else None
            return () if given is None else (self._token((*table.path, "token"), given),)
        if table.has("token"):
            self._fail((*table.path, "token"), _("Give either token or tokens, not both."))
        path = (*table.path, "tokens")
        tokens = table.texts("tokens")
        if not tokens:
            self._fail(path, _("This list is empty. Without tokens at all, one is made for you."))
        return tuple(self._token((*path, index), given) for index, given in enumerate(tokens))

    def _destination(self, table: Table) -> DeclaredDestination:
        plain = DeclaredDestination(table.text("name"), table.text("url"))
        options: DestinationOptions = {
            "timeout_s": table.number("timeout_s", plain.timeout_s),
            "retry": table.numbers("retry", plain.retry),
            "concurrency": table.whole("concurrency", plain.concurrency),
            "instance_concurrency": table.whole("instance_concurrency", plain.instance_concurrency),
            "park_s": table.number("park_s", plain.park_s),
            "classes": {**table.pairs("classes")},
            "format": table.text("format", plain.format),
            "transform": table.lines("transform"),
            "headers": {**table.pairs("headers")},
        }
        if table.has("secret"):
            options["secret"] = table.text("secret")
        if table.has("rate"):
            options["rate"] = table.text("rate")
        if table.has("burst"):
            options["burst"] = table.whole("burst", 0)
        table.finish()
        return amended(plain, options, self._vault, self._fail, table.path)

    def _route(self, table: Table) -> DeclaredRoute:
        route = DeclaredRoute(
            name=table.text("name"),
            to=table.texts("to"),
            instances=table.texts("instances", ("*",)),
            events=table.texts("events", ("*",)),
            where=table.matchers("where"),
        )
        table.finish()
        return route

    def _token(self, path: Path, given: str) -> Token:
        try:
            return make_token(given)
        except ConfigError as error:
            self._fail(path, str(error))

    def _secret(self, path: Path, given: str) -> GivenSecret:
        try:
            return make_secret(given, self._vault)
        except ConfigError as error:
            self._fail(path, str(error))

"""A destination's options, as operators give them in files and on the command line, made ready.

What is only a form (a rate, a secret by reference) is refused here; the rules are `check`'s. Reads
the environment variables and files that secrets refer to; changes nothing.
"""

from typing import Any, TypedDict

from msgspec.structs import replace

from comporta.domain.fleet import Format
from comporta.domain.rate import BURST_MAX, PER_S_MAX, Rate, parse_rate, show_rate
from comporta.errors import ConfigError
from comporta.fleet.credentials import make_header, make_signing_secret
from comporta.fleet.declared import DeclaredDestination, Fail, GivenSecret
from comporta.i18n import _
from comporta.toml_lines import Path
from comporta.vault import Vault


class DestinationOptions(TypedDict, total=False):
    """What may be said of a destination besides its name and URL; what is absent stays as it is."""

    secret: str | None
    """None: not signed."""
    timeout_s: float
    retry: tuple[float, ...]
    rate: str | None
    """As `parse_rate` reads it; None: no limit."""
    burst: int
    concurrency: int
    instance_concurrency: int
    park_s: float
    classes: dict[str, str | None]
    """Event type or pattern → class; None: no longer. Others stay."""
    format: str
    transform: str
    headers: dict[str, str | None]
    """Name → value; None: no longer. Others stay."""


def amended(
    old: DeclaredDestination, options: DestinationOptions, vault: Vault, fail: Fail, path: Path = ()
) -> DeclaredDestination:
    """A destination with these options.

    Args:
        old: as it was before.
        options: what to change.
        vault: opens the secrets that an export wrote.
        fail: called with what is wrong; raises.
        path: where the destination stands.
    """
    return _Amender(old, options, vault, fail, path).done()


class _Amender:
    """Every option that is more than a value to be put in place, one method each."""

    def __init__(
        self,
        old: DeclaredDestination,
        options: DestinationOptions,
        vault: Vault,
        fail: Fail,
        path: Path,
    ) -> None:
        self._old, self._options, self._vault = old, options, vault
        self._fail, self._path = fail, path

    def done(self) -> DeclaredDestination:
        options = self._options
        changes: dict[str, Any] = {key: value for key, value in options.items() if key != "burst"}
        if "secret" in options:
            changes["secret"] = self._secret(options["secret"])
        if "rate" in options or "burst" in options:
            changes["rate"] = self._rate()
        if "classes" in options:
            classes: dict[str, str | None] = {**self._old.classes, **options["classes"]}
            changes["classes"] = {key: value for key, value in classes.items() if value is not None}
        if "headers" in options:
            changes["headers"] = self._headers(options["headers"])
        if options.get("format", Format.JMESPATH) != Format.JMESPATH:
            changes.setdefault("transform", "")
        return replace(self._old, **changes)

    def _secret(self, given: str | None) -> GivenSecret | None:
        try:
            return None if given is None else make_signing_secret(given, self._vault)
        except ConfigError as error:
            self._fail((*self._path, "secret"), str(error))

    def _rate(self) -> Rate | None:
        """A new rate brings its own burst, unless one is given too."""
        burst, kept = self._options.get("burst"), self._old.rate
        shown = show_rate(kept) if kept is not None else None
        text = self._options.get("rate", shown)
        if text is None:
            if burst is not None:
                self._fail((*self._path, "burst"), _("A burst needs a rate, as in 50/s."))
            return None
        try:
            # What is kept is what an export can write, so that a file can say the same again.
            rate = parse_rate(text, burst)
            return parse_rate(show_rate(rate), rate.burst)
        except ValueError:
            said = _(
                "A rate is so many calls a second, minute or hour: 50/s, 600/min, 1000/h. It is "
                "at least 1/h and at most {max}/s; its burst is 1 to {burst_max}."
            ).format(max=f"{PER_S_MAX:.0f}", burst_max=BURST_MAX)
            self._fail((*self._path, "rate"), said)

    def _headers(self, given: dict[str, str | None]) -> dict[str, GivenSecret]:
        headers = dict(self._old.headers)
        seen = set()
        for name, value in given.items():
            path, key = (*self._path, "headers", name), name.lower()
            if key in seen:
                self._fail(path, _("This header is there twice; their case does not count."))
            seen.add(key)
            if value is None:
                headers.pop(key, None)
                continue
            try:
                headers[key] = make_header(value, self._vault)
            except ConfigError as error:
                self._fail(path, str(error))
        return headers

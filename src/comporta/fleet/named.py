"""Finding, exchanging and removing one thing among named things. Pure."""

import hmac
from collections.abc import Iterable
from typing import Protocol, TypeVar

from comporta.domain.fleet import Token
from comporta.errors import NotFoundError
from comporta.fleet.declared import GivenSecret
from comporta.i18n import _
from comporta.vault import Vault, digest_token
from comporta.words import did_you_mean

_PART_CHARS_MIN = 6
"""A shorter beginning of a digest or hint is too likely a slip."""


class Named(Protocol):
    """A thing with a name."""

    @property
    def name(self) -> str:
        """Its slug."""
        ...


_N = TypeVar("_N", bound=Named)
_T = TypeVar("_T")


def find(what: str, name: str, things: Iterable[_N]) -> _N:
    """The thing of that name.

    Args:
        what: `instance`, `source`, `destination` or `route`, for the message.
        name: exactly.
        things: where to look.

    Raises:
        NotFoundError: there is none; with the nearest name.
    """
    known = {thing.name: thing for thing in things}
    if name in known:
        return known[name]
    said = {
        "instance": _('There is no instance "{name}".'),
        "source": _('There is no source "{name}" in this instance.'),
        "destination": _('There is no destination "{name}".'),
        "route": _('There is no route "{name}".'),
    }[what].format(name=name)
    raise NotFoundError(f"{said} {did_you_mean(name, known)}".strip())


def find_token(given: str, tokens: tuple[Token, ...]) -> Token:
    """The one token that `given` is, or whose digest or hint begins with it.

    Raises:
        NotFoundError: none, or more than one.
    """
    digest = digest_token(given)
    exact = [token for token in tokens if digest in {token.digest, given}]
    part = given.removeprefix("sha256:") if len(given) >= _PART_CHARS_MIN else None
    found = exact or [
        token
        for token in tokens
        if part and (token.digest.startswith(part) or token.hint.startswith(part))
    ]
    if len(found) != 1:
        raise NotFoundError(
            _(
                "This does not name one token of the source. Give the token, or at least the first "
                "six characters of its digest or hint."
            )
        )
    return found[0]


def find_secret(given: str, secrets: tuple[GivenSecret, ...], vault: Vault) -> GivenSecret:
    """The secret that `given` is, or that is kept where `given` (`env:…`, `file:…`) says.

    Raises:
        NotFoundError: there is none.
        ConfigError: the vault has another key than the secrets.
    """
    for secret in secrets:
        text = secret.text or vault.open(secret.sealed)
        if given == secret.ref or hmac.compare_digest(given.encode(), text.encode()):
            return secret
    raise NotFoundError(
        _("The source has no such secret. Give it as it was added: itself, env:NAME or file:PATH.")
    )


def exchanged(things: tuple[_T, ...], old: _T, new: _T) -> tuple[_T, ...]:
    """The same, with `new` in the place of `old`."""
    return tuple(new if thing is old else thing for thing in things)


def without(things: tuple[_T, ...], gone: _T) -> tuple[_T, ...]:
    """The same without `gone`."""
    return tuple(thing for thing in things if thing is not gone)

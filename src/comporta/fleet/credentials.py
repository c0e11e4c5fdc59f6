"""Tokens and secrets as operators give them: in the clear, by reference, or as exported.

`env:NAME` and `file:PATH` work for both; `sha256:…` (a token's digest) and `sealed:…` (a secret
sealed by this gateway's own key) are what an export writes. No message here repeats a value.
"""

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comporta.domain.fleet import Token
from comporta.errors import ConfigError, FleetError
from comporta.fleet.declared import (
    HEADER_CHARS_MAX,
    SECRET_CHARS_MAX,
    TEXT_CHARS_MAX,
    TOKEN_CHARS_MAX,
    TOKEN_CHARS_MIN,
    GivenSecret,
)
from comporta.i18n import _
from comporta.settings import environment
from comporta.vault import Vault, digest_token

ENV, FILE, DIGEST, SEALED = "env:", "file:", "sha256:", "sealed:"
_FILE_BYTES_MAX = 64 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_HINT_CHARS = 8
_HINT_FROM_CHARS = 32
"""Of a shorter token nothing is shown."""
_WEBHOOK_SECRET = "whsec_"  # noqa: S105  (what every Standard Webhooks secret starts with)
_WEBHOOK_SECRET_BYTES = range(24, 65)


def resolve(value: str) -> tuple[str, str]:
    """What `env:NAME`, `file:PATH` or a literal stands for, and the reference ("" if literal).

    Raises:
        ConfigError: the variable or file is missing, empty or far too large.
    """
    if value.startswith(ENV):
        return _from_environment(value.removeprefix(ENV)), value
    if value.startswith(FILE):
        return _from_file(value.removeprefix(FILE)), value
    return value, ""


def from_setting(given: str) -> str:
    """What a setting says, itself or as `file:PATH`, without spaces around it; "" for "".

    Raises:
        ConfigError: the file cannot be read, or there are only spaces.
    """
    text = _from_file(given.removeprefix(FILE)) if given.startswith(FILE) else given
    if given and not text.strip():
        raise ConfigError(_("A token or key in the settings consists of spaces only."))
    return text.strip()


def without_references(values: Any, read: Callable[[str], str]) -> Any:
    """A document with the keys of a fleet file, its references replaced by what `read` gives.

    What a route's `where` asks for is no credential, and stays.
    """
    match values:
        case dict():
            return {
                key: value if key == "where" else without_references(value, read)
                for key, value in values.items()
            }
        case list() | tuple():
            return [without_references(value, read) for value in values]
        case str() if values.startswith((ENV, FILE)):
            return read(values)
        case _:
            return values


def refuse_reference(value: str) -> str:
    """For what comes over the network: whoever may change the fleet may not read our files.

    Raises:
        FleetError: always.
    """
    said = _("{value} is a reference, and references are not read over the API.")
    hint = _("Give the value itself; the command line does so for you with --api.")
    raise FleetError(said.format(value=value[:TEXT_CHARS_MAX]), hint=hint)


def make_token(given: str) -> Token:
    """A token as it is kept.

    Raises:
        ConfigError: too short, too long, or not fit for a URL.
    """
    if given.startswith(DIGEST):
        digest = given.removeprefix(DIGEST)
        if not _DIGEST.fullmatch(digest):
            raise ConfigError(_("After sha256: come 64 characters from 0-9 and a-f."))
        return Token(digest=digest)
    token, ref = resolve(given)
    if not TOKEN_CHARS_MIN <= len(token) <= TOKEN_CHARS_MAX:
        said = _("A token has {min} to {max} characters; this one has {found}.")
        raise ConfigError(said.format(min=TOKEN_CHARS_MIN, max=TOKEN_CHARS_MAX, found=len(token)))
    if not _TOKEN.fullmatch(token):
        raise ConfigError(_("A token is part of a URL: letters, digits and - . _ ~ only."))
    hint = token[:_HINT_CHARS] if len(token) >= _HINT_FROM_CHARS else ""
    return Token(digest=digest_token(token), hint=hint, ref=ref)


def make_secret(given: str, vault: Vault) -> GivenSecret:
    """A secret as it was given.

    Raises:
        ConfigError: empty, too long, or sealed under another key.
    """
    secret = _given(given, vault)
    if not 0 < len(secret.text) <= SECRET_CHARS_MAX:
        raise ConfigError(_("A secret has 1 to {max} characters.").format(max=SECRET_CHARS_MAX))
    return secret


def make_signing_secret(given: str, vault: Vault) -> GivenSecret:
    """A destination's secret, as in Standard Webhooks: `whsec_` and 24 to 64 bytes in base64.

    Raises:
        ConfigError: not of this form, or sealed under another key.
    """
    secret = make_secret(given, vault)
    try:
        raw = base64.b64decode(secret.text.removeprefix(_WEBHOOK_SECRET), validate=True)
    except ValueError:
        raw = b""
    if not secret.text.startswith(_WEBHOOK_SECRET) or len(raw) not in _WEBHOOK_SECRET_BYTES:
        said = _(
            "A destination's secret is whsec_ followed by 24 to 64 bytes in base64. "
            'Make one with: echo "whsec_$(openssl rand -base64 32)"'
        )
        raise ConfigError(said)
    return secret


def make_header(given: str, vault: Vault) -> GivenSecret:
    """The value of a request's header: often a credential, so it is kept like one.

    Raises:
        ConfigError: empty, too long, with control characters, or sealed under another key.
    """
    value = _given(given, vault)
    text = value.text
    if not 0 < len(text) <= HEADER_CHARS_MAX or not text.isprintable() or text != text.strip():
        said = _(
            "The value of a header has 1 to {max} characters, no control characters, and no "
            "spaces around it."
        )
        raise ConfigError(said.format(max=HEADER_CHARS_MAX))
    return value


def _given(given: str, vault: Vault) -> GivenSecret:
    if given.startswith(SEALED):
        sealed = given.removeprefix(SEALED)
        return GivenSecret(text=vault.open(sealed), sealed=sealed)
    text, ref = resolve(given)
    return GivenSecret(text=text, ref=ref)


def _from_environment(name: str) -> str:
    value = environment(name)
    if not value:
        said = _('The environment variable "{name}" is not set, or is empty.')
        raise ConfigError(said.format(name=name[:TEXT_CHARS_MAX]))
    return value


def _from_file(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            raw = file.read(_FILE_BYTES_MAX + 1)
        text = raw.decode().rstrip("\r\n")
    except OSError as error:
        said = _('The file "{name}" cannot be read: {reason}.')
        raise ConfigError(said.format(name=name, reason=error.strerror)) from None
    except ValueError:
        raise ConfigError(_('The file "{name}" is not a text file.').format(name=name)) from None
    if not text or len(raw) > _FILE_BYTES_MAX:
        raise ConfigError(_('The file "{name}" is empty or too large.').format(name=name))
    return text

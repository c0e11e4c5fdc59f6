"""Secrets at rest: sealed with AES-256-GCM under one key, opened only in memory.

Tokens are not sealed but digested: they are compared, never needed again. Nothing here is shown or
logged, and this module knows neither settings nor the fleet.
"""

import base64
import binascii
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from comporta.errors import ConfigError
from comporta.i18n import _

KEY_BYTES = 32
KEY_FILE = "key"
TOKEN_PREFIX = "cmp_"  # noqa: S105  (what every token starts with)
_VERSION = "v1"
_NONCE_BYTES = 12
_FILE_BYTES_MAX = 4096


def new_token() -> str:
    """A token for a source: `cmp_` and 32 random bytes, safe in a URL."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def digest_token(token: str) -> str:
    """SHA-256 in lower-case hexadecimal: all that is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Masked(Protocol):
    """A text that is not shown by accident."""

    def get_secret_value(self) -> str:
        """The text."""
        ...


class KeySettings(Protocol):
    """What the vault must be told."""

    @property
    def data(self) -> Path:
        """The data folder, home of the key file."""
        ...

    @property
    def key(self) -> Masked:
        """The key in base64, or `file:PATH`, or "" for the key file."""
        ...


class Vault:
    """Seals and opens secrets.

    Args:
        key: 32 bytes.

    Raises:
        ConfigError: the key has another length.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            said = _("The key for secrets must have {wanted} bytes; this one has {found}.")
            raise ConfigError(said.format(wanted=KEY_BYTES, found=len(key)))
        self._cipher = AESGCM(key)

    @classmethod
    def at(cls, settings: KeySettings) -> "Vault":
        """The vault of these settings; makes the key file if there is no key yet.

        Raises:
            ConfigError: the key is missing, malformed, or its file can be read by others.
        """
        given = settings.key.get_secret_value().strip()
        if given.startswith("file:"):
            path = Path(given.removeprefix("file:"))
            return cls(_decode(_read(path), str(path)))
        if given:
            return cls(_decode(given, "COMPORTA_KEY"))
        return cls(_key_at(settings.data / KEY_FILE))

    def seal(self, text: str) -> str:
        """`v1:` and base64 of nonce and ciphertext; another one each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), None)
        return f"{_VERSION}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str) -> str:
        """The text that was sealed.

        Raises:
            ConfigError: it was sealed under another key, or is damaged.
        """
        try:
            version, _colon, text = sealed.partition(":")
            raw = base64.b64decode(text if version == _VERSION else "", validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None).decode()
        except (ValueError, InvalidTag):
            said = _(
                "A stored secret cannot be opened: it was sealed under another key, or it is "
                "damaged. Use the key file that belongs to this data, or enter the secret again."
            )
            raise ConfigError(said) from None


def _decode(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        said = _(
            "{where} does not hold a key: 32 random bytes in base64 are expected. "
            "Make one with: openssl rand -base64 32"
        )
        raise ConfigError(said.format(where=where))
    return key


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX).decode("ascii", "replace")
    except OSError as error:
        said = _("The key file {path} cannot be read: {reason}.")
        raise ConfigError(said.format(path=path, reason=error.strerror)) from None


def _key_at(path: Path) -> bytes:
    """The key in our own key file, made first if need be."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_key(path)
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        said = _("The key file {path} cannot be made or read: {reason}.")
        raise ConfigError(said.format(path=path, reason=error.strerror)) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        said = _("The key file {path} can be read by others. Run: chmod 600 {path}")
        raise ConfigError(said.format(path=path))
    return _decode(_read(path), str(path))


def _make_key(path: Path) -> None:
    """Make a key file whole and once, however many processes start together.

    It is written under a name of its own and then linked: the link is the moment it exists, and
    fails for all but the first.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        _sync_folder(path.parent)
    finally:
        draft.unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

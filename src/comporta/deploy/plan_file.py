"""A plan in a file: written by `comporta plan --save`, read by `comporta deploy --plan`."""

from pathlib import Path
from typing import Final

import msgspec

from comporta.deploy.plan import Plan
from comporta.errors import ConfigError
from comporta.i18n import _

_BYTES_MAX: Final = 64 * 1024


def read_plan(path: Path) -> Plan:
    """The plan in a file.

    Raises:
        ConfigError: there is none, or it is not a plan.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_BYTES_MAX)
    except OSError as error:
        said = _("{file} cannot be read: {reason}. Make a plan with: comporta plan --save {file}")
        raise ConfigError(said.format(file=path, reason=error.strerror)) from None
    try:
        return msgspec.json.decode(raw, type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = _("{file} is not a plan: {reason}. Make one with: comporta plan --save FILE")
        raise ConfigError(said.format(file=path, reason=error)) from None


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan for others to read (mode 644), in place of an earlier plan or of nothing.

    Raises:
        ConfigError: something else is there, or it cannot be written.
    """
    if path.exists():
        read_plan(path)
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")
        fresh.chmod(0o644)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        said = _("{file} cannot be written: {reason}. Choose another file.")
        raise ConfigError(said.format(file=path, reason=error.strerror)) from None

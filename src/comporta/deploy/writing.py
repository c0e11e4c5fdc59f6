"""Puts the files of a deployment into a folder, and never over something else unasked.

It decides for all files before it writes the first one.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from comporta.errors import ConfigError, ConflictError
from comporta.i18n import _


class Written(StrEnum):
    """What became of a file."""

    NEW = "new"
    SAME = "same"
    REPLACED = "replaced"


def write(folder: Path, files: Mapping[str, str], *, force: bool) -> Mapping[str, Written]:
    """Write files below a folder, which is made if it is missing.

    Args:
        folder: where.
        files: path below it → text.
        force: also replace files that say something else.

    Returns:
        Path → what became of it.

    Raises:
        ConflictError: files are there that say something else; nothing was written.
        ConfigError: the folder cannot be written to.
    """
    try:
        outcomes = {path: _outcome(folder / path, text) for path, text in files.items()}
        other = [path for path, one in outcomes.items() if one is Written.REPLACED]
        if other and not force:
            said = _(
                "In {folder} there are other files of these names: {files}. Nothing was written. "
                "Choose another folder, or add --force to replace them."
            )
            raise ConflictError(said.format(folder=folder, files=", ".join(other)))
        for path, outcome in outcomes.items():
            if outcome is not Written.SAME:
                _replace(folder / path, files[path])
    except OSError as error:
        said = _("{folder} cannot be written to: {reason}. Choose another folder with --to.")
        raise ConfigError(said.format(folder=folder, reason=error.strerror)) from None
    return outcomes


def _outcome(file: Path, text: str) -> Written:
    try:
        return Written.SAME if file.read_bytes() == text.encode() else Written.REPLACED
    except FileNotFoundError:
        return Written.NEW


def _replace(file: Path, text: str) -> None:
    """All of it or nothing: a balancer may be reading the old one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_bytes(text.encode())
    fresh.replace(file)

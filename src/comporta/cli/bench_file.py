"""Where the figures of `comporta bench --save` lie: one private file of this user."""

from pathlib import Path

import msgspec

from comporta.deploy.figures import Figures
from comporta.errors import ConfigError
from comporta.i18n import _

_BYTES_MAX = 64 * 1024


def bench_file() -> Path:
    """`$XDG_STATE_HOME/comporta/bench.json`; below `~/.local/state` if that is not set."""
    from comporta.settings import environment  # noqa: PLC0415  (heavy)

    # By the specification a relative path is as good as none.
    named = Path(environment("XDG_STATE_HOME") or "")
    base = named if named.is_absolute() else Path.home() / ".local" / "state"
    return base / "comporta" / "bench.json"


def save_figures(figures: Figures) -> Path:
    """Keep figures in place of earlier ones; where.

    Raises:
        ConfigError: the file cannot be written.
    """
    path = bench_file()
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
        fresh.replace(path)
    except OSError as error:
        said = _(
            "{file} cannot be written: {reason}. Correct that, or name another folder in {name}."
        )
        raise ConfigError(
            said.format(file=path, reason=error.strerror, name="XDG_STATE_HOME")
        ) from None
    return path


def saved_figures() -> Figures | None:
    """The figures that were kept; None if there are none.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    path = bench_file()
    try:
        with path.open("rb") as file:
            raw = file.read(_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        said = _("{file} cannot be read: {reason}. Correct that, or remove the file.")
        raise ConfigError(said.format(file=path, reason=error.strerror)) from None
    try:
        return msgspec.json.decode(raw, type=Figures)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = _("{file} does not hold figures. Measure again: comporta bench --save")
        raise ConfigError(said.format(file=path)) from None

"""Turns whatever stopped a command into words and an exit code; it decides nothing else.

Our own errors speak for themselves. Usage errors come from Typer, which words them in English only,
so the usual ones are worded here. Anything else is a defect: one line, and a report in a file.
"""

import asyncio
import datetime as dt
import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

import msgspec
import typer

import comporta
from comporta.cli.desk import RefusedError
from comporta.cli.exits import Exit
from comporta.cli.screen import clean
from comporta.errors import ComportaError, ConfigError, ConflictError, NotFoundError, StoreError
from comporta.i18n import _

REPORTS_KEPT = 20


class Fault(msgspec.Struct, frozen=True):
    """Why a command ended: for a person, a program and the shell."""

    code: Exit
    detail: str
    problem: str = "about:blank"


def fault_of(error: BaseException) -> Fault | None:  # noqa: PLR0911  (one for each kind)
    """The fault behind an error that was foreseen, or None for a defect."""
    cause = innermost(error)
    if isinstance(cause, ComportaError):
        return Fault(_code_of(cause), str(cause), cause.problem)
    if isinstance(cause, RefusedError):
        return Fault(Exit.REFUSED, str(cause), "/problems/refused")
    if isinstance(cause, typer.TyperException):
        return Fault(Exit.USAGE, usage_in_words(cause), "/problems/usage")
    if isinstance(cause, KeyboardInterrupt | asyncio.CancelledError | typer.Abort):
        return Fault(Exit.INTERRUPTED, "")
    if isinstance(cause, TimeoutError):
        late = _("The stores did not answer in time. Look at the disk, then try again.")
        return Fault(Exit.STORE, late, "/problems/timeout")
    if isinstance(cause, OSError):
        return Fault(Exit.ERROR, _system_words(cause), "/problems/system")
    return None


def innermost(error: BaseException) -> BaseException:
    """The one error inside groups of one, which task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _code_of(error: ComportaError) -> Exit:
    match error:
        case NotFoundError():
            return Exit.NOT_FOUND
        case ConflictError():
            return Exit.CONFLICT
        case ConfigError():
            return Exit.CONFIG
        case StoreError():
            return Exit.STORE
        case _:
            return Exit.ERROR


def _system_words(error: OSError) -> str:
    what = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{what}"


def usage_in_words(error: typer.TyperException) -> str:
    """What is wrong with the command line, in the current language where we have the words."""
    parameter = getattr(error, "param", None)
    name = parameter.get_error_hint().strip("'") if parameter is not None else ""
    match type(error).__name__:
        case "MissingParameter" if name:
            words = _("{name} is missing.").format(name=name)
        case "NoSuchOption":
            words = _("There is no option {name}.").format(name=getattr(error, "option_name", ""))
            near = getattr(error, "possibilities", None)
            if near:
                words += " " + _("Did you mean {names}?").format(names=", ".join(sorted(near)))
        case "BadParameter" if name:
            words = _("{name}: {problem}.").format(name=name, problem=error.message.rstrip("."))
        case "BadParameter":
            words = error.message
        case _:
            words = error.format_message()
    return words


def report(error: BaseException, folder: Path | None) -> Path:
    """Write a full report of a defect; where it is. Holds no arguments: they may be secret.

    Args:
        error: what happened.
        folder: the data folder; None, or one that cannot be written: the temporary folder.
    """
    stamp = dt.datetime.now(dt.UTC)
    text = "\n".join(
        (
            f"Comporta {comporta.__version__}, Python {platform.python_version()}, {sys.platform}",
            stamp.isoformat(timespec="seconds"),
            "".join(traceback.format_exception(error)),
        )
    )
    name = f"{stamp:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    if folder is not None and folder.is_dir() and os.access(folder, os.W_OK):
        reports = folder / "reports"
        reports.mkdir(mode=0o700, exist_ok=True)
        _write_private(reports / name, text)
        for old in sorted(reports.glob("*.txt"))[:-REPORTS_KEPT]:
            old.unlink(missing_ok=True)
        return reports / name
    handle, path = tempfile.mkstemp(prefix="comporta-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(path)


def _write_private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def show(fault: Fault, *, json: bool) -> None:
    """Print a fault on standard error: a sentence, or a problem object (RFC 9457)."""
    if not fault.detail:
        return
    if json:
        problem = {"type": fault.problem, "detail": fault.detail, "exit_code": fault.code.value}
        print(msgspec.json.encode(problem).decode(), file=sys.stderr)  # noqa: T201
    else:
        words = _("Error: {what}").format(what=clean(fault.detail, lines=True))
        print(words, file=sys.stderr)  # noqa: T201

"""Runs one command line and answers with its exit code; no exception gets past it."""

from asyncio import CancelledError
from collections.abc import Sequence
from pathlib import Path

from comporta.cli import faults
from comporta.cli.app import build
from comporta.cli.desk import Opener
from comporta.cli.exits import Exit
from comporta.errors import ComportaError
from comporta.i18n import _


def run(arguments: Sequence[str], opener: Opener | None = None) -> Exit:
    """Run a command. `opener` opens the stores; None: those of the settings."""
    json = "--json" in arguments
    try:
        code = build().main(
            list(arguments), prog_name="comporta", standalone_mode=False, obj=opener
        )
    except SystemExit as end:  # the completion options of Typer end this way
        return _exit_of(end.code)
    except (Exception, KeyboardInterrupt, CancelledError) as error:  # noqa: BLE001  (the last)
        return _failed(error, json=json)
    return _exit_of(code)


def _exit_of(code: object) -> Exit:
    """What a command ended with, as one of ours; a command that returns nothing is done."""
    if not isinstance(code, int):
        return Exit.OK
    return Exit(code) if code in set(Exit) else Exit.ERROR


def _failed(error: BaseException, *, json: bool) -> Exit:
    if type(error).__name__ == "NoArgsIsHelpError":  # Typer has shown the help already
        return Exit.USAGE
    fault = faults.fault_of(error)
    if fault is None:
        path = faults.report(error, _data_folder())
        words = _("Comporta has a defect ({kind}). Please send in the full report: {path}")
        detail = words.format(kind=type(error).__name__, path=path)
        fault = faults.Fault(Exit.BUG, detail, "/problems/defect")
    faults.show(fault, json=json)
    return fault.code


def _data_folder() -> Path | None:
    from comporta.settings import Settings  # noqa: PLC0415  (heavy)

    try:
        return Settings().data
    except ComportaError:
        return None

"""The exit codes, in one place: scripts depend on them, so they are only ever added to."""

from enum import IntEnum

from comporta.i18n import _


class Exit(IntEnum):
    """What a command tells the shell."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    STORE = 5
    CONFIG = 6
    CONFLICT = 7
    NO_MATCH = 8
    BUG = 70
    INTERRUPTED = 130


def meanings() -> dict[Exit, str]:
    """Each code in words, in the current language."""
    return {
        Exit.OK: _("done"),
        Exit.ERROR: _("it did not work, or a check found something wrong"),
        Exit.USAGE: _("the command line cannot be understood"),
        Exit.NOT_FOUND: _("a name or id does not exist"),
        Exit.REFUSED: _("nobody said yes (add --yes where no one can be asked)"),
        Exit.STORE: _("a store cannot be used: disk, permissions, version"),
        Exit.CONFIG: _("a setting or a file cannot be used; nothing was changed"),
        Exit.CONFLICT: _("somebody else changed the fleet meanwhile; try again"),
        Exit.NO_MATCH: _("no route is for the event that was tried"),
        Exit.BUG: _("a defect in Comporta; a report was written"),
        Exit.INTERRUPTED: _("stopped with Ctrl-C"),
    }


def epilogue() -> str:
    """The exit codes as they stand below `comporta --help`."""
    lines = [f"  {code.value:>3}  {words}" for code, words in meanings().items()]
    return "\b\n" + "\n".join((_("Exit codes:"), *lines))

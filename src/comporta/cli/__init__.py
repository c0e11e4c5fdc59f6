"""The command line `comporta`: one file a command group, no SQL and no business rules.

This module is imported before the language is known, so it imports nothing that holds text for
people; `main` chooses the language first and only then brings in the commands.
"""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (`comporta.cli.exits.Exit`).

    Args:
        arguments: without the program's name; None: those of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    from comporta.cli import language  # noqa: PLC0415  (see above)

    language.settle(given)
    from comporta.cli.run import run  # noqa: PLC0415

    code = run(given)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough (`comporta events | head`); closing must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(code)

"""Bringing a file's schema up to date: numbered `.sql` files, each run once, under the gate.

`PRAGMA user_version` holds the number of the last one. However many workers start together, one
migrates and the others find it done.
"""

from contextlib import closing
from importlib.resources import files
from pathlib import Path

import apsw

from comporta.embedded.gate import gate_of
from comporta.embedded.rows import one, transaction
from comporta.errors import SchemaTooNewError
from comporta.i18n import _


def migrate(connection: apsw.Connection, path: Path, package: str, prefix: str) -> None:
    """Run the migrations `package`/`prefix`NNN_*.sql that the file does not have yet.

    Raises:
        SchemaTooNewError: the file has migrations that this version does not know.
        OSError: the gate's file cannot be made.
    """
    steps = _steps(package, prefix)
    newest = max(steps, default=0)
    found = _version(connection)
    if found > newest:
        raise SchemaTooNewError(
            _(
                "{path} was written by a newer Comporta (schema {found}; this one knows {newest})."
                " Install that version again, or restore the copy made before the upgrade."
            ).format(path=path, found=found, newest=newest)
        )
    if found == newest:
        return
    with closing(gate_of(path)) as gate, gate.turn():
        for number in range(_version(connection) + 1, newest + 1):
            with transaction(connection):
                connection.execute(steps[number])
                connection.execute(f"PRAGMA user_version={number}")


def _version(connection: apsw.Connection) -> int:
    return int(one(connection, "PRAGMA user_version")[0])


def _steps(package: str, prefix: str) -> dict[int, str]:
    steps: dict[int, str] = {}
    for file in files(package).iterdir():
        if file.name.startswith(prefix) and file.name.endswith(".sql"):
            number = int(file.name.removeprefix(prefix).split("_")[0])
            steps[number] = file.read_text()
    return steps

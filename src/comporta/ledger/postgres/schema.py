"""Brings the ledger's schema in PostgreSQL up to date: numbered `.sql` files, each run once.

However many processes start together, one migrates, under an advisory lock, and the others find it
done.
"""

from importlib.resources import files

from comporta.clients.postgresql import Connection
from comporta.errors import SchemaTooNewError
from comporta.i18n import _

PACKAGE, PREFIX = "comporta.ledger.schema", "postgres_"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_HAS_SCHEMA = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
_EXISTS = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = $2)"
"""Not `to_regclass`: after waiting for a lock it may answer from what was cached before."""


async def migrate(connection: Connection, schema: str, where: str) -> None:
    """Run what the database does not have yet. A job of a transaction.

    Args:
        connection: in a transaction.
        schema: where the tables are; made if it is not there.
        where: the database, for people.

    Raises:
        SchemaTooNewError: it has migrations that this version does not know.
    """
    steps = _steps()
    newest = max(steps)
    found = await _version(connection, schema)
    if found < newest:
        await connection.fetchval(_LOCK, f"{schema}.migration")
        found = await _version(connection, schema)
    if found > newest:
        text = _(
            "{where} was written by a newer Comporta (schema {found}; this one knows {newest})."
            " Install that version again, or restore the copy made before the upgrade."
        )
        raise SchemaTooNewError(text.format(where=where, found=found, newest=newest))
    if found == 0:
        # The schema first: whoever has it made for them needs no right to make one.
        if not await connection.fetchval(_HAS_SCHEMA, schema):
            await connection.execute(f"CREATE SCHEMA {schema}")
        await connection.execute("CREATE TABLE comporta_schema (version integer NOT NULL)")
        await connection.execute("INSERT INTO comporta_schema VALUES (0)")
    for number in range(found + 1, newest + 1):
        await connection.execute(steps[number])
        await connection.execute("UPDATE comporta_schema SET version = $1", number)


async def _version(connection: Connection, schema: str) -> int:
    if not await connection.fetchval(_EXISTS, schema, "comporta_schema"):
        return 0
    return int(await connection.fetchval("SELECT version FROM comporta_schema"))


def _steps() -> dict[int, str]:
    return {
        int(file.name.removeprefix(PREFIX).split("_")[0]): file.read_text()
        for file in files(PACKAGE).iterdir()
        if file.name.startswith(PREFIX) and file.name.endswith(".sql")
    }

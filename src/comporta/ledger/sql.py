"""SQL in named blocks: `-- name: foo` starts a block, which ends at the next one."""

from functools import cache
from importlib.resources import files


@cache
def blocks(database: str) -> dict[str, str]:
    """The named blocks of `queries/<database>.sql`."""
    found: dict[str, str] = {}
    text = (files("comporta.ledger.queries") / f"{database}.sql").read_text()
    for block in text.split("-- name: ")[1:]:
        name, _, statement = block.partition("\n")
        found[name.strip()] = statement.strip().removesuffix(";")
    return found

"""Many rows for a PostgreSQL ledger of the tests at once, as if they had been recorded in time."""

import asyncpg  # type: ignore[import-untyped]

from comporta.ledger.postgres.days import DAY_MS, range_of

STEP = 1 << 22
"""A millisecond of an id."""


async def seed(  # noqa: PLR0913  (what tests vary)
    url: str, schema: str, day: int, count: int, *, dead_every: int = 0, open_every: int = 0
) -> None:
    """Fill a day, whose parts are there, evenly: event, body, delivery and attempt each.

    Args:
        url: of the database.
        schema: of the ledger.
        day: since 1970.
        count: of events.
        dead_every: each so manieth delivery is dead, 0: none is.
        open_every: each so manieth waits for a retry, 0: none does.
    """
    low, _high = range_of(day)
    apart = DAY_MS // (count + 1) * STEP
    number = f"SELECT {low} + n::bigint * {apart} AS id"
    ids = f"FROM generate_series(1, {count}) AS n, LATERAL ({number}) AS e"
    state = (
        f"CASE WHEN {dead_every} > 0 AND n % greatest({dead_every}, 1) = 0 THEN 'dead'"
        f" WHEN {open_every} > 0 AND n % greatest({open_every}, 1) = 0 THEN 'scheduled'"
        " ELSE 'delivered' END"
    )
    connection = await asyncpg.connect(url.partition("?")[0])
    try:
        await connection.execute(f"SET search_path = {schema}")
        await connection.execute(
            f"""
INSERT INTO events SELECT id, 0, 'ins_' || n % 3, 'src_1', 'message_created', 3,
  'conversation:' || n % 500, true, '[]', 3000, NULL, '' {ids};
INSERT INTO bodies SELECT id, decode(repeat(md5(n::text), 90), 'hex') {ids};
INSERT INTO deliveries SELECT id + 1, id, 'rte_1', 'dst_' || n % 4, 0, n % 500, {state},
  1, 0, {day * DAY_MS}, 'HTTP 500', false, 0, 1 {ids};
INSERT INTO attempts SELECT id + 1, 1, 1, 2.5, 500, '', 'no' {ids};
"""
        )
        await connection.execute("ANALYZE")
    finally:
        await connection.close()

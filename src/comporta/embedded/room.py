"""How full a SQLite file is, asked of its header: it costs the same however much is stored."""

import apsw

from comporta.domain.growth import Room
from comporta.embedded.rows import one


def room(connection: apsw.Connection) -> Room:
    """What is in use in the file behind a connection, and what is free inside it."""
    page_bytes, pages, free = (
        int(one(connection, f"PRAGMA {name}")[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return Room((pages - free) * page_bytes, free * page_bytes)

"""Which partition and which lane an event belongs to.

The account is left out of the partition on purpose: before Chatwoot 4.14.2 conversation events
carry none, and all events of a conversation must meet in one partition to be kept in order. It does
count for the lane, where what is missing can be filled in from the source's other events.
"""

from hashlib import blake2b

PARTITIONS_MAX = 62
"""Of every log: so many bits of a positive SQLite integer say whose records are in a row."""
BULK = 1 << 62
"""Set in the number of the lanes that redrives and replays go through."""


def partition_of(instance_id: str, subject: str, partitions: int) -> int:
    """0 ≤ result < `partitions`; the same on every machine and in every version."""
    digest = blake2b(f"{instance_id}\0{subject}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % partitions


def lane_of(instance_id: str, account_id: int | None, subject: str) -> int:
    """The lane's number (62 bits) within a destination; two lanes never share one in practice."""
    account = "" if account_id is None else account_id
    digest = blake2b(f"{instance_id}\0{account}\0{subject}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) & ~BULK


def bulk_lane(lane: int) -> int:
    """The lane beside a lane: what is put back or repeated has an order of its own there.

    So it holds up nobody's live events, not even those of its own conversation.
    """
    return lane | BULK

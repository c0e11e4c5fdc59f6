"""Who has which partition or duty, as documents, and what may become of them. Pure."""

from collections.abc import Collection, Sequence

import msgspec

from comporta.state.port import Lease


class Held(msgspec.Struct, frozen=True, array_like=True):
    """Who has, or last had, a partition."""

    worker_id: str
    token: int
    until_ms: int
    """Unix milliseconds; 0: given back."""


class Duty(msgspec.Struct, frozen=True, array_like=True):
    """Who does something for all."""

    holder: str
    until_ms: int
    """Unix milliseconds."""


Leases = dict[int, Held]
"""Partition → who has it."""
_decode = msgspec.json.Decoder(Leases).decode
encode_leases = msgspec.json.encode
decode_duty = msgspec.json.Decoder(Duty).decode


def decode_leases(document: bytes | None) -> Leases:
    """The document; without one, nobody has anything."""
    return _decode(document) if document else {}


def renewed(leases: Leases, worker_id: str, now_ms: int, lease_ms: int) -> Leases:
    """The leases after a worker was heard of: its own begin anew, unless they have run out."""
    return {
        p: msgspec.structs.replace(held, until_ms=now_ms + lease_ms)
        if held.worker_id == worker_id and held.until_ms >= now_ms
        else held
        for p, held in leases.items()
    }


def won(  # noqa: PLR0913, PLR0917  (these are what a lease is made of)
    leases: Leases,
    worker_id: str,
    partitions: Sequence[int],
    wanted: int,
    lease_ms: int,
    now_ms: int,
    above: int,
) -> Leases:
    """What a worker gets: up to `wanted` of these partitions, the first ones that are free."""
    # One that runs longer than a lease can was given before the clock was set back.
    taken = range(now_ms, now_ms + 2 * lease_ms)
    free = [p for p in partitions if p not in leases or leases[p].until_ms not in taken]
    last = {p: leases[p].token if p in leases else 0 for p in free[:wanted]}
    return {
        p: Held(worker_id, max(token + 1, now_ms, above + 1), now_ms + lease_ms)
        for p, token in last.items()
    }


def given_back(leases: Leases, worker_id: str, partitions: Collection[int]) -> Leases:
    """The leases after a worker gave some back; what is not its own stays."""
    return {
        p: msgspec.structs.replace(held, until_ms=0)
        if held.worker_id == worker_id and p in partitions
        else held
        for p, held in leases.items()
    }


def held_by(leases: Leases, worker_id: str, now_ms: int) -> list[Lease]:
    """What a worker still has."""
    return [
        Lease(p, held.token)
        for p, held in sorted(leases.items())
        if held.worker_id == worker_id and held.until_ms >= now_ms
    ]


def kept(duty: Duty | None, holder: str, now_ms: int, lease_ms: int) -> Duty | None:
    """The duty as its holder's from now on; None if somebody else has it."""
    # One that runs longer than a lease can was given before the clock was set back.
    taken = range(now_ms, now_ms + 2 * lease_ms + 1)
    if duty is not None and duty.holder != holder and duty.until_ms in taken:
        return None
    return Duty(holder, now_ms + lease_ms)

"""Batches whose commit broke off: dispatch was not told of them, and they may be stored.

What the ledger says when it is asked again decides: a batch is stored if its partition is still its
recorder's, and is read as far as the batch goes. (The number of a transaction would not do: after
a crash PostgreSQL gives it to another one, if nothing of the first has reached the disk.)
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from comporta.domain.delivery import Delivery
from comporta.ledger.port import Recorded, Superseded
from comporta.ledger.recording import Place


class Written(NamedTuple):
    """What a transaction recorded, and by which tokens."""

    tokens: Mapping[int, int]
    moves: Sequence[tuple[int, int, int]]
    """As in `recording.Rows`."""
    recorded: Recorded


class _Part(NamedTuple):
    """What a batch had of one partition."""

    token: int
    offset: int
    deliveries: tuple[Delivery, ...]
    superseded: tuple[Superseded, ...]


class Owed:
    """What dispatch is to be told of yet, by partition."""

    def __init__(self) -> None:
        self._parts: dict[int, list[_Part]] = {}

    def note(self, written: Written) -> None:
        """Its commit broke off."""
        recorded = written.recorded
        for offset, _last_id, partition in written.moves:
            part = _Part(
                written.tokens[partition],
                offset,
                tuple(one for one in recorded.deliveries if one.partition == partition),
                tuple(one for one in recorded.superseded if one.key.partition == partition),
            )
            self._parts.setdefault(partition, []).append(part)

    def look(self, tokens: Mapping[int, int], places: Mapping[int, Place]) -> None:
        """Forget what is not stored, or another owner's by now.

        Args:
            tokens: of the partitions that are looked at.
            places: those of them that are still their owner's, locked: nothing is under way.
        """
        for partition in tokens.keys() & self._parts.keys():
            place = places.get(partition)
            self._parts[partition] = [
                part
                for part in self._parts[partition]
                if place and part.token == place.token and part.offset <= place.offset
            ]

    def told(self, tokens: Mapping[int, int], recorded: Recorded) -> Recorded:
        """What was recorded now, behind what is owed of these partitions."""
        parts = [part for partition in tokens for part in self._parts.pop(partition, ())]
        if not parts:
            return recorded
        return Recorded(
            (*(one for part in parts for one in part.deliveries), *recorded.deliveries),
            recorded.repeats,
            (*(one for part in parts for one in part.superseded), *recorded.superseded),
            recorded.fenced,
            recorded.dead,
        )

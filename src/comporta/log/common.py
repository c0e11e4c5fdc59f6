"""What every log does alike, whatever engine is behind it."""

import os

import msgspec

from comporta.domain.event import Record
from comporta.domain.partitioning import PARTITIONS_MAX
from comporta.errors import ConfigError
from comporta.i18n import _

UID_BYTES = 16


def check_partitions(partitions: int) -> None:
    """Refuse a number of partitions that no log has.

    Raises:
        ConfigError: it is not 1 to `PARTITIONS_MAX`.
    """
    if not 1 <= partitions <= PARTITIONS_MAX:
        said = _("A log has 1 to {most} partitions, not {partitions}. Set partitions.")
        raise ConfigError(said.format(most=PARTITIONS_MAX, partitions=partitions))


def with_uid(record: Record) -> Record:
    """The record with an id, by which a second copy is known as a repeat.

    An append whose answer is lost may have been carried out, and be made again.
    """
    return record if record.uid else msgspec.structs.replace(record, uid=os.urandom(UID_BYTES))

"""How a group of records lies in one row of the log.

MessagePack: `[version, partitions, records]`, where `partitions` is one byte a record. A reader
looks at the partitions first and decodes only the records it wants. The version lets tomorrow's
worker read what today's wrote.
"""

from collections.abc import Container, Iterator, Sequence

import msgspec

from comporta.domain.event import Record
from comporta.errors import SchemaTooNewError
from comporta.i18n import _

VERSION = 1
_encode = msgspec.msgpack.Encoder().encode
_decode_row = msgspec.msgpack.Decoder(tuple[int, bytes, list[msgspec.Raw]]).decode
_decode_record = msgspec.msgpack.Decoder(Record).decode


def pack(records: Sequence[Record]) -> bytes:
    """The bytes of one row."""
    return _encode((VERSION, bytes([record.partition for record in records]), records))


def unpack(row: bytes, wanted: Container[int]) -> Iterator[tuple[int, Record]]:
    """The records of the wanted partitions, each with its index in the row.

    Raises:
        SchemaTooNewError: a newer version wrote the row.
        msgspec.DecodeError: the row is damaged.
    """
    try:
        version, partitions, raws = _decode_row(row)
    except msgspec.ValidationError:
        _refuse_newer(_version_of(row))  # which may have another shape
        raise
    _refuse_newer(version)
    for index, partition in enumerate(partitions):
        if partition in wanted:
            yield index, _decode_record(raws[index])


def _version_of(row: bytes) -> int:
    match msgspec.msgpack.decode(row):
        case [int(version), *_rest]:
            return version
    return 0


def _refuse_newer(version: int) -> None:
    if version > VERSION:
        raise SchemaTooNewError(
            _("The log holds events written by a newer Comporta. Install that version again.")
        )

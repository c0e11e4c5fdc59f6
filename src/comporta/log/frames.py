"""How records are written, in every log: with a version, so that workers of two versions get along.

A frame is a group of records: MessagePack `[version, partitions, records]`, where `partitions` is
one byte a record. A reader looks at the partitions first and decodes only the records it wants.

While servers are upgraded one by one, each reads what the others write. So a version changes by
additions only: fields at the end of a record or of a frame, with defaults. A reader knows its own
version, all before it, and the next one, of which it leaves out what it does not know.
"""

from collections.abc import Container, Iterator, Sequence

import msgspec

from comporta.domain.event import Record
from comporta.errors import SchemaTooNewError
from comporta.i18n import _

VERSION = 1
"""What is written."""
NEWEST = VERSION + 1
"""What can be read."""


class _Frame(msgspec.Struct, array_like=True, gc=False):
    version: int
    partitions: bytes
    records: list[msgspec.Raw]


_encode = msgspec.msgpack.Encoder().encode
_decode_frame = msgspec.msgpack.Decoder(_Frame).decode
_decode_record = msgspec.msgpack.Decoder(Record).decode


def pack(records: Sequence[Record]) -> bytes:
    """The bytes of one frame."""
    return _encode((VERSION, bytes([record.partition for record in records]), records))


def unpack(frame: bytes, wanted: Container[int]) -> Iterator[tuple[int, Record]]:
    """The records of the wanted partitions, each with its index in the frame.

    Raises:
        SchemaTooNewError: it was written by a version after the next one.
        msgspec.DecodeError: it is damaged.
    """
    try:
        found = _decode_frame(frame)
    except msgspec.ValidationError:
        _refuse_newer(_version_of(frame))  # which may have another shape
        raise
    _refuse_newer(found.version)
    for index, partition in enumerate(found.partitions):
        if partition in wanted:
            yield index, _decode_record(found.records[index])


def _version_of(frame: bytes) -> int:
    match msgspec.msgpack.decode(frame):
        case [int(version), *_rest]:
            return version
    return 0


def _refuse_newer(version: int) -> None:
    if version > NEWEST:
        raise SchemaTooNewError(
            _("The log holds events written by a newer Comporta. Install that version again.")
        )

"""The annotation of a handler's first parameter → what makes its argument of a body. Pure."""

import json
from collections.abc import Callable
from typing import Any, get_origin

import msgspec

from comporta.i18n import _

Decode = Callable[[bytes], Any]


class MisfitError(ValueError):
    """A body is not what the handler's annotation says; the message says where."""


def decoder_of(annotation: Any) -> Decode:
    """What decodes for this annotation: `dict`, `bytes`, or a `msgspec.Struct`.

    Raises:
        TypeError: it is none of these; the message is a sentence.
    """
    if annotation is bytes:
        return bytes
    if annotation in (dict, Any) or get_origin(annotation) is dict:
        # Python's own decoder: it takes whatever ingest takes, numbers of any size included.
        return _fitting("dict", json.loads)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        # Not strict: versions and forks differ in whether a number is written as a text.
        decode = msgspec.json.Decoder(annotation, strict=False).decode
        return _fitting(annotation.__name__, decode)
    said = _(
        "The first parameter may be annotated with an event type (MessageCreated …), a "
        "msgspec.Struct of your own, dict or bytes, not with {annotation}."
    )
    raise TypeError(said.format(annotation=getattr(annotation, "__name__", annotation)))


def _fitting(name: str, decode: Decode) -> Decode:
    def decoded(body: bytes) -> Any:
        try:
            return decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            raise MisfitError(f"the body does not fit {name}: {problem}") from None

    return decoded

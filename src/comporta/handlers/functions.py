"""What a function must be like to be a handler, and how it is called then. Pure."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, get_type_hints

from comporta.errors import ConfigError
from comporta.fleet.names import is_glob
from comporta.handlers.context import Context
from comporta.handlers.decoding import Decode, decoder_of
from comporta.i18n import _

Function = Callable[..., Awaitable[None]]
_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD


def refuse(place: str, message: str, hint: str = "") -> NoReturn:
    """Say what is wrong with a handler, and where it stands.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(f"{place}: {message} {hint}".rstrip())


def place_of(function: Any) -> str:
    """`file:line` of a function, for messages."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def way_to_call(function: Function, events: tuple[str, ...]) -> tuple[Decode, bool]:
    """What makes the event of a body, and whether the function takes the context too.

    Args:
        function: the handler.
        events: types and patterns that it is for.

    Raises:
        ConfigError: it cannot be a handler.
    """
    place = place_of(function)
    if not inspect.iscoroutinefunction(function):
        said = _(
            "A handler is a coroutine function: write async def, and put what blocks into "
            "await asyncio.to_thread(…)."
        )
        refuse(place, said)
    parameters = list(inspect.signature(function).parameters.values())
    needed = [one for one in parameters if one.default is one.empty]
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, _EITHER)]
    if not positional or not {one.name for one in needed} <= {one.name for one in positional[:2]}:
        refuse(place, _("A handler takes the event and, if it likes, the context; nothing else."))
    hints = _hints(function)
    second = positional[1] if len(positional) > 1 else None
    takes_context = second is not None and hints.get(second.name) is Context
    if second in needed and not takes_context:
        refuse(place, _("A handler's second parameter is the context: annotate it with Context."))
    annotation = hints.get(positional[0].name, dict)
    try:
        decode = decoder_of(annotation)
    except TypeError as problem:
        refuse(place, str(problem))
    _refuse_mix_up(place, annotation, events)
    return decode, takes_context


def _refuse_mix_up(place: str, annotation: Any, events: tuple[str, ...]) -> None:
    """A conversation would pass for a message: both have an id, and all else may be missing."""
    beginnings = getattr(annotation, "begins", ())
    for event in events:
        if beginnings and not is_glob(event) and not event.startswith(beginnings):
            said = _("{event} is not what {annotation} is for.")
            refuse(place, said.format(event=event, annotation=annotation.__name__))


def _hints(function: Function) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError) as problem:
        said = _("The annotations cannot be read: {reason}.")
        refuse(place_of(function), said.format(reason=problem))

"""Where users register their handlers: `gateway = Gateway()`, `@gateway.on("message_created")`.

Everything about a handler is settled and checked when it is registered, by the same rules as a
fleet file, so that a slip is found by whoever imports the module: a test, or `comporta serve`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec

from comporta.domain.fleet import Destination, Route, Scalar
from comporta.fleet.check import check
from comporta.fleet.declared import (
    TIMEOUT_S_DEFAULT,
    Declared,
    DeclaredDestination,
    DeclaredInstance,
    DeclaredRoute,
    Fail,
)
from comporta.fleet.names import is_glob
from comporta.fleet.table import Table
from comporta.handlers.decoding import Decode
from comporta.handlers.functions import Function, place_of, refuse, way_to_call
from comporta.i18n import _
from comporta.toml_lines import Path
from comporta.urls import HANDLER_SCHEME

HANDLERS_MAX = 100
CONCURRENCY_MAX = 1000
MANAGER = "handlers"
"""Whose the destinations and routes are that are made of handlers; see `Destination.managed`."""
F = TypeVar("F", bound=Function)
Where = Mapping[str, Any]


class Handler(msgspec.Struct, frozen=True):
    """A registered function, and which events it wants."""

    name: str
    events: tuple[str, ...]
    instances: tuple[str, ...]
    where: dict[str, tuple[Scalar, ...]]
    timeout_s: float
    concurrency: int
    """Calls at a time, over all workers; 0: as many as the setting `concurrency` says."""
    function: Function
    decode: Decode
    takes_context: bool
    place: str
    """`file:line`, for messages."""

    def destination(self, id_: str) -> Destination:
        """It, as a destination of the fleet."""
        url = HANDLER_SCHEME + self.name
        return Destination(
            id=id_,
            name=self.name,
            url=url,
            timeout_s=self.timeout_s,
            concurrency=self.concurrency,
            managed=MANAGER,
        )

    def route(self, id_: str) -> Route:
        """The rule that leads events to it."""
        return Route(
            id=id_,
            name=self.name,
            to=(self.name,),
            instances=self.instances,
            events=self.events,
            where=self.where,
            managed=MANAGER,
        )


class Gateway:
    """The handlers of a module; `comporta serve --handlers MODULE:NAME` runs them."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All of them, in the order of their registration."""
        return tuple(self._handlers.values())

    def on(
        self,
        *events: str,
        instance: str | Sequence[str] = "*",
        where: Where | None = None,
        name: str = "",
        timeout_s: float = TIMEOUT_S_DEFAULT,
        concurrency: int = 0,
    ) -> Callable[[F], F]:
        """Call the decorated coroutine function for these events.

        Args:
            events: event types, or patterns with `*` and `?`.
            instance: names of instances, or patterns.
            where: conditions on the event, in any form that a route of a fleet file may have.
            name: of the handler, and so of its destination; the function's if empty.
            timeout_s: seconds for one call; then it is cancelled, and tried again later.
            concurrency: calls at a time, over all workers; 0: the setting `concurrency`.

        Raises:
            ConfigError: a rule is broken, or the function cannot be a handler.
        """

        def register(function: F) -> F:
            decode, takes_context = way_to_call(function, events)
            called = name or getattr(function, "__name__", "")
            handler = Handler(
                name=called,
                events=events,
                instances=(instance,) if isinstance(instance, str) else tuple(instance),
                where=_conditions(where or {}, _fail(place_of(function), called)),
                timeout_s=timeout_s,
                concurrency=concurrency,
                function=function,
                decode=decode,
                takes_context=takes_context,
                place=place_of(function),
            )
            self._add(handler)
            return function

        return register

    def _add(self, handler: Handler) -> None:
        if handler.name in self._handlers:
            said = _('There is a handler "{name}" already; give this one another name.')
            refuse(handler.place, said.format(name=handler.name))
        if len(self._handlers) >= HANDLERS_MAX:
            said = _("There are more than {max} handlers; at most {max} are possible.")
            refuse(handler.place, said.format(max=HANDLERS_MAX))
        _check(handler)
        self._handlers[handler.name] = handler


def _fail(place: str, name: str) -> Fail:
    """How a check of this handler says no."""

    def fail(path: Path, message: str, hint: str = "") -> NoReturn:
        del path  # a handler has a place of its own
        refuse(place, f"{name}: {message}", hint)

    return fail


def _conditions(where: Where, fail: Fail) -> dict[str, tuple[Scalar, ...]]:
    """Read as those of a fleet file are; Python's tuples do for lists as well."""
    return Table({"where": _listed(where)}, (), fail).matchers("where")


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _listed(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _check(handler: Handler) -> None:
    """By the rules of a fleet file. Which instances there are is not known here."""
    fail = _fail(handler.place, handler.name)
    if not 0 <= handler.concurrency <= CONCURRENCY_MAX:
        said = _("concurrency must be at least 0 and at most {max}.").format(max=CONCURRENCY_MAX)
        fail((), said)
    if not handler.events:
        fail(
            (),
            _("Say which events it is for: @gateway.on({example})").format(
                example='"message_created"'
            ),
        )
    exact = tuple(DeclaredInstance(one) for one in handler.instances if not is_glob(one))
    to = handler.destination("")
    route = DeclaredRoute(
        handler.name, (to.name,), handler.instances, handler.events, handler.where
    )
    destination = DeclaredDestination(to.name, to.url, timeout_s=to.timeout_s)
    check(Declared(exact, (destination,), (route,)), fail, lambda _path: "")

"""What a declaration would change in a fleet, in words, and the fleet that would come of it.

No I/O and no ledger here; only ids, tokens and sealed secrets of new things are random. What keeps
its name keeps its id, and with it everything that is stored about it.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar

import msgspec
from msgspec.structs import replace

from comporta.domain.classes import EventClass
from comporta.domain.fleet import (
    Destination,
    Fleet,
    Format,
    Instance,
    Route,
    Secret,
    Source,
    SourceKind,
    Token,
)
from comporta.domain.ids import fresh
from comporta.errors import FleetError
from comporta.fleet.credentials import make_token
from comporta.fleet.declared import (
    Declared,
    DeclaredDestination,
    DeclaredInstance,
    DeclaredRoute,
    DeclaredSource,
    GivenSecret,
)
from comporta.fleet.details import (
    destination_detail,
    instance_detail,
    route_detail,
    source_detail,
)
from comporta.fleet.named import Named
from comporta.i18n import _
from comporta.vault import Vault, new_token

Kind = Literal["add", "change", "remove"]
What = Literal["instance", "source", "destination", "route"]


class Change(msgspec.Struct, frozen=True):
    """One line of a plan."""

    kind: Kind
    what: What
    name: str
    """A source's is `instance/source`."""
    detail: str = ""
    """What exactly, in words, translated; nothing secret."""


class Shown(msgspec.Struct, frozen=True):
    """A token that was made just now: to be shown once, and never again."""

    instance: str
    source: str
    token: str
    webhook_url: str = ""
    """"": the reader knows where its gateway is."""

    def __repr__(self) -> str:
        return f"Shown(instance={self.instance!r}, source={self.source!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("instance", self.instance), ("source", self.source)]


class Plan(msgspec.Struct, frozen=True):
    """What would change. Without changes, `fleet` is the current one, its version included."""

    changes: tuple[Change, ...]
    fleet: Fleet
    shown: tuple[Shown, ...] = ()
    warnings: tuple[str, ...] = ()

    def summary(self) -> str:
        """All changes in a line, for the record: `+instance loja-sp, ~route mensagens`."""
        signs = {"add": "+", "change": "~", "remove": "-"}
        return ", ".join(f"{signs[one.kind]}{one.what} {one.name}" for one in self.changes)


_N = TypeVar("_N", bound=Named)


def plan(current: Fleet, declared: Declared, vault: Vault) -> Plan:
    """Compare. What a program keeps (`managed`) stays as it is.

    Args:
        current: the fleet as it is.
        declared: the fleet as it should be, checked.
        vault: seals what is new, and opens what may have changed.

    Raises:
        FleetError: a name is taken by a handler.
        ConfigError: the vault has another key than a secret that must be compared.
    """
    return _Planner(current, declared, vault).plan()


def declare(fleet: Fleet) -> Declared:
    """A stored fleet in the form of a declaration, which would change nothing.

    Without what a program keeps: nobody declares that.
    """
    return Declared(
        instances=tuple(
            DeclaredInstance(one.name, one.url, tuple(map(_declare_source, one.sources)))
            for one in fleet.instances
        ),
        destinations=tuple(
            _declare_destination(one) for one in fleet.destinations if not one.managed
        ),
        routes=tuple(
            DeclaredRoute(one.name, one.to, one.instances, one.events, one.where)
            for one in fleet.routes
            if not one.managed
        ),
    )


def _declare_source(source: Source) -> DeclaredSource:
    secrets = tuple(_declare_secret(secret) for secret in source.secrets)
    return DeclaredSource(source.name, source.kind.value, source.tokens, secrets)


def _declare_destination(one: Destination) -> DeclaredDestination:
    return DeclaredDestination(
        name=one.name,
        url=one.url,
        secret=_declare_secret(one.secret) if one.secret else None,
        timeout_s=one.timeout_s,
        retry=one.retry,
        rate=one.rate,
        concurrency=one.concurrency,
        instance_concurrency=one.instance_concurrency,
        park_s=one.park_s,
        classes={pattern: chosen.value for pattern, chosen in one.classes.items()},
        format=one.format.value,
        transform=one.transform,
        headers={name: _declare_secret(value) for name, value in one.headers.items()},
    )


def _declare_secret(secret: Secret) -> GivenSecret:
    return GivenSecret(sealed=secret.sealed, ref=secret.ref)


class _Planner:
    def __init__(self, current: Fleet, declared: Declared, vault: Vault) -> None:
        self._managed_destinations, self._managed_routes = _managed(current, declared)
        self._current = replace(
            current,
            destinations=tuple(one for one in current.destinations if not one.managed),
            routes=tuple(one for one in current.routes if not one.managed),
        )
        self._whole = current
        self._declared = declared
        self._vault = vault
        self._changes: list[Change] = []
        self._shown: list[Shown] = []

    def plan(self) -> Plan:
        current, declared = self._current, self._declared
        instances = _by_name(current.instances)
        destinations = _by_name(current.destinations)
        routes = _by_name(current.routes)
        fleet = Fleet(
            version=current.version + 1,
            instances=tuple(
                self._instance(instances.get(one.name), one) for one in declared.instances
            ),
            destinations=tuple(
                self._destination(destinations.get(one.name), one) for one in declared.destinations
            )
            + self._managed_destinations,
            routes=tuple(self._route(routes.get(one.name), one) for one in declared.routes)
            + self._managed_routes,
        )
        self._gone("instance", current.instances, declared.instances)
        self._gone("destination", current.destinations, declared.destinations)
        self._gone("route", current.routes, declared.routes)
        changes = tuple(self._changes)
        after = fleet if changes else self._whole
        return Plan(changes, after, tuple(self._shown), declared.warnings)

    def _instance(self, old: Instance | None, wanted: DeclaredInstance) -> Instance:
        plain = Instance(old.id if old else fresh("ins"), wanted.name, wanted.url)
        self._compared("instance", wanted.name, old, instance_detail(old, plain))
        known = _by_name(old.sources if old else ())
        sources = tuple(
            self._source(wanted.name, known.get(one.name), one) for one in wanted.sources
        )
        self._gone("source", known.values(), wanted.sources, f"{wanted.name}/")
        return msgspec.structs.replace(plain, sources=sources)

    def _source(self, instance: str, old: Source | None, wanted: DeclaredSource) -> Source:
        source = Source(
            id=old.id if old else fresh("src"),
            name=wanted.name,
            kind=SourceKind(wanted.kind),
            tokens=self._tokens(instance, old, wanted),
            secrets=self._secrets(old.secrets if old else (), wanted.secrets),
        )
        detail = source_detail(old, source)
        self._compared("source", f"{instance}/{wanted.name}", old, detail)
        return source

    def _tokens(
        self, instance: str, old: Source | None, wanted: DeclaredSource
    ) -> tuple[Token, ...]:
        if wanted.tokens:
            return _kept_tokens(old.tokens if old else (), wanted.tokens)
        if old and old.tokens:
            return old.tokens
        token = new_token()
        self._shown.append(Shown(instance, wanted.name, token))
        return (make_token(token),)

    def _secrets(
        self, old: tuple[Secret, ...], wanted: tuple[GivenSecret, ...]
    ) -> tuple[Secret, ...]:
        return tuple(self._secret(old, given) for given in wanted)

    def _secret(self, old: tuple[Secret, ...], given: GivenSecret) -> Secret:
        """The stored secret that says the same, or a new one."""
        stored = Secret(given.sealed, given.ref)
        if stored in old:
            return stored
        text = given.text or self._vault.open(given.sealed)
        for secret in old:
            if secret.ref == given.ref and self._vault.open(secret.sealed) == text:
                return secret
        return stored if given.sealed else Secret(self._vault.seal(text), given.ref)

    def _destination(self, old: Destination | None, wanted: DeclaredDestination) -> Destination:
        known = (old.secret,) if old and old.secret else ()
        values = old.headers if old else {}
        destination = Destination(
            id=old.id if old else fresh("dst"),
            name=wanted.name,
            url=wanted.url,
            secret=self._secret(known, wanted.secret) if wanted.secret else None,
            timeout_s=wanted.timeout_s,
            retry=wanted.retry,
            paused=old.paused if old and old.url == wanted.url else "",
            rate=wanted.rate,
            concurrency=wanted.concurrency,
            instance_concurrency=wanted.instance_concurrency,
            park_s=wanted.park_s,
            classes={pattern: EventClass(name) for pattern, name in wanted.classes.items()},
            format=Format(wanted.format),
            transform=wanted.transform,
            headers={
                name: self._secret((values[name],) if name in values else (), given)
                for name, given in wanted.headers.items()
            },
        )
        self._compared("destination", wanted.name, old, destination_detail(old, destination))
        return destination

    def _route(self, old: Route | None, wanted: DeclaredRoute) -> Route:
        route = Route(
            id=old.id if old else fresh("rte"),
            name=wanted.name,
            to=wanted.to,
            instances=wanted.instances,
            events=wanted.events,
            where=wanted.where,
        )
        self._compared("route", wanted.name, old, route_detail(old, route))
        return route

    def _compared(self, what: What, name: str, old: object | None, detail: str) -> None:
        if old is None:
            self._changes.append(Change("add", what, name, detail))
        elif detail:
            self._changes.append(Change("change", what, name, detail))

    def _gone(
        self, what: What, old: Iterable[Named], wanted: Sequence[Named], prefix: str = ""
    ) -> None:
        kept = {one.name for one in wanted}
        self._changes += [
            Change("remove", what, prefix + one.name) for one in old if one.name not in kept
        ]


def _managed(
    current: Fleet, declared: Declared
) -> tuple[tuple[Destination, ...], tuple[Route, ...]]:
    """What a program keeps. It shares its names with nothing that a person declares."""
    destinations = tuple(one for one in current.destinations if one.managed)
    routes = tuple(one for one in current.routes if one.managed)
    taken = {one.name for one in destinations} | {one.name for one in routes}
    wanted = {one.name for one in declared.destinations} | {one.name for one in declared.routes}
    for name in sorted(wanted & taken):
        said = _('The name "{name}" is taken by a handler.').format(name=name)
        raise FleetError(said, hint=_("Choose another name."))
    return destinations, routes


def _kept_tokens(old: tuple[Token, ...], wanted: tuple[Token, ...]) -> tuple[Token, ...]:
    """The wanted ones; those that are known keep their hint."""
    known = {(token.digest, token.ref): token for token in old}
    return tuple(known.get((token.digest, token.ref), token) for token in wanted)


def _by_name(things: Iterable[_N]) -> dict[str, _N]:
    return {thing.name: thing for thing in things}

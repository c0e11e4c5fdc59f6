"""The fleet on its ledger: read it, apply a file to it, change one thing in it, write it out.

Every change, a whole file or a single command, goes through one read-modify-replace, is checked by
the same rules, and is recorded with who made it. Nothing is cached here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn, Unpack

from msgspec.structs import replace

from comporta.domain.fleet import Fleet, Scalar, SourceKind
from comporta.errors import ConflictError, FleetError, StoreUnavailableError
from comporta.fleet.check import check
from comporta.fleet.credentials import make_secret, make_token
from comporta.fleet.declared import (
    Declared,
    DeclaredDestination,
    DeclaredInstance,
    DeclaredRoute,
    DeclaredSource,
)
from comporta.fleet.managed import (
    Pair,
    enrol,
    refuse_managed_destination,
    refuse_managed_route,
    removed_destination,
)
from comporta.fleet.named import exchanged, find, find_secret, find_token, without
from comporta.fleet.options import DestinationOptions, amended
from comporta.fleet.parse import parse, read_values
from comporta.fleet.plan import Change, Plan, Shown, declare, plan
from comporta.fleet.render import render
from comporta.i18n import _
from comporta.ledger.port import Ledger
from comporta.toml_lines import Path
from comporta.vault import Vault, new_token

_TRIES = 8
_LEDGER_S_MAX = 30.0
_SUMMARY_CHARS_MAX = 1000
_REASON_CHARS_MAX = 500

Edit = Callable[[Fleet], Plan]


class FleetService:
    """What the command line, the API and the console may do with the fleet.

    Every operation that changes something takes `who` (for the record) and returns the `Plan` that
    was carried out; tokens that it made stand in `Plan.shown`, once.

    Raises, from any operation:
        FleetError: the change breaks a rule; nothing was changed.
        NotFoundError: a name does not exist.
        ConflictError: others kept changing the fleet at the same time.
        StoreUnavailableError: the ledger cannot be used right now.
    """

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger = ledger
        self._vault = vault

    async def read(self) -> Fleet:
        """The current fleet."""
        async with _deadline():
            return await self._ledger.fleet()

    async def plan(self, declared: Declared) -> Plan:
        """What `apply` would do now. Ids and tokens in it are drafts."""
        # A large fleet takes a while: on a thread, so that a worker goes on taking webhooks in.
        return await asyncio.to_thread(plan, await self.read(), declared, self._vault)

    async def apply(self, declared: Declared, who: str) -> Plan:
        """Make the fleet what is declared."""
        return await self._change(who, lambda fleet: plan(fleet, declared, self._vault))

    async def plan_file(self, text: str, file: str) -> Plan:
        """What `apply_file` would do now."""
        return await self.plan(parse(text, file, self._vault))

    async def apply_file(self, text: str, file: str, who: str) -> Plan:
        """Make the fleet what a fleet file says. `file`: its name, for messages."""
        return await self.apply(parse(text, file, self._vault), who)

    async def add(self, values: dict[str, object], who: str) -> Plan:
        """Add the things of a document with the keys of a fleet file to the fleet."""
        new = read_values(values, self._vault)

        def edit(declared: Declared) -> Declared:
            return replace(
                declared,
                instances=(*declared.instances, *new.instances),
                destinations=(*declared.destinations, *new.destinations),
                routes=(*declared.routes, *new.routes),
            )

        return await self._redeclare(who, edit)

    async def export(self, *, reveal: bool = False) -> str:
        """The fleet as a fleet file; `reveal`: with secrets in the clear."""
        return render(declare(await self.read()), self._vault, reveal=reveal)

    async def add_instance(self, name: str, url: str, who: str) -> Plan:
        """A new instance, without sources."""

        def edit(declared: Declared) -> Declared:
            new = DeclaredInstance(name, url)
            return replace(declared, instances=(*declared.instances, new))

        return await self._redeclare(who, edit)

    async def remove_instance(self, name: str, who: str) -> Plan:
        """Remove an instance with its sources; refused while a route names it."""

        def edit(declared: Declared) -> Declared:
            gone = find("instance", name, declared.instances)
            users = [route.name for route in declared.routes if name in route.instances]
            _refuse_used(_("The instance {name} is used by: {routes}."), name, users)
            return replace(declared, instances=without(declared.instances, gone))

        return await self._redeclare(who, edit)

    async def add_source(  # noqa: PLR0913  (a source's own words, by name)
        self,
        instance: str,
        name: str,
        kind: SourceKind,
        who: str,
        *,
        token: str | None = None,
        secrets: Sequence[str] = (),
    ) -> Plan:
        """A new source. Without `token` one is made: it stands in `Plan.shown`."""
        tokens = (make_token(token),) if token is not None else ()
        given = tuple(make_secret(secret, self._vault) for secret in secrets)
        new = DeclaredSource(name, kind, tokens, given)
        return await self._edit_sources(who, instance, lambda sources: (*sources, new))

    async def remove_source(self, instance: str, name: str, who: str) -> Plan:
        """Remove a source: its tokens stop working."""

        def edit(sources: tuple[DeclaredSource, ...]) -> tuple[DeclaredSource, ...]:
            return without(sources, find("source", name, sources))

        return await self._edit_sources(who, instance, edit)

    async def add_token(
        self, instance: str, source: str, who: str, *, token: str | None = None
    ) -> Plan:
        """One more live token, to rotate to. Without `token` one is made, and shown."""
        text = new_token() if token is None else token
        added = make_token(text)

        def edit(sources: tuple[DeclaredSource, ...]) -> tuple[DeclaredSource, ...]:
            old = find("source", source, sources)
            return exchanged(sources, old, replace(old, tokens=(*old.tokens, added)))

        done = await self._edit_sources(who, instance, edit)
        return replace(done, shown=(Shown(instance, source, text),)) if token is None else done

    async def remove_token(self, instance: str, source: str, token: str, who: str) -> Plan:
        """One live token less.

        Args:
            instance: its name.
            source: its name.
            token: the token itself, or the beginning of its digest or of its hint.
            who: for the record.
        """

        def edit(sources: tuple[DeclaredSource, ...]) -> tuple[DeclaredSource, ...]:
            old = find("source", source, sources)
            gone = find_token(token, old.tokens)
            if len(old.tokens) == 1:
                said = _(
                    "This is the source's only token. Add another first, or remove the source."
                )
                raise FleetError(said)
            kept = tuple(one for one in old.tokens if one != gone)
            return exchanged(sources, old, replace(old, tokens=kept))

        return await self._edit_sources(who, instance, edit)

    async def add_secret(self, instance: str, source: str, secret: str, who: str) -> Plan:
        """One more live signing secret: a delivery that any of them made is genuine.

        Args:
            instance: its name.
            source: its name.
            secret: Chatwoot's; `env:NAME` and `file:PATH` work too.
            who: for the record.
        """
        added = make_secret(secret, self._vault)

        def edit(sources: tuple[DeclaredSource, ...]) -> tuple[DeclaredSource, ...]:
            old = find("source", source, sources)
            if added.text in (one.text or self._vault.open(one.sealed) for one in old.secrets):
                raise FleetError(_("The source has this secret already."))
            return exchanged(sources, old, replace(old, secrets=(*old.secrets, added)))

        return await self._edit_sources(who, instance, edit)

    async def remove_secret(self, instance: str, source: str, secret: str, who: str) -> Plan:
        """One live signing secret less. After the last one deliveries are not verified any more.

        Args:
            instance: its name.
            source: its name.
            secret: as it was given: the secret itself, or the `env:NAME` or `file:PATH`.
            who: for the record.
        """

        def edit(sources: tuple[DeclaredSource, ...]) -> tuple[DeclaredSource, ...]:
            old = find("source", source, sources)
            gone = find_secret(secret, old.secrets, self._vault)
            return exchanged(sources, old, replace(old, secrets=without(old.secrets, gone)))

        return await self._edit_sources(who, instance, edit)

    async def add_destination(
        self, name: str, url: str, who: str, **options: Unpack[DestinationOptions]
    ) -> Plan:
        """A new destination."""
        new = amended(DeclaredDestination(name, url), options, self._vault, _fail)

        def edit(declared: Declared) -> Declared:
            return replace(declared, destinations=(*declared.destinations, new))

        return await self._redeclare(who, edit)

    async def change_destination(
        self, name: str, who: str, *, url: str | None = None, **options: Unpack[DestinationOptions]
    ) -> Plan:
        """Change what is given, and nothing else, of a destination."""

        def change(fleet: Fleet) -> Plan:
            refuse_managed_destination(fleet, name)
            return self._redeclared(fleet, edit)

        def edit(declared: Declared) -> Declared:
            old = find("destination", name, declared.destinations)
            new = amended(replace(old, url=url or old.url), options, self._vault, _fail)
            return replace(declared, destinations=exchanged(declared.destinations, old, new))

        return await self._change(who, change)

    async def remove_destination(self, name: str, who: str) -> Plan:
        """Remove a destination; refused while a route names it."""

        def change(fleet: Fleet) -> Plan:
            return removed_destination(fleet, name) or self._redeclared(fleet, edit)

        def edit(declared: Declared) -> Declared:
            gone = find("destination", name, declared.destinations)
            users = [route.name for route in declared.routes if name in route.to]
            _refuse_used(_("The destination {name} is used by: {routes}."), name, users)
            return replace(declared, destinations=without(declared.destinations, gone))

        return await self._change(who, change)

    async def pause_destination(self, name: str, reason: str, who: str) -> Plan:
        """Send nothing there until it is resumed, or gets another URL; what is owed waits."""
        return await self._set_paused(name, reason[:_REASON_CHARS_MAX] or _("paused"), who)

    async def resume_destination(self, name: str, who: str) -> Plan:
        """Send there again, what waited first."""
        return await self._set_paused(name, "", who)

    async def add_route(  # noqa: PLR0913  (a route's own words, by name)
        self,
        name: str,
        to: Sequence[str],
        who: str,
        *,
        instances: Sequence[str] = ("*",),
        events: Sequence[str] = ("*",),
        where: dict[str, tuple[Scalar, ...]] | None = None,
    ) -> Plan:
        """A new route."""
        new = DeclaredRoute(name, tuple(to), tuple(instances), tuple(events), where or {})

        def edit(declared: Declared) -> Declared:
            return replace(declared, routes=(*declared.routes, new))

        return await self._redeclare(who, edit)

    async def remove_route(self, name: str, who: str) -> Plan:
        """Remove a route. Deliveries that it made already are still made."""

        def change(fleet: Fleet) -> Plan:
            refuse_managed_route(fleet, name)
            return self._redeclared(fleet, edit)

        def edit(declared: Declared) -> Declared:
            gone = find("route", name, declared.routes)
            return replace(declared, routes=without(declared.routes, gone))

        return await self._change(who, change)

    async def enrol(self, wanted: Sequence[Pair], manager: str, gone: str) -> Plan:
        """Make what a program keeps in the fleet what it wants; see `managed.enrol`."""
        return await self._change(manager, lambda fleet: enrol(fleet, wanted, manager, gone))

    async def _set_paused(self, name: str, reason: str, who: str) -> Plan:
        def edit(fleet: Fleet) -> Plan:
            old = find("destination", name, fleet.destinations)
            if old.paused == reason:
                return Plan((), fleet)
            new = exchanged(fleet.destinations, old, replace(old, paused=reason))
            detail = _("paused: {reason}").format(reason=reason) if reason else _("resumed")
            return Plan(
                (Change("change", "destination", name, detail),),
                replace(fleet, version=fleet.version + 1, destinations=new),
            )

        return await self._change(who, edit)

    async def _edit_sources(
        self,
        who: str,
        instance: str,
        edit: Callable[[tuple[DeclaredSource, ...]], tuple[DeclaredSource, ...]],
    ) -> Plan:
        def edit_instance(declared: Declared) -> Declared:
            old = find("instance", instance, declared.instances)
            new = replace(old, sources=edit(old.sources))
            return replace(declared, instances=exchanged(declared.instances, old, new))

        return await self._redeclare(who, edit_instance)

    async def _redeclare(self, who: str, edit: Callable[[Declared], Declared]) -> Plan:
        """Change the fleet as if a fleet file had been edited and applied."""
        return await self._change(who, lambda fleet: self._redeclared(fleet, edit))

    def _redeclared(self, fleet: Fleet, edit: Callable[[Declared], Declared]) -> Plan:
        declared = check(edit(declare(fleet)), _fail, lambda _path: "")
        return plan(fleet, declared, self._vault)

    async def _change(self, who: str, edit: Edit) -> Plan:
        """Read, modify, replace; anew if somebody else was quicker."""
        async with _deadline():
            for _try in range(_TRIES):
                done = await asyncio.to_thread(edit, await self._ledger.fleet())
                if not done.changes:
                    return done
                try:
                    summary = done.summary()[:_SUMMARY_CHARS_MAX]
                    await self._ledger.replace_fleet(done.fleet, who, summary)
                except ConflictError:
                    continue
                return done
        raise ConflictError(_("Others are changing the fleet at the same time. Try again."))


@asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_LEDGER_S_MAX):
            yield
    except TimeoutError:
        said = _("The ledger did not answer within {seconds} seconds. Try again.")
        raise StoreUnavailableError(said.format(seconds=f"{_LEDGER_S_MAX:g}")) from None


def _fail(path: Path, message: str, hint: str = "") -> NoReturn:
    """A single command has no file and no line; the message says it all."""
    del path
    raise FleetError(message, hint=hint)


def _refuse_used(message: str, name: str, routes: Sequence[str]) -> None:
    if routes:
        said = message.format(name=name, routes=", ".join(routes))
        raise FleetError(said, hint=_("Change or remove these routes first."))

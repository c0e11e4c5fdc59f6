"""The fleet and the API keys of a running gateway, read and changed through its admin API.

References (`env:NAME`, `file:PATH`) are read here, where the person is, and never by the gateway.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Unpack
from urllib.parse import quote

import msgspec

from comporta.cli.remote_http import Connection
from comporta.domain.fleet import (
    Destination,
    Fleet,
    Instance,
    Route,
    Scalar,
    Secret,
    Source,
    SourceKind,
    Token,
)
from comporta.errors import ConfigError, FleetError, RemoteError
from comporta.fleet.credentials import resolve, without_references
from comporta.fleet.options import DestinationOptions
from comporta.fleet.parse import toml_values
from comporta.fleet.plan import Change, Plan, Shown
from comporta.i18n import _
from comporta.ledger.admin import ApiKey, Scope
from comporta.toml_lines import line_of
from comporta.vault import digest_token

_DIGEST_CHARS = 12


class RemoteFleet:
    """What the commands do with a fleet; see `comporta.fleet.service.FleetService`.

    `who` is not sent: the gateway records the name of the key.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self) -> Fleet:
        """The current fleet, without secrets."""
        return fleet_of(await self._connection.get("/fleet"))

    async def plan_file(self, text: str, file: str) -> Plan:
        """What `apply_file` would do now."""
        return await self._send_file("/fleet/plan", text, file)

    async def apply_file(self, text: str, file: str, who: str) -> Plan:
        """Make the fleet what a fleet file says."""
        del who
        return await self._send_file("/fleet/apply", text, file)

    async def _send_file(self, path: str, text: str, file: str) -> Plan:
        values = without_references(toml_values(text, file), _read)
        try:
            return _plan(await self._connection.post(path, values))
        except FleetError as error:
            raise FleetError(error.message, file, line_of(text, error.path) or None) from None

    async def export(self, *, reveal: bool = False) -> str:
        """The fleet as a fleet file."""
        if reveal:
            said = _("Secrets are revealed only on the gateway's own machine: leave out --api.")
            raise RemoteError(said)
        return (await self._connection.get_bytes("/fleet/export")).decode()

    async def add_instance(self, name: str, url: str, who: str) -> Plan:
        """A new instance."""
        del who
        return _plan(await self._connection.post("/instances", {"name": name, "url": url}))

    async def remove_instance(self, name: str, who: str) -> Plan:
        """Remove an instance with its sources."""
        del who
        return _plan(await self._connection.delete(_at("instances", name)))

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
        """A new source."""
        del who
        given = {"token": token, "secrets": list(secrets)}
        body = {"name": name, "kind": kind.value, **without_references(given, _read)}
        return _plan(await self._connection.post(f"{_at('instances', instance)}/sources", body))

    async def remove_source(self, instance: str, name: str, who: str) -> Plan:
        """Remove a source."""
        del who
        return _plan(await self._connection.delete(_source(instance, name)))

    async def add_token(
        self, instance: str, source: str, who: str, *, token: str | None = None
    ) -> Plan:
        """One more live token."""
        del who
        body = without_references({"token": token}, _read)
        return _plan(await self._connection.post(f"{_source(instance, source)}/tokens", body))

    async def remove_token(self, instance: str, source: str, token: str, who: str) -> Plan:
        """One live token less. A whole token is not sent, for it would stand in an address."""
        del who
        fleet = await self.read()
        known = {
            one.digest
            for owner in fleet.instances
            for each in owner.sources
            if (owner.name, each.name) == (instance, source)
            for one in each.tokens
        }
        digest = digest_token(token)[:_DIGEST_CHARS]
        part = digest if digest in known else token
        path = f"{_source(instance, source)}/tokens/{quote(part, safe='')}"
        return _plan(await self._connection.delete(path))

    async def add_secret(self, instance: str, source: str, secret: str, who: str) -> Plan:
        """One more live signing secret."""
        del who
        body = without_references({"secret": secret}, _read)
        return _plan(await self._connection.post(f"{_source(instance, source)}/secrets", body))

    async def remove_secret(self, instance: str, source: str, secret: str, who: str) -> Plan:
        """One live signing secret less."""
        del who
        try:
            given = without_references(secret, _read)
        except ConfigError:
            given = secret  # a reference that the gateway may have
        path = f"{_source(instance, source)}/secrets/remove"
        return _plan(await self._connection.post(path, {"secret": given}))

    async def add_destination(
        self, name: str, url: str, who: str, **options: Unpack[DestinationOptions]
    ) -> Plan:
        """A new destination."""
        del who
        body = {"name": name, "url": url, **without_references(dict(options), _read)}
        return _plan(await self._connection.post("/destinations", body))

    async def change_destination(
        self, name: str, who: str, *, url: str | None = None, **options: Unpack[DestinationOptions]
    ) -> Plan:
        """Change what is given, and nothing else, of a destination."""
        del who
        body = without_references(dict(options), _read) | ({"url": url} if url else {})
        return _plan(await self._connection.patch(_at("destinations", name), body))

    async def remove_destination(self, name: str, who: str) -> Plan:
        """Remove a destination."""
        del who
        return _plan(await self._connection.delete(_at("destinations", name)))

    async def pause_destination(self, name: str, reason: str, who: str) -> Plan:
        """Send nothing there until it is resumed."""
        del who
        path = f"{_at('destinations', name)}/pause"
        return _plan(await self._connection.post(path, {"reason": reason}))

    async def resume_destination(self, name: str, who: str) -> Plan:
        """Send there again."""
        del who
        return _plan(await self._connection.post(f"{_at('destinations', name)}/resume", None))

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
        del who
        body = {
            "name": name,
            "to": list(to),
            "instances": list(instances),
            "events": list(events),
            "where": msgspec.to_builtins(where or {}),
        }
        return _plan(await self._connection.post("/routes", body))

    async def remove_route(self, name: str, who: str) -> Plan:
        """Remove a route."""
        del who
        return _plan(await self._connection.delete(_at("routes", name)))


class RemoteKeys:
    """What the commands do with API keys; see `comporta.operating.keys.KeyService`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> list[ApiKey]:
        """All of them, oldest first."""
        found: list[ApiKey] = []
        cursor: str | None = None
        while True:
            page = await self._connection.get("/api-keys", limit=200, cursor=cursor)
            found += [_key(one) for one in page["items"]]
            if (cursor := page["next"]) is None:
                return found

    async def create(self, name: str, scope: Scope, who: str, now_ms: int) -> tuple[ApiKey, str]:
        """A new key, and its text."""
        del who, now_ms
        body = {"name": name, "scope": scope.value}
        made = await self._connection.post("/api-keys", body)
        return _key(made), made["key"]

    async def revoke(self, name_or_id: str, now_ms: int) -> ApiKey:
        """Make a key useless."""
        del now_ms
        return _key(await self._connection.delete(_at("api-keys", name_or_id)))


def fleet_of(document: dict[str, Any]) -> Fleet:
    """A fleet as it is told: secrets are only there or not."""
    return Fleet(
        version=document["version"],
        instances=tuple(
            Instance(one["id"], one["name"], one["url"], tuple(map(_source_of, one["sources"])))
            for one in document["instances"]
        ),
        destinations=tuple(_destination_of(one) for one in document["destinations"]),
        routes=msgspec.convert(document["routes"], tuple[Route, ...]),
    )


def _source_of(one: dict[str, Any]) -> Source:
    tokens = tuple(Token(each["digest"], each["hint"], each["reference"]) for each in one["tokens"])
    hidden = tuple(Secret("") for _number in range(one["secrets"]))
    return Source(one["id"], one["name"], SourceKind(one["kind"]), tokens, hidden)


def _destination_of(one: dict[str, Any]) -> Destination:
    told = {key: value for key, value in one.items() if key not in {"signed", "paused", "headers"}}
    return msgspec.structs.replace(
        msgspec.convert(told, Destination),
        secret=Secret("") if one["signed"] else None,
        paused=one["paused"],
        headers={name: Secret("") for name in one["headers"]},
    )


def _plan(done: dict[str, Any]) -> Plan:
    return Plan(
        changes=msgspec.convert(done["changes"], tuple[Change, ...]),
        fleet=Fleet(version=done["version"]),
        shown=msgspec.convert(done["tokens"], tuple[Shown, ...]),
        warnings=tuple(done["warnings"]),
    )


def _key(one: dict[str, Any]) -> ApiKey:
    def millis(text: str | None) -> int:
        return 0 if text is None else round(dt.datetime.fromisoformat(text).timestamp() * 1000)

    return ApiKey(
        id=one["id"],
        name=one["name"],
        scope=Scope(one["scope"]),
        digest="",
        hint=one["hint"],
        created_at_ms=millis(one["created_at"]),
        created_by=one["created_by"],
        last_used_at_ms=millis(one["last_used_at"]),
        revoked_at_ms=millis(one["revoked_at"]),
    )


def _read(reference: str) -> str:
    return resolve(reference)[0]


def _at(things: str, name: str) -> str:
    return f"/{things}/{quote(name, safe='')}"


def _source(instance: str, source: str) -> str:
    return f"{_at('instances', instance)}/sources/{quote(source, safe='')}"

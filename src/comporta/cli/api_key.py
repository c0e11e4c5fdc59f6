"""`comporta api-key …`: the keys of the admin API. A key is shown once, when it is made."""

from typing import Annotated

import typer

from comporta.cli.command import command, group
from comporta.cli.desk import Desk, deadline
from comporta.cli.screen import Column, Row, instant
from comporta.cli.selection import Yes
from comporta.i18n import _
from comporta.ledger.admin import ApiKey, Scope


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    keys = group("api-key", _("API keys: for programs, and for the command line from elsewhere."))
    command(keys)(create)
    command(keys, "list")(list_)
    command(keys)(revoke)
    app.add_typer(keys)


async def create(
    desk: Desk,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help=_("What it is for."))],
    scope: Annotated[
        Scope, typer.Option(help=_("What it may do; each includes the ones before it."))
    ] = Scope.READ,
) -> None:
    """Make an API key and show it, once."""
    async with desk.stores() as stores, deadline():
        key, text = await stores.keys.create(name, scope, desk.who, desk.now_ms())
    said = _("The API key {name}, of scope {scope} (shown only now):")
    words = f"{said.format(name=key.name, scope=key.scope.value)}\n  {text}"
    desk.screen.result({**_shown(key), "key": text}, words)


async def list_(desk: Desk) -> None:
    """List the API keys; of the revoked ones the latest."""
    async with desk.stores() as stores, deadline():
        keys = await stores.keys.list()
    columns = (
        Column("name", _("NAME")),
        Column("scope", _("SCOPE")),
        Column("hint", _("BEGINS")),
        Column("created_at", _("CREATED")),
        Column("created_by", _("BY")),
        Column("last_used_at", _("LAST USED")),
        Column("revoked_at", _("REVOKED")),
        Column("id", _("ID")),
    )
    empty = _("No API keys. Make one: comporta api-key create NAME")
    desk.screen.table(columns, [_shown(one) for one in keys], empty=empty)


async def revoke(
    desk: Desk,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help=_("The key's name or id."))],
    yes: Yes = False,
) -> None:
    """Make an API key useless, on all workers within a second."""
    async with desk.stores() as stores:
        desk.confirm(_("Revoke the API key {name}?").format(name=name), yes=yes)
        async with deadline():
            key = await stores.keys.revoke(name, desk.now_ms())
    said = _("The API key {name} is revoked.").format(name=key.name)
    desk.screen.result({"id": key.id, "name": key.name, "revoked": True}, said)


def _shown(key: ApiKey) -> Row:
    return {
        "id": key.id,
        "name": key.name,
        "scope": key.scope.value,
        "hint": key.hint,
        "created_at": instant(key.created_at_ms),
        "created_by": key.created_by,
        "last_used_at": instant(key.last_used_at_ms),
        "revoked_at": instant(key.revoked_at_ms),
    }

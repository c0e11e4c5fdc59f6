"""`comporta audit`: who did what, and when, to deliveries and to the fleet."""

from typing import Any

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk, deadline
from comporta.cli.events import Limit
from comporta.cli.names import Names
from comporta.cli.screen import Column, Instant, Row, Word
from comporta.cli.selection import IDS_MAX
from comporta.domain import ids
from comporta.i18n import _
from comporta.ledger.port import FleetChange, Operation

SHOWN_IDS_MAX = 3
"""In a table; JSON has them all."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(audit)


async def audit(desk: Desk, limit: Limit = 50) -> None:
    """List who did what and when, newest first.

    Redrives, replays, discards, what retention has given up, and every change of the fleet.
    """
    async with desk.stores() as stores, deadline():
        names = Names(await stores.ledger.fleet())
        operations = await stores.ledger.operations(None, limit)
        changes = await stores.ledger.fleet_changes(None, limit)
    ids_max = IDS_MAX if desk.screen.json else SHOWN_IDS_MAX
    rows = [(one.at_ms, _operation(one, names, ids_max)) for one in operations]
    rows += [(one.changed_at_ms, _change(one)) for one in changes]
    rows.sort(key=lambda row: row[0], reverse=True)
    columns = (
        Column("at", _("WHEN")),
        Column("who", _("WHO")),
        Column("what", _("WHAT")),
        Column("count", _("COUNT"), right=True),
        Column("which", _("WHICH")),
    )
    shown = [row for _at_ms, row in rows[:limit]]
    desk.screen.table(columns, shown, empty=_("Nobody has done anything yet."))


def _operation(one: Operation, names: Names, ids_max: int) -> Row:
    words = {
        "redrive": _("redrive"),
        "replay": _("replay"),
        "discard": _("discard"),
        "prune": _("prune"),
    }
    return {
        "at": Instant(one.at_ms),
        "who": one.who,
        "what": Word(one.what, words.get(one.what, one.what)),
        "count": one.count,
        "which": _which(one.which, names, ids_max) or {"all": True},
    }


def _change(one: FleetChange) -> Row:
    return {
        "at": Instant(one.changed_at_ms),
        "who": one.changed_by,
        "what": Word("fleet", _("fleet")),
        "count": None,
        "which": {"version": one.version, "change": one.summary},
    }


def _which(kept: dict[str, Any], names: Names, ids_max: int) -> dict[str, object]:
    """What was asked for, with names for ids and moments for numbers."""
    found: dict[str, object] = {}
    for key, value in kept.items():
        match key:
            case "destination_id":
                found["destination"] = names.destination(value)
            case "to":
                found["to"] = names.destination(value)
            case "instance_id":
                found["instance"] = names.instance(value)
            case "route_id":
                found["route"] = names.route(value)
            case "event_id":
                found["event"] = ids.show("evt", value)
            case "delivery_ids":
                shown: list[object] = [ids.show("dlv", one) for one in value[:ids_max]]
                found["deliveries"] = shown + ["…"] * (len(value) > ids_max)
            case "since_ms" | "until_ms" | "settled_until_ms":
                found[key.removesuffix("_ms")] = Instant(value)
            case _:
                found[key] = value
    return found

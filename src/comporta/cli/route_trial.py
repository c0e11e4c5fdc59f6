"""`comporta route test`: which routes an event is for, and why not for the others.

The event is a body from a file or one that is stored. Nothing is delivered and nothing is changed.
"""

from typing import Annotated

import msgspec
import typer

from comporta.chatwoot.fields import fields_of
from comporta.cli.desk import Desk, Stores, deadline
from comporta.cli.event_given import EventGiven, is_id, read_body, stored_event, type_of
from comporta.cli.events import body_of
from comporta.cli.exits import Exit
from comporta.cli.names import Names
from comporta.cli.reasons import reason_of
from comporta.cli.screen import Column, Row, Word
from comporta.domain.explaining import Verdict, explain
from comporta.domain.fleet import Fleet
from comporta.errors import NotFoundError
from comporta.fleet.named import find
from comporta.i18n import _


class _Event(msgspec.Struct, frozen=True):
    instance: str
    event_type: str
    body: bytes


async def trial(
    desk: Desk,
    *,
    event: EventGiven,
    name: Annotated[
        str | None, typer.Argument(metavar="[ROUTE]", help=_("Only this route."))
    ] = None,
    instance: Annotated[
        str | None, typer.Option(help=_("Whose event the file is, if there are several."))
    ] = None,
) -> None:
    """Say which routes an event is for, and why not for the others.

    Delivers nothing. Ends with 8 if no route is for it.
    """
    given = None if is_id(event) else read_body(event, desk.settings.body_bytes_max)
    async with desk.stores() as stores:
        async with deadline():
            fleet = await stores.ledger.fleet()
        routes = fleet.routes if name is None else (find("route", name, fleet.routes),)
        if given is None:
            tried = await _stored(stores, fleet, event, instance)
        else:
            tried = _given(fleet, given, event, instance)
    fields = fields_of(tried.body)
    verdicts = [explain(route, tried.instance, tried.event_type, fields) for route in routes]
    _show(desk, tried, verdicts)
    if not any(verdict.fits for verdict in verdicts):
        raise typer.Exit(Exit.NO_MATCH)


def _given(fleet: Fleet, body: bytes, file: str, instance: str | None) -> _Event:
    event_type = type_of(body, file)
    if instance is not None:
        return _Event(find("instance", instance, fleet.instances).name, event_type, body)
    if not fleet.instances:
        raise NotFoundError(_("There are no instances. Add one: comporta instance add NAME"))
    if len(fleet.instances) > 1:
        raise typer.BadParameter(
            _("There are several instances. Say whose event it is: --instance")
        )
    return _Event(fleet.instances[0].name, event_type, body)


async def _stored(stores: Stores, fleet: Fleet, event: str, instance: str | None) -> _Event:
    if instance is not None:
        raise typer.BadParameter(
            _("Of a stored event the instance is known: leave --instance out.")
        )
    detail = await stored_event(stores, event)
    name = Names(fleet).instance(detail.row.instance_id)
    return _Event(name, detail.row.event_type, body_of(detail))


def _show(desk: Desk, event: _Event, verdicts: list[Verdict]) -> None:
    rows = [_cells(verdict) for verdict in verdicts]
    if desk.screen.json:
        data = {
            "instance": event.instance,
            "event_type": event.event_type,
            "fits": any(verdict.fits for verdict in verdicts),
            "routes": rows,
        }
        desk.screen.result(data, "")
        return
    of = _("{event_type} of {instance}")
    desk.screen.say(of.format(event_type=event.event_type or "–", instance=event.instance))
    columns = (
        Column("name", _("ROUTE")),
        Column("fits", _("FITS")),
        Column("to", _("TO")),
        Column("reason", _("REASON")),
    )
    desk.screen.table(columns, rows, empty=_("No routes. Add one: comporta route add NAME --to …"))


def _cells(verdict: Verdict) -> Row:
    miss = verdict.miss
    return {
        "name": verdict.route.name,
        "fits": Word("error", _("error")) if verdict.error else verdict.fits,
        "to": list(verdict.route.to),
        "reason": reason_of(verdict),
        "part": miss.part.value if miss else None,
        "condition": miss.condition if miss else "",
        "wanted": list(miss.wanted) if miss else [],
        "found": miss.found if miss else None,
    }

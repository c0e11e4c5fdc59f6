"""`comporta route test`: which routes an event is for, and why not for the others.

The event is a body from a file or one that is stored. Nothing is delivered and nothing is changed.
"""

from typing import Annotated

import typer
from msgspec.structs import replace

from comporta.cli.desk import Desk, deadline
from comporta.cli.event_given import EventGiven, is_id, sample_of
from comporta.cli.exits import Exit
from comporta.cli.reasons import reason_of
from comporta.cli.screen import Column, Row, Word
from comporta.domain.explaining import Verdict
from comporta.domain.fleet import Fleet
from comporta.errors import NotFoundError
from comporta.i18n import _
from comporta.operating.trials import RoutesTried


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
    if is_id(event) and instance is not None:
        raise typer.BadParameter(
            _("Of a stored event the instance is known: leave --instance out.")
        )
    sample = sample_of(event, desk.settings.body_bytes_max, instance or "")
    async with desk.stores() as stores, deadline():
        if sample.event_id is None and instance is None:
            sample = replace(sample, instance=_only_instance(await stores.ledger.fleet()))
        tried = await stores.trials.routes(sample, name, desk.now_ms())
    _show(desk, tried)
    if not _fits(tried):
        raise typer.Exit(Exit.NO_MATCH)


def _only_instance(fleet: Fleet) -> str:
    if not fleet.instances:
        raise NotFoundError(_("There are no instances. Add one: comporta instance add NAME"))
    if len(fleet.instances) > 1:
        raise typer.BadParameter(
            _("There are several instances. Say whose event it is: --instance")
        )
    return fleet.instances[0].name


def _fits(tried: RoutesTried) -> bool:
    return any(verdict.fits for verdict in tried.verdicts)


def _show(desk: Desk, tried: RoutesTried) -> None:
    rows = [_cells(verdict) for verdict in tried.verdicts]
    if desk.screen.json:
        data = {
            "instance": tried.instance,
            "event_type": tried.event_type,
            "fits": _fits(tried),
            "routes": rows,
        }
        desk.screen.result(data, "")
        return
    of = _("{event_type} of {instance}")
    desk.screen.say(of.format(event_type=tried.event_type or "–", instance=tried.instance))
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

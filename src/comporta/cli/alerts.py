"""`comporta alerts` and `comporta alert …`: what is wrong, and whether people are told."""

from typing import Annotated

import typer

from comporta.cli.command import command, group
from comporta.cli.desk import Desk, deadline
from comporta.cli.screen import Column, Instant, Row, Word, instant
from comporta.i18n import _


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app)(alerts)
    alert = group("alert", _("Acknowledge alerts, and try notifiers."))
    command(alert)(ack)
    command(alert, here=True)(test)
    app.add_typer(alert)


async def alerts(
    desk: Desk,
    *,
    all_: Annotated[bool, typer.Option("--all", help=_("Those that are over as well."))] = False,
) -> None:
    """List the alerts that are open, newest first."""
    from comporta.alerting import config, words  # noqa: PLC0415  (brings in the calendars)

    plan = config.load(desk.settings.alerts)
    async with desk.stores() as stores, deadline():
        shown = await stores.alerts.list(over=all_)
    severities = {"critical": _("critical"), "warning": _("warning")}
    rows: list[Row] = [
        {
            "name": one.name,
            "severity": Word(one.finding.severity, severities[one.finding.severity]),
            "opened": Instant(one.opened_at_ms),
            "acknowledged": instant(one.acked_at_ms),
            "by": one.acked_by,
            "resolved": instant(one.resolved_at_ms),
            "text": words.sentence(one.finding, plan.calendar.local),
        }
        for one in shown
    ]
    columns = (
        Column("name", _("ALERT")),
        Column("severity", _("SEVERITY")),
        Column("opened", _("SINCE")),
        Column("acknowledged", _("ACKNOWLEDGED")),
        Column("by", _("BY")),
        *((Column("resolved", _("OVER")),) if all_ or desk.screen.json else ()),
        Column("text", _("WHAT")),
    )
    desk.screen.table(columns, rows, empty=_("No alert is open."))


async def ack(
    desk: Desk,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help=_("As `comporta alerts` shows it."))],
) -> None:
    """Say that you know of an alert: it is not repeated.

    Its end is still told.
    """
    async with desk.stores() as stores, deadline():
        known = await stores.alerts.acknowledge(name, desk.who, desk.now_ms())
    said = _("{name} is acknowledged: nobody is reminded of it.").format(name=name)
    desk.screen.result({"name": name, "acknowledged_by": known.acked_by}, said)


async def test(
    desk: Desk,
    *,
    notifier: Annotated[
        str, typer.Argument(metavar="NOTIFIER", help=_("Its name in the alerts file."))
    ],
) -> None:
    """Send a test message, and say what was answered."""
    from comporta.alerting import config  # noqa: PLC0415
    from comporta.alerting.notify.message import DEADLINE_S  # noqa: PLC0415
    from comporta.alerting.notify.sending import Notifiers  # noqa: PLC0415
    from comporta.errors import NotFoundError  # noqa: PLC0415

    plan = config.load(desk.settings.alerts)
    to = plan.notifier(notifier)
    if to is None:
        known = ", ".join(one.name for one in plan.file.notifier) or _("none")
        said = _('There is no notifier "{name}" in the alerts file. There is: {known}.')
        raise NotFoundError(said.format(name=notifier, known=known))
    async with Notifiers() as notifiers, deadline(DEADLINE_S + 1):
        answer = await notifiers.test(to, plan, desk.now_ms())
    text = _("{name} has taken the message: {answer}").format(name=notifier, answer=answer)
    desk.screen.result({"notifier": notifier, "answer": answer}, text)

"""Shows what a change to the fleet does, and once the tokens it made, as webhook URLs."""

from comporta.cli.desk import Desk
from comporta.cli.screen import Screen
from comporta.fleet.plan import Plan
from comporta.i18n import _
from comporta.urls import webhook_url


def kinds() -> dict[str, str]:
    """The things of a fleet, in the reader's language."""
    return {
        "instance": _("instance"),
        "source": _("source"),
        "destination": _("destination"),
        "route": _("route"),
    }


def as_lines(plan: Plan) -> list[str]:
    """The changes, one a line."""
    signs = {"add": "+", "change": "~", "remove": "-"}
    lines = []
    for one in plan.changes:
        detail = f"  ({one.detail})" if one.detail else ""
        lines.append(f"{signs[one.kind]} {kinds()[one.what]} {one.name}{detail}")
    lines += [_("Warning: {what}").format(what=warning) for warning in plan.warnings]
    return lines


def show_plan(screen: Screen, plan: Plan) -> None:
    """For people, before they are asked."""
    if plan.changes:
        screen.say("\n".join(as_lines(plan)))
    else:
        screen.say("\n".join([*as_lines(plan), _("Nothing to change.")]))


def show_done(desk: Desk, plan: Plan, *, applied: bool = True) -> None:
    """After the change: the tokens that were made; with `--json`, everything."""
    url = desk.settings.shown_url
    tokens = [
        {
            "instance": one.instance,
            "source": one.source,
            "token": one.token,
            "webhook_url": one.webhook_url or webhook_url(url, one.token),
        }
        for one in (plan.shown if applied else ())
    ]
    changes = [
        {"kind": one.kind, "what": one.what, "name": one.name, "detail": one.detail}
        for one in plan.changes
    ]
    data = {
        "applied": applied and bool(plan.changes),
        "changes": changes,
        "tokens": tokens,
        "warnings": list(plan.warnings),
    }
    if desk.screen.json:
        desk.screen.result(data, "")
        return
    for one in tokens:
        head = _("Webhook URL of {source}, to paste into Chatwoot (shown only now):")
        desk.screen.say(head.format(source=f"{one['instance']}/{one['source']}"))
        desk.screen.say(f"  {one['webhook_url']}")


def carried_out(desk: Desk, plan: Plan) -> None:
    """What a single command did."""
    show_plan(desk.screen, plan)
    show_done(desk, plan)

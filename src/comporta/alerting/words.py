"""Alerts as people read them: what is wrong, and what to do. In the language that is spoken now."""

from collections.abc import Callable

from comporta.alerting.model import Alert, Finding, Kind, Notice, Severity
from comporta.i18n import _

Local = Callable[[int], str]
"""A moment (Unix ms) → as people of the place write it."""
LINES_MAX = 30
"""Of one message; how many more there are is said."""


def sentence(finding: Finding, local: Local) -> str:
    """What is wrong, and what to do next."""
    values = {**finding.values, "subject": finding.subject}
    if "since_ms" in values:
        values["since"] = local(int(values["since_ms"]))
    return _template(finding).format(**values)


def _template(finding: Finding) -> str:
    if finding.kind is Kind.DISK and finding.subject:
        return _("The disk of {subject} has {mib} MiB left. Make room: a full disk refuses events.")
    texts = {
        Kind.STORE: _("The {subject} does not answer: {why} See `comporta doctor`."),
        Kind.FAILING: _(
            "{percent} % of {n} attempts at {subject} have failed in ten minutes. See"
            " `comporta deliveries --destination {subject}`."
        ),
        Kind.SLOW: _(
            "{subject} takes {seconds} s for an answer, on average. Find out there what is slow."
        ),
        Kind.BREAKER: _(
            "Everything fails at {subject} since {since}: {why}. Its deliveries wait and go out"
            " by themselves when it answers."
        ),
        Kind.LAG: _(
            "{n} events wait to be taken over: more arrive than are dispatched. See"
            " `comporta doctor`."
        ),
        Kind.WAITING: _(
            "A delivery has been waiting since {since}. See"
            " `comporta deliveries --state scheduled`, and whether a destination is paused."
        ),
        Kind.DEAD: _(
            "There are dead letters: {n}. See `comporta dead`, then redrive or discard them."
        ),
        Kind.REFUSED: _("{n} webhook calls were refused in five minutes. See `comporta rejected`."),
        Kind.LATE: _(
            "{late} of {n} webhooks were answered by {subject} after more than 2.5 s, in five"
            " minutes. Chatwoot gives up after 5 s, and the event is lost: see whether its disk or"
            " the log's server is slow, and `comporta doctor`."
        ),
        Kind.SPOOL: _(
            "The log's server cannot be reached from {subject}: events are kept in its spool."
            " Bring the log's server back; they follow by themselves."
        ),
        Kind.DISK: _("The disk will be full in {days} days. Make room, or keep less."),
        Kind.SILENCE: _(
            "Nothing has come from {subject} since {since}, and it is never so quiet then. See"
            " whether its Chatwoot works and whether its webhook is still there."
        ),
        Kind.NOTIFIER: _(
            "The notifier {subject} cannot be reached: {why}. Try `comporta alert test {subject}`."
        ),
        Kind.FILE: _("The alerts file cannot be used; the last one holds. {why}"),
    }
    return texts[finding.kind]


def title(notice: Notice) -> str:
    """A notice in one line, for subjects and headings."""
    first = notice.alerts[0].name
    more = len(notice.alerts) - 1
    if notice.opened:
        said = _("Comporta: {name}") if not more else _("Comporta: {name} and {more} more")
    elif notice.again:
        said = _("Comporta, still: {name}")
        said = said if not more else _("Comporta, still: {name} and {more} more")
    else:
        said = _("Comporta, over: {name}")
        said = said if not more else _("Comporta, over: {name} and {more} more")
    return said.format(name=first, more=more)


def text(notice: Notice, local: Local) -> str:
    """A notice as lines, the new first."""
    lines = [
        *(_new(one, local) for one in notice.opened),
        *(_("Still: {text}").format(text=sentence(one.finding, local)) for one in notice.again),
        *(_over(one, local) for one in notice.resolved),
    ]
    if len(lines) > LINES_MAX:
        more = _("And {more} more. See `comporta alerts`.").format(more=len(lines) - LINES_MAX)
        lines = [*lines[:LINES_MAX], more]
    return "\n".join(lines)


def _new(one: Alert, local: Local) -> str:
    marks = {Severity.CRITICAL: _("Critical: {text}"), Severity.WARNING: _("Warning: {text}")}
    return marks[one.finding.severity].format(text=sentence(one.finding, local))


def _over(one: Alert, local: Local) -> str:
    said = _("Over: {name}, since {since}.")
    return said.format(name=one.name, since=local(one.resolved_at_ms))

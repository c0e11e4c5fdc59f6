"""An event's story in order: accepted, each delivery, each attempt at it, and the body."""

from textwrap import indent

import msgspec

from comporta.cli.desk import LedgerDesk
from comporta.cli.names import Names
from comporta.cli.screen import Row, Screen, clean, in_json, in_words
from comporta.cli.views import attempt_cells, delivery_cells, event_cells, event_columns
from comporta.i18n import _
from comporta.ledger.port import DeliveryFilter, EventDetail

DELIVERIES_MAX = 100
ANSWER_LETTERS_MAX = 200
BODY_LETTERS_MAX = 20_000
"""Of the body on screen; `--body` gives all of it."""


async def show_event(screen: Screen, ledger: LedgerDesk, detail: EventDetail) -> None:
    """Print everything that is known about an event."""
    names = Names(await ledger.fleet())
    stories: list[Row] = []
    for row in await ledger.deliveries(
        DeliveryFilter(event_id=detail.row.id, limit=DELIVERIES_MAX)
    ):
        attempts = [attempt_cells(one) for one in await ledger.attempts(row.id)]
        stories.append({**delivery_cells(row, names), "tries": attempts})
    stories.reverse()
    event = event_cells(detail.row, names)
    data = {
        **event,
        "headers": dict(detail.headers),
        "body": None if detail.body is None else detail.body.decode(errors="replace"),
        "timeline": stories,
    }
    screen.result(data, _in_words(event, detail, stories))


def _in_words(event: Row, detail: EventDetail, stories: list[Row]) -> str:
    lines = []
    for column in event_columns():
        value = in_words(event[column.key])
        if value:
            lines.append(f"{column.title.capitalize():<12}  {value}")
    lines += [f"  {key}: {value}" for key, value in detail.headers]
    lines.append("")
    lines.append(_("{at}  accepted").format(at=in_words(event["accepted_at"])))
    for story in stories:
        lines += _story(story)
    if not stories:
        lines.append(_no_deliveries(event))
    lines += ["", _body(detail.body)]
    return "\n".join(lines)


def _no_deliveries(event: Row) -> str:
    if event["duplicate_of"]:
        return _("No delivery: duplicate of {event}.").format(event=event["duplicate_of"])
    return _("No delivery: no route matched.")


def _story(story: Row) -> list[str]:
    head = _("{at}  delivery {id} to {destination}: {state}").format(
        at=in_words(story["created_at"]),
        id=story["id"],
        destination=story["destination"],
        state=in_words(story["state"]),
    )
    if story["reason"]:
        head += f" ({in_words(story['reason'])})"
    if story["due_at"]:
        head += ", " + _("next attempt at {at}").format(at=in_words(story["due_at"]))
    tries = story["tries"]
    return [head, *(_attempt(one) for one in (tries if isinstance(tries, list) else ()))]


def _attempt(attempt: Row) -> str:
    outcome = f"HTTP {attempt['status']}" if attempt["status"] else in_words(attempt["error"])
    answer = str(in_json(attempt["response"]) or "")
    line = _("{at}    attempt {number}: {outcome}, {duration} ms").format(
        at=in_words(attempt["started_at"]),
        number=attempt["number"],
        outcome=outcome or _("done"),
        duration=in_words(attempt["duration_ms"]),
    )
    if not attempt["status"] and answer:  # a handler's traceback
        return f"{line}\n{indent(clean(answer, lines=True), ' ' * 6)}"
    return f"{line}  {clean(answer)[:ANSWER_LETTERS_MAX]}".rstrip()


def _body(body: bytes | None) -> str:
    if body is None:
        return _("The body is gone: it was older than the retention.")
    try:
        text = msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode(errors="replace")
    if len(text) > BODY_LETTERS_MAX:
        cut = _("… cut here; --body shows all of it.")
        return f"{text[:BODY_LETTERS_MAX]}\n{cut}"
    return text

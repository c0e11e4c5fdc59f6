"""Why an event is not for a route, in words. Pure; the decision is `comporta.domain.explaining`."""

from comporta.cli.screen import in_words
from comporta.domain.conditions import NOT, ask
from comporta.domain.explaining import Miss, Part, Verdict
from comporta.i18n import _

_SHOWN_CHARS_MAX = 200


def reason_of(verdict: Verdict) -> str:
    """The first thing that does not fit, or what failed; "" if the event is for the route."""
    if verdict.error:
        said = _("asking {condition} failed; its deliveries are dead letters")
        return said.format(condition=_short(verdict.error))
    return _missed(verdict.miss) if verdict.miss else ""


def _missed(miss: Miss) -> str:
    wanted, found = _short(in_words(miss.wanted)), _short(in_words(miss.found))
    if miss.part is Part.INSTANCES:
        return _("it is for {wanted}; the event is of {found}").format(wanted=wanted, found=found)
    if miss.part is Part.EVENTS:
        said = _("it is for {wanted}; the event's type is {found}")
        return said.format(wanted=wanted, found=found or "–")
    condition, field = f"{miss.condition} = {wanted}", _field(miss.condition)
    if miss.found is None:
        said = _("{condition} does not hold: the event has no {field}")
        return said.format(condition=condition, field=field)
    said = _("{condition} does not hold: {field} is {found}")
    return said.format(condition=condition, field=field, found=found or "–")


def _field(condition: str) -> str:
    """What of the event a condition looks at: `labels` for `not.labels.any`."""
    asked = ask(condition)
    if asked is None or asked.field == "custom_attributes":
        return condition.removeprefix(NOT)
    return asked.field


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}…"

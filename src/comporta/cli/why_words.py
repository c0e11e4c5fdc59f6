"""The words of `comporta why`: the verdict, what was found, the numbers. Pure."""

import msgspec

from comporta.cli.screen import Instant
from comporta.cli.screen import in_words as shown
from comporta.cli.summaries import listed
from comporta.domain.diagnosis import Cause, Diagnosis, Finding, Measure, Numbers, Receiver, Sign
from comporta.i18n import _


def in_words(instance: str, numbers: Numbers, diagnosis: Diagnosis) -> str:
    """All of it, for a person."""
    lines = [_verdict(diagnosis.cause).format(instance=instance), ""]
    lines += [f"- {_sentence(one)}" for one in diagnosis.findings]
    if diagnosis.findings:
        lines.append("")
    return "\n".join([*lines, listed(_lines(numbers))])


def numbers_of(numbers: Numbers) -> dict[str, object]:
    """The numbers for programs."""
    data: dict[str, object] = msgspec.to_builtins(numbers)
    at_ms = numbers.last_event_at_ms
    data["last_event_at"] = Instant(at_ms) if at_ms is not None else None
    del data["last_event_at_ms"]
    return data


def _verdict(cause: Cause) -> str:
    return {
        Cause.SENDER: _(
            "{instance}: it is them. Its Chatwoot sends late, or what it sends is refused."
        ),
        Cause.NETWORK: _("{instance}: it is the network between its Chatwoot and this gateway."),
        Cause.US: _("{instance}: it is us. This gateway is behind, or cannot take events in."),
        Cause.DESTINATION: _("{instance}: it is a destination. Events come in well."),
        Cause.QUIET: _(
            "{instance}: nothing came in, and nothing is wrong here. Perhaps nobody wrote."
        ),
        Cause.NOTHING: _("{instance}: nothing is wrong."),
    }[cause]


def _sentence(one: Finding) -> str:
    words = {
        Sign.REFUSED_THEIRS: _("Calls that were refused: {count} ({detail})."),
        Sign.REFUSED_OURS: _(
            "Calls that were put off, for want of room or of a store: {count} ({detail})."
        ),
        Sign.CUT_OFF: _("Calls that did not arrive whole: {count} ({detail})."),
        Sign.SENT_LATE: _(
            "Half of the events were sent more than {value} after they were made (limit: {limit})."
        ),
        Sign.TRAVELLED_LATE: _(
            "Some calls were {value} longer on the way than the quickest one (limit: {limit})."
        ),
        Sign.ANSWERED_LATE: _(
            "Of this server's answers 1 in 100 took {value} or more (limit: {limit})."
        ),
        Sign.TAKEN_OVER_LATE: _("Some events waited {value} in the log (limit: {limit})."),
        Sign.LOG_BEHIND: _("Entries waiting in the log, of all instances: {count}."),
        Sign.NO_WORKERS: _("No worker dispatches: is the gateway running?"),
        Sign.STARTED_LATE: _(
            "Deliveries to {destination}, which is well, wait {value} for their first attempt;"
            " its rate or its concurrency may be too low."
        ),
        Sign.BREAKER: _(
            "{destination} is spared, for everything failed there: its breaker is {detail}."
        ),
        Sign.PAUSED: _("{destination} is paused: {detail}."),
        Sign.FAILING: _(
            "{percent} of the attempts at {destination} failed, at last with: {detail}."
        ),
        Sign.SLOW: _("Attempts at {destination} take {value} (limit: {limit})."),
        Sign.DEAD: _("Deliveries to {destination} that were given up: {count} ({detail})."),
        Sign.CLOCKS: _("Its clock and ours differ by {value}."),
    }[one.sign]
    return words.format(
        count=f"{one.value:.0f}",
        percent=f"{one.value * 100:.0f} %",
        value=_span(one.value),
        limit=_span(one.limit),
        destination=one.destination,
        detail=_detail(one),
    )


def _detail(one: Finding) -> str:
    if one.sign is Sign.BREAKER:
        return {"open": _("open"), "half_open": _("half-open")}.get(one.detail, one.detail)
    # A refusal's reason is the title of its problem, and what was special about it.
    return ": ".join(_(part) for part in one.detail.split(": ")).rstrip(".")


def _lines(numbers: Numbers) -> list[tuple[str, object]]:
    at_ms = numbers.last_event_at_ms
    refused = [f"{one.count} × HTTP {one.status}" for one in numbers.refusals]
    whole = numbers.sending_with_way
    lines: list[tuple[str, object]] = [
        (_("Looked back"), _span(numbers.window_s)),
        (_("Events accepted"), numbers.events),
        (_("Last event"), Instant(at_ms) if at_ms is not None else _("none")),
        (_("Made to accepted") if whole else _("Made to sent"), _measured(numbers.sending)),
        (_("Sent to accepted"), _measured(numbers.way)),
        (_("Answer, 99 of 100"), _span(numbers.answer_p99_s)),
        (_("Accepted to taken over"), _measured(numbers.taking)),
        (_("Waiting in the log"), _("not known") if numbers.log_lag is None else numbers.log_lag),
        (_("Workers"), _("not known") if numbers.workers is None else numbers.workers),
        (_("Refused"), ", ".join(refused) or 0),
    ]
    return lines + [(one.destination, _received(one)) for one in numbers.receivers]


def _received(one: Receiver) -> str:
    words = _("attempts: {attempts}, failed: {failed}, {took}; open: {open}, dead: {dead}")
    took = _measured(one.took) if one.took else _("none looked at")
    return words.format(
        attempts=one.attempts, failed=one.failed, took=took, open=one.open, dead=one.dead
    )


def _measured(one: Measure | None) -> str:
    if one is None:
        return _("nothing to measure")
    spans = " / ".join(_span(value) for value in (one.p50_s, one.p95_s, one.most_s))
    return _("{spans} (p50 / p95 / max of {count})").format(spans=spans, count=one.count)


def _span(value_s: float | None) -> str:
    """`850 ms`, `2.5 s`, `15 min`, `3.2 h`."""
    if value_s is None:
        return _("not known")
    for unit, size_s, below_s in (("ms", 0.001, 1), ("s", 1, 120), ("min", 60, 7200)):
        if abs(value_s) < below_s:
            return f"{shown(round(value_s / size_s, 1))} {unit}"
    return f"{shown(round(value_s / 3600, 1))} h"

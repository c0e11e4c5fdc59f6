"""What a line about an attempt says, and what it never does."""

from structlog.testing import capture_logs
from tests.support.deliveries import delivery

from comporta.dispatch.lines import AttemptLines, context_of
from comporta.domain.delivery import AttemptResult, DeliveryState, Ending, Outcome, Verdict
from comporta.domain.ids import show

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SCHEDULED = Verdict(DeliveryState.SCHEDULED, due_at_ms=16_010, reason="HTTP 503")


def test_a_failed_attempt_says_where_what_and_when_again() -> None:
    with capture_logs() as lines:
        result = AttemptResult(1_000, 10.0, 503)
        AttemptLines().ended(Outcome(delivery(1), result, SCHEDULED), "crm")
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("attempt.failed", "info")
    assert (line["destination"], line["status"], line["next_wait_s"]) == ("crm", 503, 15.0)


def test_a_dead_letter_is_a_warning_and_success_is_no_line() -> None:
    with capture_logs() as lines:
        said = AttemptLines()
        refused = AttemptResult(1_000, 10.0, error="cannot connect: Connection refused")
        said.ended(Outcome(delivery(1), refused, Verdict(DeliveryState.DEAD)), "crm")
        done = AttemptResult(1_000, 10.0, 200)
        said.ended(Outcome(delivery(2), done, Verdict(DeliveryState.DELIVERED)), "crm")
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("delivery.died", "warning")
    assert line["error"] == "cannot connect: Connection refused"


def test_what_a_handler_said_of_its_failure_is_not_in_the_line() -> None:
    with capture_logs() as lines:
        result = AttemptResult(0, 1.0, error="ValueError: Oi, Maria!", ending=Ending.POISON)
        AttemptLines().ended(Outcome(delivery(1), result, SCHEDULED), "handler:bot")
    assert lines[0]["error"] == "poison"
    assert "Maria" not in str(lines)


def test_the_context_names_event_delivery_chatwoot_and_the_callers_trace() -> None:
    one = delivery(1)
    known = {
        "event_id": show("evt", one.event_id),
        "delivery_id": show("dlv", one.id),
        "chatwoot": "loja-sp",
    }
    assert context_of(one, "loja-sp") == known
    traced = delivery(1, headers=(("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),))
    assert context_of(traced, "loja-sp") == known | {"trace_id": TRACE}

"""The summaries of sink, simulation and demo: for people a list, for programs all numbers."""

from collections.abc import Sequence

import msgspec

from comporta.cli.screen import Screen, in_words
from comporta.i18n import _
from comporta.testing.observed import SinkReport
from comporta.testing.simulation import SimulationSummary

Lines = Sequence[tuple[str, object]]


def show_sink(screen: Screen, seen: SinkReport) -> None:
    """Of a sink."""
    lines = [
        (_("Deliveries"), seen.arrivals),
        (_("Accepted"), seen.accepted),
        (_("Refused on purpose"), seen.refused),
        (_("Left without an answer"), seen.unanswered),
        (_("Wrong signatures"), seen.bad_signatures),
        (_("Duplicates"), seen.duplicates),
        (_("Out of order"), seen.disorder),
        (_("Missing so far"), seen.missing),
        (_("Lag p50 / p99 / max"), millis(seen.lag_p50_ms, seen.lag_p99_ms, seen.lag_max_ms)),
    ]
    screen.result(msgspec.to_builtins(seen), listed(lines))


def show_simulation(screen: Screen, done: SimulationSummary) -> None:
    """Of a simulation."""
    screen.result(_simulation_data(done), listed(simulation_lines(done)))


def _simulation_data(done: SimulationSummary) -> dict[str, object]:
    data: dict[str, object] = msgspec.to_builtins(done)
    return {**data, "refused": {str(status): count for status, count in done.refused.items()}}


def simulation_lines(done: SimulationSummary) -> list[tuple[str, object]]:
    """What became of the events that were sent."""
    refused = [f"{count} × HTTP {status}" for status, count in done.refused.items()]
    return [
        (_("Sent"), done.sent),
        (_("Accepted"), done.accepted),
        (_("Refused"), ", ".join(refused) or 0),
        (_("Timeouts"), done.timeouts),
        (_("Connection errors"), done.connection_errors),
        (_("Second and third tries"), done.retries),
        (_("Events per second"), done.rate_per_s),
        (_("Answer p50 / p99 / max"), millis(done.ack_p50_ms, done.ack_p99_ms, done.ack_max_ms)),
    ]


def listed(lines: Lines) -> str:
    """Two columns."""
    width = max(len(title) for title, _value in lines)
    return "\n".join(f"{title:<{width}}  {in_words(value)}" for title, value in lines)


def millis(*values: float) -> str:
    """`1.2 / 3.4 / 5.6 ms`."""
    return " / ".join(f"{value:.1f}" for value in values) + " ms"

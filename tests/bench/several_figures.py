"""What is measured of several servers, as data, and what is aimed at. No I/O."""

from typing import Any

import msgspec
from tests.bench.aim import Aim, at_least, none_of

from comporta.testing.simulation import SimulationSummary

FAULTS = "lost / repeated / disordered / not taken in"
SHARE_MIN = 0.5
"""Of an equal share: what the server that got least has to have taken in."""


class SeveralRow(msgspec.Struct, frozen=True):
    """One load on one gateway, counted by those who send and by the sink."""

    servers: int
    rate: float
    """Asked for, events a second; 0: as fast as the answers allow."""
    accepted: int
    refused: int
    """Answered otherwise, too late or not at all."""
    delivered: int
    lost: int
    duplicates: int
    disorder: int
    accepted_per_s: float
    delivered_per_s: float
    """Until the last one was there."""
    ack_p50_ms: float
    ack_p99_ms: float
    smallest_share: float
    """Of what was taken in, by the server that got least."""
    cpu_us: dict[str, float]
    """Program → CPU microseconds an event, all its processes."""


def several_row(
    rate: float, summary: SimulationSummary, before: dict[str, Any], after: dict[str, Any]
) -> SeveralRow:
    """What the Chatwoots and the sink tell; `before` and `after`: the sink's reports."""
    delivered = after["unique"] - before["unique"]
    return SeveralRow(
        servers=0,
        rate=rate,
        accepted=summary.accepted,
        refused=summary.sent - summary.accepted,
        delivered=delivered,
        lost=max(0, summary.accepted - delivered),
        duplicates=after["duplicates"] - before["duplicates"],
        disorder=after["disorder"] - before["disorder"],
        accepted_per_s=summary.accepted / summary.duration_s,
        delivered_per_s=0.0,
        ack_p50_ms=summary.ack_p50_ms,
        ack_p99_ms=summary.ack_p99_ms,
        smallest_share=0.0,
        cpu_us={},
    )


def several_aims(rows: list[SeveralRow]) -> list[Aim]:
    """No fault with any number of servers, and each of them does its part."""
    found = []
    for row in rows:
        name = f"{row.servers} server{'s' if row.servers > 1 else ''}, {speed(row.rate)}"
        faults = (row.lost, row.duplicates, row.disorder, row.refused)
        found.append(none_of(name, FAULTS, *faults))
        if row.servers > 1:
            equal = 1 / row.servers
            found.append(
                at_least(
                    f"{name}: smallest share of an equal one", row.smallest_share, equal, SHARE_MIN
                )
            )
    return found


def speed(rate: float) -> str:
    """A rate, for people."""
    return f"{rate:,.0f}/s" if rate else "all it takes"

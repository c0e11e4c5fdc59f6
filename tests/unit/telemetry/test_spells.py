"""An outage is said when it begins, when it changes, now and then, and when it is over."""

from comporta.telemetry.spells import AGAIN_S, Spell


class Lines:
    """Stands where a logger stands."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def error(self, event: str, **fields: object) -> None:
        self.said.append((event, fields["error"], fields["failures"]))

    def info(self, event: str, **fields: object) -> None:
        self.said.append((event, fields["failures"]))


def test_it_is_said_at_the_change_and_from_time_to_time() -> None:
    lines, now = Lines(), [100.0]
    spell = Spell(lines, "bad", "good", lambda: now[0])
    spell.worked()
    for _ in range(5):
        spell.failed(OSError("away"))
    spell.failed(OSError("refused"))
    now[0] += AGAIN_S
    spell.failed(OSError("refused"))
    spell.failed(OSError("refused"))
    spell.worked()
    spell.worked()
    spell.failed(OSError("refused"))
    assert lines.said == [
        ("bad", "away", 1),
        ("bad", "refused", 6),
        ("bad", "refused", 7),
        ("good", 8),
        ("bad", "refused", 1),
    ]

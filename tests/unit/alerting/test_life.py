"""Alerts open, are told once, repeated, acknowledged and resolved; whatever comes and goes."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from comporta.alerting import life
from comporta.alerting.life import ALERTS_MAX, CALM_MS, HOLD_MS, KEPT_MS, Cadence
from comporta.alerting.model import Alert, Finding, Kind, Notice, Severity

NOW_MS = 1_795_500_000_000
MINUTE_MS = 60_000
ALL = frozenset[Kind]()
CADENCE = Cadence(group_ms=30_000, repeat_ms=4 * 3_600_000, quiet=lambda _severity, _at: False)


def wrong(subject: str = "crm", kind: Kind = Kind.FAILING) -> Finding:
    return Finding(kind, subject, Severity.WARNING, {"percent": 30, "n": 50})


class Story:
    """Alerts on a moved clock, and one notifier."""

    def __init__(self, cadence: Cadence = CADENCE) -> None:
        self.alerts: list[Alert] = []
        self.now_ms, self.cadence = NOW_MS, cadence

    def look(
        self, *findings: Finding, after_ms: int = 0, unknown: frozenset[Kind] = ALL
    ) -> Notice | None:
        self.now_ms += after_ms
        self.alerts = life.step(self.alerts, findings, unknown, self.now_ms)
        notice = life.due(self.alerts, "ops", self.cadence, self.now_ms)
        if notice is not None:
            self.alerts = life.told(self.alerts, "ops", notice, self.now_ms)
        return notice


def names(alerts: Sequence[Alert]) -> list[str]:
    return [one.name for one in alerts]


def test_what_begins_together_is_told_at_once_and_only_once() -> None:
    story = Story()
    assert story.look(wrong("crm")) is None
    assert story.look(wrong("crm"), wrong("bot"), after_ms=20_000) is None
    notice = story.look(wrong("crm"), wrong("bot"), after_ms=10_000)
    assert notice is not None
    assert names(notice.opened) == ["failing:crm", "failing:bot"]
    assert story.look(wrong("crm"), wrong("bot"), after_ms=MINUTE_MS) is None


def test_what_may_pass_by_itself_has_to_last_before_it_is_told() -> None:
    story = Story()
    lag = wrong("", Kind.LAG)
    story.look(lag)
    story.look(after_ms=MINUTE_MS)
    story.look(lag, after_ms=MINUTE_MS)
    assert story.look(lag, after_ms=HOLD_MS[Kind.LAG] - 1) is None
    assert not any(one.is_open for one in story.alerts)
    story.look(lag, after_ms=1)
    assert story.look(lag, after_ms=CADENCE.group_ms) is not None


def test_an_open_one_is_told_again_until_somebody_acknowledges_it() -> None:
    story = Story()
    story.look(wrong())
    story.look(wrong(), after_ms=CADENCE.group_ms)
    assert story.look(wrong(), after_ms=CADENCE.repeat_ms - 1) is None
    notice = story.look(wrong(), after_ms=1)
    assert notice is not None
    assert names(notice.again) == ["failing:crm"]
    changed = life.acknowledged(story.alerts, "failing:crm", "cli:ana", story.now_ms)
    assert changed is not None
    story.alerts = changed
    assert story.look(wrong(), after_ms=2 * CADENCE.repeat_ms) is None
    end = story.look(after_ms=CALM_MS)
    assert end is not None
    assert names(end.resolved) == ["failing:crm"]
    assert end.resolved[0].acked_by == "cli:ana"


def test_what_is_not_open_cannot_be_acknowledged() -> None:
    assert life.acknowledged([], "lag", "cli:ana", NOW_MS) is None
    pending = life.step([], [wrong("", Kind.LAG)], ALL, NOW_MS)
    assert life.acknowledged(pending, "lag", "cli:ana", NOW_MS) is None


def test_what_comes_and_goes_is_one_alert() -> None:
    story = Story()
    story.look(wrong())
    story.look(wrong(), after_ms=CADENCE.group_ms)
    for _time in range(10):
        assert story.look(after_ms=CALM_MS - 1) is None
        assert story.look(wrong(), after_ms=1) is None
    assert len(story.alerts) == 1


def test_one_that_is_over_before_it_was_told_is_never_told() -> None:
    quiet = Cadence(0, CADENCE.repeat_ms, quiet=lambda severity, _at: severity is Severity.WARNING)
    story = Story(quiet)
    story.look(wrong())
    story.look(after_ms=CALM_MS)
    story.cadence = CADENCE
    assert story.look(after_ms=MINUTE_MS) is None
    assert [bool(one.resolved_at_ms) for one in story.alerts] == [True]


def test_in_quiet_hours_what_is_critical_is_told_and_the_rest_waits() -> None:
    quiet = Cadence(0, CADENCE.repeat_ms, quiet=lambda severity, _at: severity is Severity.WARNING)
    story = Story(quiet)
    critical = Finding(Kind.DISK, "a", Severity.CRITICAL, {"mib": 3})
    notice = story.look(critical, wrong())
    assert notice is not None
    assert names(notice.opened) == ["disk:a"]
    story.cadence = CADENCE
    morning = story.look(critical, wrong(), after_ms=CADENCE.group_ms)
    assert morning is not None
    assert names(morning.opened) == ["failing:crm"]


def test_what_could_not_be_looked_at_stays_as_it_was() -> None:
    story = Story()
    story.look(wrong())
    story.look(after_ms=10 * CALM_MS, unknown=frozenset({Kind.FAILING}))
    assert story.alerts[0].is_open
    story.look(after_ms=CALM_MS)
    assert not story.alerts[0].is_open


def test_a_notifier_is_not_told_of_its_own_failure_but_the_others_are() -> None:
    alerts = life.step([], [wrong("ops", Kind.NOTIFIER)], ALL, NOW_MS)
    assert life.due(alerts, "ops", CADENCE, NOW_MS + MINUTE_MS) is None
    assert life.due(alerts, "mail", CADENCE, NOW_MS + MINUTE_MS) is not None


def test_an_acknowledgement_made_meanwhile_is_kept() -> None:
    ours = life.step([], [wrong("crm"), wrong("bot")], ALL, NOW_MS)
    stored = life.acknowledged(ours, "failing:crm", "cli:ana", NOW_MS)
    assert stored is not None
    merged = life.merged(stored, ours)
    assert [one.acked_by for one in merged] == ["cli:ana", ""]


def test_no_more_alerts_are_kept_than_the_bound_and_none_for_ever() -> None:
    many = [wrong(str(number)) for number in range(ALERTS_MAX + 5)]
    alerts = life.step([], many, ALL, NOW_MS)
    assert len(alerts) == ALERTS_MAX
    over = life.step(alerts, [], ALL, NOW_MS + CALM_MS)
    assert len(life.step(over, many[-10:], ALL, NOW_MS + CALM_MS)) == ALERTS_MAX
    assert life.step(over, [], ALL, NOW_MS + CALM_MS + KEPT_MS) == []


looks = st.lists(
    st.tuples(st.sets(st.sampled_from(["a", "b", "c"])), st.integers(1, 5 * MINUTE_MS)), max_size=60
)


@given(looks)
def test_whatever_comes_and_goes_each_is_opened_and_ended_in_turn(
    looks: list[tuple[set[str], int]],
) -> None:
    story, said = Story(), dict[str, bool]()
    for found, after_ms in looks:
        notice = story.look(*(wrong(one) for one in sorted(found)), after_ms=after_ms)
        for one in notice.opened if notice else ():
            assert not said.get(one.name)
            said[one.name] = True
        for one in notice.resolved if notice else ():
            assert said[one.name]
            said[one.name] = False
        open_names = [one.name for one in story.alerts if one.is_open]
        assert len(open_names) == len(set(open_names))

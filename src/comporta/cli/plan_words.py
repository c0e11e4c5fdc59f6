"""A plan as titles and values: what `comporta plan` prints first."""

from comporta.cli.summaries import Lines
from comporta.deploy.answers import Answer
from comporta.deploy.plan import Phase
from comporta.i18n import _, plural

_NAMES = {
    "redis": "Redis",
    "rabbitmq": "RabbitMQ",
    "kafka": "Kafka",
    "postgresql": "PostgreSQL",
}
_DAY_MS = 86_400_000


def lines(found: Answer, now_ms: int) -> Lines:
    """The plan as titles and values."""
    plan, asked = found.plan, found.asked
    servers = plural(
        "{count} server with {cpus} CPUs and {memory} GiB",
        "{count} servers, each with {cpus} CPUs and {memory} GiB",
        plan.servers,
    ).format(count=plan.servers, cpus=asked.cpus, memory=f"{asked.memory_gib:g}")
    return [
        (_("Phase"), f"{plan.phase}: {_phase(plan.phase)}"),
        (_("Servers"), servers),
        (_("Workers on each"), plan.workers),
        (_("Log"), engine(plan.log)),
        (_("Ledger"), engine(plan.ledger)),
        (_("State"), engine(plan.state)),
        (_("Partitions"), plan.partitions),
        (_("Load"), _load(found)),
        (_("Capacity"), _capacity(found, now_ms)),
        (_("Of that, at the peak"), _share(found)),
        (_("Memory needed on each"), f"{found.memory_needed_gib:.1f} GiB"),
        (_("Disk a day"), _size(found.disk_a_day_bytes)),
        (_("Disk in the end"), _kept(found)),
    ]


def _phase(phase: Phase) -> str:
    match phase:
        case 1:
            return _("one server")
        case 2:
            return _("one server with more workers")
        case 3:
            return _("several servers behind nginx or HAProxy")
        case 4:
            return _("several servers and a broker")


def engine(name: str) -> str:
    """An engine's name as people know it."""
    return _NAMES.get(name) or _("a file (SQLite)")


def _load(found: Answer) -> str:
    words = _("{mean} events a second on average, {peak} in the busiest minute, {day} a day")
    return words.format(
        mean=_rate(found.asked.events_a_second),
        peak=_rate(found.peak_per_s),
        day=f"{found.events_a_day:.0f}",
    )


def _rate(per_s: float) -> str:
    return f"{per_s:.0f}" if per_s >= 100 else f"{per_s:.3g}"  # noqa: PLR2004


def _capacity(found: Answer, now_ms: int) -> str:
    each = _("{rate} events a second on each server").format(rate=f"{found.server_per_s:.0f}")
    return f"{each} ({_source(found, now_ms)})"


def _source(found: Answer, now_ms: int) -> str:
    if not found.measured:
        return _("shipped figures, not measured here")
    days = max(0, now_ms - found.figures.at_ms) // _DAY_MS
    if not days:
        return _("measured here today")
    age = plural("measured here {count} day ago", "measured here {count} days ago", days)
    return age.format(count=days)


def _share(found: Answer) -> str:
    if found.share_one_away is None:
        return f"{found.share:.1%}"
    words = _("{share}; {away} while one server is away")
    return words.format(share=f"{found.share:.1%}", away=f"{found.share_one_away:.1%}")


def _kept(found: Answer) -> str:
    words = _("{size} (bodies for {bodies} days, the rest for {rest})")
    return words.format(
        size=_size(found.disk_kept_bytes),
        bodies=found.asked.keep_days,
        rest=max(found.asked.keep_days, found.asked.keep_events_days),
    )


def _size(size_bytes: float) -> str:
    gib = size_bytes / 1024**3
    return f"{gib:.1f} GiB" if gib >= 1 else f"{size_bytes / 1024**2:.0f} MiB"

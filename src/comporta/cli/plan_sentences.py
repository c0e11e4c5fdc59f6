"""What is said below a plan: what does not fit, who was followed and why, and what comes next."""

from comporta.cli.plan_words import engine
from comporta.deploy import capacity
from comporta.deploy.answers import Answer
from comporta.deploy.guide import workers_of
from comporta.deploy.shipped import ENGINE_COST
from comporta.domain.partitioning import PARTITIONS_MAX
from comporta.i18n import _


def sentences(found: Answer) -> list[str]:
    """What has to be said beside the numbers, the most important first."""
    said = [
        _too_much(found),
        _memory(found),
        _table_and_load(found),
        _alone(found),
        _workers(found),
        _scaled(found),
        _engines(found),
        _next(found),
    ]
    return [sentence for sentence in said if sentence]


def _too_much(found: Answer) -> str:
    if found.fits:
        return ""
    words = _(
        "This does not fit: more than {servers} servers with {workers} workers each would have "
        "nothing to do, for a log has at most {partitions} partitions. Take servers with more "
        "CPUs, or split the instances over {gateways} gateways of their own, each with its own "
        "log, ledger and state."
    )
    return words.format(
        servers=found.plan.servers,
        workers=found.plan.workers,
        partitions=PARTITIONS_MAX,
        gateways=found.gateways,
    )


def _memory(found: Answer) -> str:
    if found.memory_needed_gib > found.asked.memory_gib:
        words = _("The memory is too little: give each server {needed} GiB.")
        return words.format(needed=f"{found.memory_needed_gib:.1f}")
    wanted = workers_of(found.asked.cpus)
    full_gib = capacity.memory_needed_gib(found.figures, wanted)
    if full_gib <= found.asked.memory_gib:
        return ""
    words = _(
        "For so many CPUs the guide's table says {wanted} workers, but the memory has no room for "
        "them: that takes {needed} GiB."
    )
    return words.format(wanted=wanted, needed=f"{full_gib:.1f}")


def _table_and_load(found: Answer) -> str:
    table, load, plan = found.table_phase, found.load_phase, found.plan.phase
    if table == load:
        return ""
    source = _("the measurement") if found.measured else _("the load by shipped figures")
    names = {"table": table, "load": load, "plan": plan, "source": source}
    said = _("The guide's table says phase {table} for so many instances, {source} phase {load}.")
    return f"{said.format(**names)} {_why(found).format(**names)}"


def _why(found: Answer) -> str:
    table, load = found.table_phase, found.load_phase
    if load > table:
        return _("The plan follows the load: fewer would not carry it.")
    if table == 3:  # noqa: PLR2004
        return _(
            "The plan follows the table: what the second server is for is not speed, but the day "
            "the first one is lost or restarted; a Chatwoot does not send again."
        )
    if table == 4:  # noqa: PLR2004
        return _(
            "The plan follows the table: what a broker is for is not speed, for it takes more CPU "
            "than Redis, but copies on several machines, and queues that can be operated."
        )
    if found.measured:
        return _("The plan follows the measurement: phases 1 and 2 differ in speed only.")
    return _("The plan follows the table until you measure: comporta bench --save")


def _alone(found: Answer) -> str:
    if found.plan.servers > 1:
        return ""
    return _(
        "One server is enough for the load, and all there is: while it is away, what account "
        "webhooks would have sent is lost, for a Chatwoot does not send again."
    )


def _workers(found: Answer) -> str:
    """Where more workers took in no more than one, on the machine that was measured."""
    figures = found.figures
    if (
        not found.measured
        or figures.workers == 1
        or figures.new_per_s > figures.new_one_worker_per_s
    ):
        return ""
    words = _(
        "Here {workers} workers took in no more than one did ({many} and {one} events a second). "
        "The plan follows the table: when one worker ends, another goes on."
    )
    return words.format(
        workers=figures.workers,
        many=f"{figures.new_per_s:.0f}",
        one=f"{figures.new_one_worker_per_s:.0f}",
    )


def _scaled(found: Answer) -> str:
    there, here = found.figures.machine.cpus, found.asked.cpus
    if there == here:
        return ""
    words = _("The capacity is an estimate: it was measured with {there} CPUs, and is for {here}.")
    said = words.format(there=there, here=here)
    most = there * capacity.SCALED_MAX
    if here > most:
        words = _("More than {most} are not counted: what comes in shares files and servers.")
        said += " " + words.format(most=most)
    return said


def _engines(found: Answer) -> str:
    cost = ENGINE_COST[found.plan.log]
    if found.plan.log == "sqlite":
        return ""
    words = _(
        "With {log} and PostgreSQL an event is taken to cost the gateway {cost} times the CPU "
        "that it costs with files. They run on machines of their own: at the peak {log} needs "
        "{log_cpus} CPUs on each node, and PostgreSQL {ledger_cpus}. These are shipped figures."
    )
    return words.format(
        log=engine(found.plan.log),
        cost=f"{cost:g}",
        log_cpus=_cpus(found.log_cpus),
        ledger_cpus=_cpus(found.ledger_cpus),
    )


def _cpus(needed: float) -> str:
    """A little is said to be 0.1, for nothing would be wrong."""
    return f"{max(0.1, needed):.1f}"


def _next(found: Answer) -> str:
    coming = found.next
    if coming is None or not found.fits:
        return ""
    words = _("At about {instances} instances like these, {step} ({because}).")
    because = _("by the guide's table") if coming.because == "table" else _("by load")
    return words.format(instances=coming.instances, step=_step(found), because=because)


def _step(found: Answer) -> str:
    coming, now = found.next, found.plan
    if coming is None:
        return ""
    if coming.servers > capacity.servers_max(coming.workers):
        return _("split the instances over two gateways")
    if coming.log != now.log and now.log == "sqlite":
        words = _(
            "go to several servers: the log on {log}, the ledger on PostgreSQL, the state on Redis"
        )
        return words.format(log=engine(coming.log))
    if coming.log != now.log:
        return _("move the log to {log}").format(log=engine(coming.log))
    if coming.servers != now.servers:
        return _("add a server: {count} in all").format(count=coming.servers)
    return _("run {count} workers").format(count=coming.workers)

"""Makes a site from what a person typed, or refuses it in words.

Whatever is typed passes through here before it reaches a template, against patterns so strict that
nothing can end a line of configuration. Pure: nothing is looked up, no file is touched.
"""

import math
from collections.abc import Sequence
from typing import Final

from comporta.deploy.names import a_domain, a_network, a_server
from comporta.deploy.plan import Plan
from comporta.deploy.site import PORT, Places, Server, Site
from comporta.domain.partitioning import PARTITIONS_MAX
from comporta.errors import ConfigError
from comporta.i18n import _

SERVERS_MAX: Final = 99
WORKERS_MAX: Final = 256
INSTANCES_MAX: Final = 100_000
DAYS_MAX: Final = 3650
MEMORY_GIB_MAX: Final = 4096
NETWORKS_MAX: Final = 100


def site(  # noqa: PLR0913  (one parameter a fact)
    plan: Plan,
    domain: str,
    servers: Sequence[str] = (),
    behind: Sequence[str] = (),
    places: Places = Places(),  # noqa: B008  (frozen)
    *,
    addressed: bool = True,
) -> Site:
    """A site from what a person typed.

    Args:
        plan: what to run.
        domain: the name that Chatwoot calls, "" where no file needs it.
        servers: `NAME=HOST` or `NAME=HOST:PORT`; for one server none means this machine.
        behind: addresses and networks in front of the balancer.
        addressed: whether servers are machines, whose addresses must be known.
        places: on the balancer's machine; not a person's to type, so not checked.

    Raises:
        ConfigError: something cannot stand in a configuration file, or does not fit the plan.
    """
    check_plan(plan)
    if len(behind) > NETWORKS_MAX:
        said = _("There are more than {limit} networks in front; name wider ones.")
        raise ConfigError(said.format(limit=NETWORKS_MAX))
    return Site(
        plan,
        a_domain(domain) if domain else "",
        _servers(plan, servers, addressed=addressed),
        tuple(dict.fromkeys(a_network(one) for one in behind)),
        places,
    )


def check_plan(plan: Plan) -> None:
    """Refuse a plan that no files can be written for; a file may have been edited by hand.

    Raises:
        ConfigError: a figure is out of bounds, or several servers would share nothing.
    """
    for name, value, most in (
        ("instances", plan.instances, INSTANCES_MAX),
        ("servers", plan.servers, SERVERS_MAX),
        ("workers", plan.workers, WORKERS_MAX),
        ("partitions", plan.partitions, PARTITIONS_MAX),
        ("keep_bodies_days", plan.keep_bodies_days, DAYS_MAX),
        ("memory_gib", plan.memory_gib, MEMORY_GIB_MAX),
    ):
        if not (math.isfinite(value) and 0 < value <= most):
            said = _("The plan's {name} must be more than 0 and at most {limit}, not {value}.")
            raise ConfigError(said.format(name=name, limit=most, value=value))
    if plan.servers > 1 and "sqlite" in {plan.log, plan.ledger, plan.state}:
        said = _(
            "The plan has {servers} servers, and its {what} is a file of one of them. Several "
            "servers share log, ledger and state: plan again with comporta plan."
        )
        what = next(one for one in ("log", "ledger", "state") if getattr(plan, one) == "sqlite")
        raise ConfigError(said.format(servers=plan.servers, what=what))


def _servers(plan: Plan, given: Sequence[str], *, addressed: bool) -> tuple[Server, ...]:
    """The servers by name, as many as the plan has."""
    if not given and (plan.servers == 1 or not addressed):
        return tuple(Server(f"server-{n + 1}", "127.0.0.1", PORT + n) for n in range(plan.servers))
    if len(given) != plan.servers:
        said = _(
            "The plan has {wanted} servers, and {given} are named. Name each as NAME=HOST or "
            "NAME=HOST:PORT, like this: {example}"
        )
        example = " ".join(f"--server server-{n}=10.0.0.{10 + n}" for n in range(1, 3))
        raise ConfigError(said.format(wanted=plan.servers, given=len(given), example=example))
    servers = tuple(Server(*a_server(one, PORT)) for one in given)
    for what, values in (
        (_("name"), [one.name for one in servers]),
        (_("address"), [one.address for one in servers]),
    ):
        twice = next((one for one in values if values.count(one) > 1), None)
        if twice is not None:
            said = _("Two servers have the same {what}, {value}; each needs its own.")
            raise ConfigError(said.format(what=what, value=twice))
    return servers

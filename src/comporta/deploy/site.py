"""A site: the plan, and the names, addresses and folders that its files are written for.

Whatever a person typed passes through here before it reaches a template, against patterns so strict
that nothing can end a line of configuration. Pure: nothing is looked up, no file is touched.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from comporta.deploy.names import a_domain, a_network, a_server
from comporta.deploy.plan import Plan
from comporta.domain.partitioning import PARTITIONS_MAX
from comporta.errors import ConfigError
from comporta.i18n import _

PORT: Final = 8001
SERVERS_MAX: Final = 99
WORKERS_MAX: Final = 256
INSTANCES_MAX: Final = 100_000
DAYS_MAX: Final = 3650
MEMORY_GIB_MAX: Final = 4096
NETWORKS_MAX: Final = 100
LEAVE_S: Final = 6
"""How long a server still answers once it has said that it leaves: above all waits of balancers."""


class Server(msgspec.Struct, frozen=True):
    """One machine that runs `comporta serve`."""

    name: str
    """Its COMPORTA_SERVER."""
    host: str
    """How the balancer reaches it: a name or an address, without brackets."""
    port: int = PORT

    @property
    def address(self) -> str:
        """`10.0.0.11:8001`, `[fd00::11]:8001`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Places(msgspec.Struct, frozen=True):
    """Where the balancer listens and keeps its files; the defaults are those of Debian."""

    http_port: int = 80
    https_port: int = 443
    tls: str = ""
    """The certificate: a folder for nginx, a file for HAProxy; "" for the usual one."""
    logs: str = "/var/log/nginx"
    run: str = "/run/haproxy"


class Site(msgspec.Struct, frozen=True):
    """All that a template may use. Make it with `site`, which checks it."""

    plan: Plan
    domain: str
    """The name that Chatwoot calls."""
    servers: tuple[Server, ...]
    behind: tuple[str, ...] = ()
    """Networks in front of the balancer whose X-Forwarded-For is believed."""
    places: Places = Places()

    @property
    def several(self) -> bool:
        """Whether there is more than one server."""
        return len(self.servers) > 1

    @property
    def leave_s(self) -> int:
        """COMPORTA_LEAVE_S: there is nobody to go over to if there is one server."""
        return LEAVE_S if self.several else 0

    @property
    def answer_ms(self) -> int:
        """How long a balancer waits for an answer.

        With a second for each of one or two connections that is less than Chatwoot's 5 s.
        """
        return 2900 if self.several else 3900

    @property
    def connections(self) -> int:
        """Calls at once that the plan's Chatwoots can make from one address, twice over.

        A Chatwoot has ten threads a process, and a host of many may be behind one address.
        """
        return max(500, 20 * self.plan.instances)


def site(
    plan: Plan,
    domain: str,
    servers: Sequence[str] = (),
    behind: Sequence[str] = (),
    places: Places = Places(),  # noqa: B008  (frozen)
) -> Site:
    """A site from what a person typed.

    Args:
        plan: what to run.
        domain: the name that Chatwoot calls, "" where no file needs it.
        servers: `NAME=HOST` or `NAME=HOST:PORT`; for one server none means this machine.
        behind: addresses and networks in front of the balancer.
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
        _servers(plan, servers),
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


def _servers(plan: Plan, given: Sequence[str]) -> tuple[Server, ...]:
    """The servers by name, as many as the plan has."""
    if not given and plan.servers == 1:
        return (Server("server-1", "127.0.0.1"),)
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

"""A site: the plan, and the names, addresses and folders that its files are written for.

What templates need to know beyond that is worked out here. `comporta.deploy.checked` makes a site.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from comporta.deploy.names import is_address
from comporta.deploy.plan import Plan

PORT: Final = 8001
EVENTS_DAYS: Final = 30
"""The default of keep_events_days, which must not be less than keep_bodies_days."""
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
        return _joined(self.host, self.port)

    @property
    def listens_host(self) -> str:
        """Its own address; all of them if it is known by a name."""
        return self.host if is_address(self.host) else "0.0.0.0"  # noqa: S104  (a firewall's work)

    @property
    def listens(self) -> str:
        """Where it listens, with its port."""
        return _joined(self.listens_host, self.port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Places(msgspec.Struct, frozen=True):
    """Where programs listen and keep their files; the defaults are those of Debian."""

    http_port: int = 80
    https_port: int = 443
    tls: str = ""
    """The certificate: a folder for nginx, a file for HAProxy; "" for the usual one."""
    logs: str = "/var/log/nginx"
    run: str = "/run/haproxy"
    home: str = "/opt/comporta"
    """Where Comporta is installed, on a server."""


class Site(msgspec.Struct, frozen=True):
    """All that a template may use. Make it with `checked.site`."""

    plan: Plan
    domain: str
    """The name that Chatwoot calls."""
    servers: tuple[Server, ...]
    behind: tuple[str, ...] = ()
    """Networks in front of the balancer whose X-Forwarded-For is believed."""
    places: Places = Places()
    uid: int = 10001
    """Of the user in a container, who has no name outside of it."""

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
    def stop_s(self) -> int:
        """How long a server may take to end: it leaves, and drains intake and then deliveries."""
        return self.leave_s + 40

    @property
    def memory_mib(self) -> int:
        """What the gateway may take of each server: three quarters."""
        return round(self.plan.memory_gib * 1024 * 0.75)

    @property
    def engines(self) -> tuple[str, ...]:
        """Server programs that the plan needs and that can be started beside the gateway."""
        used = {self.plan.log, self.plan.ledger, self.plan.state}
        names = {"redis": "redis", "postgresql": "postgres", "rabbitmq": "rabbitmq"}
        return tuple(name for engine, name in names.items() if engine in used)

    @property
    def secret(self) -> bool:
        """Whether there are URLs with passwords."""
        return {self.plan.log, self.plan.ledger, self.plan.state} != {"sqlite"}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What `make-secrets.sh` makes, by name."""
        files = {
            "redis": "redis_acl",
            "postgres": "postgres_password",
            "rabbitmq": "rabbitmq_conf",
        }
        ours = ("comporta_settings", "comporta_key") if self.secret else ()
        return (*ours, *(files[engine] for engine in self.engines))

    @property
    def ledger_connections(self) -> int:
        """What PostgreSQL has to allow: nine for each process of the gateway, some for people."""
        return len(self.servers) * self.plan.workers * 2 * 9 + 20

    @property
    def dispatch_max(self) -> int:
        """How many pods can deliver at once: each of their workers needs a partition."""
        return max(len(self.servers), self.plan.partitions // self.plan.workers)

    @property
    def ledger_connections_scaled(self) -> int:
        """The same where deliveries have pods of their own, and as many as there may be."""
        taking_in = len(self.servers) * self.plan.workers
        return (taking_in + self.dispatch_max * self.plan.workers * 2) * 9 + 20

    @property
    def environment(self) -> Mapping[str, str]:
        """Settings without secrets, the same for all servers."""
        days = self.plan.keep_bodies_days
        found = {
            "COMPORTA_PUBLIC_URL": f"https://{self.domain}",
            "COMPORTA_PARTITIONS": str(self.plan.partitions),
            "COMPORTA_KEEP_BODIES_DAYS": str(days),
        }
        if days > EVENTS_DAYS:
            found["COMPORTA_KEEP_EVENTS_DAYS"] = str(days)
        if self.several:
            found["COMPORTA_LEAVE_S"] = str(self.leave_s)
        return found

    @property
    def connections(self) -> int:
        """Calls at once that the plan's Chatwoots can make from one address, twice over.

        A Chatwoot has ten threads a process, and a host of many may be behind one address.
        """
        return max(500, 20 * self.plan.instances)

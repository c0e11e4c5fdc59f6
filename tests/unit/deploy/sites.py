"""Plans and sites that the tests of this folder share: each engine, one server and several."""

from comporta.deploy.checked import site
from comporta.deploy.kinds import ADDRESSED, Kind
from comporta.deploy.plan import LedgerEngine, LogEngine, Plan, StateEngine
from comporta.deploy.site import Places, Site

DOMAIN = "hooks.example.com"
FRONT = ("10.0.0.0/24", "fd00::/64", "192.0.2.7")


def plan(
    servers: int = 1,
    log: LogEngine = "sqlite",
    ledger: LedgerEngine = "sqlite",
    state: StateEngine = "sqlite",
) -> Plan:
    phase = {1: 1, 2: 3, 3: 4}[servers]
    return Plan(phase, 30, servers, 4, log, ledger, state, 16, 90, 8.0)  # type: ignore[arg-type]


PLANS = {
    "one": plan(),
    "one-with-redis": plan(1, "redis", "postgresql", "redis"),
    "two-redis": plan(2, "redis", "postgresql", "redis"),
    "three-rabbitmq": plan(3, "rabbitmq", "postgresql", "redis"),
    "three-kafka": plan(3, "kafka", "postgresql", "redis"),
}


def site_of(kind: Kind, of: Plan, behind: tuple[str, ...] = (), **places: object) -> Site:
    named = [f"server-{n + 1}=10.0.0.{n + 11}" for n in range(of.servers)]
    return site(
        of,
        DOMAIN,
        named if kind in ADDRESSED else (),
        behind,
        Places(**places),  # type: ignore[arg-type]
        addressed=kind in ADDRESSED,
    )


def combinations() -> list[tuple[str, Kind]]:
    """Every plan with every kind that is for it."""
    return [
        (name, kind)
        for name, one in PLANS.items()
        for kind in Kind
        if kind is not Kind.CADDY or one.servers == 1
    ]

"""The ready files in `deploy/` of the repository: `python -m comporta.deploy.examples deploy`.

A test fails if they are not what this module makes of the templates.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from comporta.deploy.checked import site
from comporta.deploy.kinds import ADDRESSED, Kind
from comporta.deploy.plan import Plan
from comporta.deploy.render import files
from comporta.deploy.writing import write

DOMAIN: Final = "hooks.example.com"
_ONE: Final = Plan(1, 5, 1, 2, "sqlite", "sqlite", "sqlite", 16, 7, 4.0)
_TWO: Final = Plan(3, 30, 2, 4, "redis", "postgresql", "redis", 16, 7, 8.0)
_THREE: Final = Plan(4, 80, 3, 4, "rabbitmq", "postgresql", "redis", 32, 7, 16.0)
PLANS: Final[Mapping[str, tuple[Plan, tuple[Kind, ...]]]] = {
    "one-server": (
        _ONE,
        (Kind.CADDY, Kind.NGINX, Kind.HAPROXY, Kind.SYSTEMD, Kind.COMPOSE, Kind.DOCKERFILE),
    ),
    "two-servers": (
        _TWO,
        (Kind.NGINX, Kind.HAPROXY, Kind.SYSTEMD, Kind.COMPOSE, Kind.SWARM, Kind.KUBERNETES),
    ),
    "three-servers-rabbitmq": (_THREE, (Kind.SWARM, Kind.KUBERNETES)),
}


def examples() -> dict[str, str]:
    """Path → text of all of them, in English."""
    found = {}
    for name, (plan, kinds) in PLANS.items():
        for kind in kinds:
            addressed = kind in ADDRESSED and plan.servers > 1
            named = [f"server-{n + 1}=10.0.0.{n + 11}" for n in range(plan.servers)]
            wanted = site(plan, DOMAIN, named if addressed else (), addressed=addressed)
            for path, text in files(kind, wanted, "en").items():
                found[f"{name}/{kind}/{path}"] = text
    return found


if __name__ == "__main__":
    write(Path(sys.argv[1]), examples(), force=True)

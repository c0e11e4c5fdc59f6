"""`comporta deploy`: the files for nginx, systemd and the like, made from a plan."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.machine import this_machine
from comporta.deploy.checked import site
from comporta.deploy.guide import workers_of
from comporta.deploy.kinds import ADDRESSED, Kind
from comporta.deploy.plan import Plan
from comporta.deploy.plan_file import read_plan
from comporta.deploy.render import files
from comporta.deploy.steps import steps
from comporta.deploy.writing import Written, write
from comporta.i18n import _, current

INSTANCES: Final = 5
"""Without a plan: what one server is good for by the scaling guide, and what several are."""
SEVERAL_INSTANCES: Final = 30
PARTITIONS: Final = 16
KEEP_DAYS: Final = 7


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(deploy)


KindOption = Annotated[Kind, typer.Argument(metavar="KIND", help=_("What the files are for."))]
To = Annotated[Path, typer.Option("--to", metavar="FOLDER", help=_("Where to write them."))]
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help=_("What comporta plan --save has written. Default: one for this machine."),
    ),
]


def deploy(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    kind: KindOption,
    to: To,
    plan: PlanFile = None,
    domain: Annotated[
        str, typer.Option(metavar="NAME", help=_("The name that Chatwoot calls."))
    ] = "",
    server: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=HOST[:PORT]", help=_("A server of the plan. Repeatable.")),
    ] = None,
    behind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS/NET",
            help=_("What stands in front, and is believed about who calls. Repeatable."),
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help=_("Replace files that say something else."))
    ] = False,
) -> None:
    """Write the files of a deployment.

    For nginx or HAProxy in front, and for systemd, Docker or Kubernetes to run the servers. They
    are complete and commented, and hold no passwords. Without a plan: for one server with as many
    workers as this machine has CPUs for, or for the servers that you name.
    """
    named = server or []
    addressed = kind in ADDRESSED
    wanted = site(_plan(plan, len(named)), domain, named, behind or [], addressed=addressed)
    done = write(to, files(kind, wanted, current()), force=force)
    _tell(desk, done, steps(kind, wanted, shlex.quote(str(to))), to)


def _plan(file: Path | None, servers: int) -> Plan:
    """The plan of the file, or one for this machine and as many servers as were named."""
    if file is not None:
        return read_plan(file)
    here = this_machine()
    several = servers > 1
    return Plan(
        phase=3 if several else 1,
        instances=SEVERAL_INSTANCES if several else INSTANCES,
        servers=max(servers, 1),
        workers=workers_of(here.cpus),
        log="redis" if several else "sqlite",
        ledger="postgresql" if several else "sqlite",
        state="redis" if several else "sqlite",
        partitions=PARTITIONS,
        keep_bodies_days=KEEP_DAYS,
        memory_gib=here.memory_gib,
    )


def _tell(desk: Desk, done: Mapping[str, Written], after: Sequence[str], to: Path) -> None:
    """What was written, and what to do with it."""
    words = {
        Written.NEW: _("written"),
        Written.SAME: _("is so already"),
        Written.REPLACED: _("replaced"),
    }
    data = {
        "folder": str(to),
        "files": [{"path": path, "outcome": str(outcome)} for path, outcome in done.items()],
        "next": list(after),
    }
    lines = [f"{to / path}: {words[outcome]}" for path, outcome in done.items()]
    lines += ["", _("Read them through, then, as root:"), *(f"  {one}" for one in after)]
    desk.screen.result(data, "\n".join(lines))

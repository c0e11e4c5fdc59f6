"""What `comporta plan` was given on the command line, and asking a person for the rest."""

import msgspec
import typer

from comporta.cli.screen import clean
from comporta.deploy import load
from comporta.deploy.figures import Machine
from comporta.deploy.load import problem_with
from comporta.i18n import _


class Given(msgspec.Struct, frozen=True):
    """The options of `comporta plan`; None where nothing was said."""

    instances: int | None
    conversations_a_day: int | None
    events_a_second: float | None
    peak_factor: float | None
    cpus: int | None
    memory_gib: float | None
    keep_days: int | None

    def check(self) -> None:
        """Everything is within its bounds.

        Raises:
            typer.BadParameter: something is not, or load was given twice.
        """
        for name, value in msgspec.structs.asdict(self).items():
            problem = "" if value is None else problem_with(name, value)
            if problem:
                raise typer.BadParameter(f"--{name.replace('_', '-')}: {problem}")
        if self.conversations_a_day is not None and self.events_a_second is not None:
            raise typer.BadParameter(
                _("Give either --conversations-a-day or --events-a-second, not both.")
            )


def ask(given: Given, here: Machine, keep_days: int) -> Given:
    """The same, with what the person answers; `keep_days` is what is usual."""
    instances = _number("instances", _("Chatwoot installations"), None)
    usual = instances * load.CONVERSATIONS_A_DAY
    conversations = _number("conversations_a_day", _("Conversations a day, over all"), usual)
    peak = given.peak_factor or _number(
        "peak_factor", _("Busiest minute over the average"), load.PEAK_FACTOR
    )
    cpus = given.cpus or _number("cpus", _("CPUs of each server"), here.cpus)
    memory = given.memory_gib or _number(
        "memory_gib", _("Memory of each server, in GiB"), here.memory_gib
    )
    days = given.keep_days or _number("keep_days", _("Days for which bodies are kept"), keep_days)
    return msgspec.structs.replace(
        given,
        instances=int(instances),
        conversations_a_day=int(conversations),
        peak_factor=peak,
        cpus=int(cpus),
        memory_gib=memory,
        keep_days=int(days),
    )


def _number(name: str, question: str, usual: float | None) -> float:
    """Ask until the answer is a number within its bounds; Ctrl-C ends it."""
    shown = None if usual is None else f"{usual:g}"
    whole = name in {"instances", "conversations_a_day", "cpus", "keep_days"}
    while True:
        answer: str = typer.prompt(question, default=shown)
        try:
            value = float(int(answer)) if whole else float(answer.replace(",", "."))
        except ValueError:
            typer.echo(_("{text} is not a number.").format(text=clean(answer)), err=True)
            continue
        if problem := problem_with(name, value):
            typer.echo(f"{answer}: {problem}.", err=True)
            continue
        return value

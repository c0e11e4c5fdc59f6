"""`comporta plan`: what to run for so many Chatwoots, and when to run something else."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from comporta.cli import plan_sentences, plan_words
from comporta.cli.bench_file import saved_figures
from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.machine import this_machine
from comporta.cli.plan_asking import Given, ask
from comporta.cli.summaries import listed
from comporta.deploy import load, shipped
from comporta.deploy.figures import Figures, Machine
from comporta.deploy.load import Asked
from comporta.deploy.plan_file import write_plan
from comporta.deploy.planner import answer
from comporta.i18n import _

INSTANCES = 5
"""Where nothing is said and nobody can be asked."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(plan)


def plan(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    instances: Annotated[
        int | None, typer.Option(metavar="N", help=_("How many Chatwoot installations."))
    ] = None,
    conversations_a_day: Annotated[
        int | None, typer.Option(metavar="N", help=_("Conversations a day, over all of them."))
    ] = None,
    events_a_second: Annotated[
        float | None,
        typer.Option(metavar="X", help=_("Instead: events a second on average, over all of them.")),
    ] = None,
    peak_factor: Annotated[
        float | None,
        typer.Option(metavar="X", help=_("The busiest minute over the average. Default: 5.")),
    ] = None,
    cpus: Annotated[
        int | None,
        typer.Option(metavar="N", help=_("CPUs of each server. Default: this machine's.")),
    ] = None,
    memory_gib: Annotated[
        float | None,
        typer.Option(
            metavar="X", help=_("Memory of each server, in GiB. Default: this machine's.")
        ),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option(metavar="N", help=_("For how many days bodies are kept. Default: 7.")),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=_("Keep the plan, for: comporta deploy --plan FILE")),
    ] = None,
) -> None:
    """Say what to run for so many Chatwoots.

    Phase, servers, workers, engines, disk, how much of that the load takes, and when the next step
    is due. What a server can do is taken from `comporta bench --save`, or from figures that are
    shipped. Without options you are asked.
    """
    given = Given(
        instances, conversations_a_day, events_a_second, peak_factor, cpus, memory_gib, keep_days
    )
    given.check()
    here = this_machine()
    nothing = instances is conversations_a_day is events_a_second is None
    if nothing and desk.screen.interactive:
        given = ask(given, here, _usual("keep_bodies_days"))
    asked = _asked(given, here)
    figures, doubt = _figures(here)
    found = answer(asked, figures, measured=figures is not shipped.FIGURES)
    said = [*_assumed(given), *([doubt] if doubt else ()), *plan_sentences.sentences(found)]
    if save is not None:
        write_plan(save, found.plan)
        desk.screen.note(_("The plan is in {file}.").format(file=save))
    data = {**msgspec.to_builtins(found), "notes": said}
    lines = listed(plan_words.lines(found, desk.now_ms()))
    desk.screen.result(data, "\n\n".join((lines, *said)))


def _asked(given: Given, here: Machine) -> Asked:
    """What is asked for, with defaults in place of what is not said."""
    instances = given.instances or INSTANCES
    conversations = given.conversations_a_day or instances * load.CONVERSATIONS_A_DAY
    return Asked(
        instances=instances,
        events_a_second=given.events_a_second or load.events_a_second(conversations),
        peak_factor=given.peak_factor or load.PEAK_FACTOR,
        cpus=given.cpus or here.cpus,
        memory_gib=given.memory_gib or here.memory_gib,
        keep_days=given.keep_days or _usual("keep_bodies_days"),
        keep_events_days=_usual("keep_events_days"),
    )


def _usual(name: str) -> int:
    """A setting's default, in days."""
    from comporta.settings import Settings  # noqa: PLC0415  (heavy)

    days: int = Settings.model_fields[name].default
    return days


def _assumed(given: Given) -> list[str]:
    """What nobody said, and what was taken in its place."""
    said = []
    if given.instances is None:
        words = _("Nobody said how many instances: {count} are assumed (--instances).")
        said.append(words.format(count=INSTANCES))
    if given.events_a_second is None:
        if given.conversations_a_day is None:
            words = _(
                "Nobody said how much they do: {count} conversations a day and instance are "
                "assumed (--conversations-a-day, --events-a-second)."
            )
            said.append(words.format(count=load.CONVERSATIONS_A_DAY))
        words = _(
            "A conversation is taken to be {messages} messages of {events} events, as a Chatwoot "
            "sends that has every event subscribed; with message_created alone it is a quarter."
        )
        said.append(
            words.format(messages=load.MESSAGES_A_CONVERSATION, events=load.EVENTS_A_MESSAGE)
        )
    return said


def _figures(here: Machine) -> tuple[Figures, str]:
    """The figures to plan with, and what is to be said about them."""
    saved = saved_figures()
    if saved is None:
        return shipped.FIGURES, ""
    if saved.machine.is_like(here):
        return saved, ""
    there = saved.machine
    words = _(
        "The saved measurement is of another machine ({there_cpus} × {there}; this one has "
        "{cpus} × {cpu}) and is not used. Measure here: comporta bench --save"
    )
    return shipped.FIGURES, words.format(
        there_cpus=there.cpus, there=there.cpu, cpus=here.cpus, cpu=here.cpu
    )

"""`comporta sink`: a destination for trying things out, which misbehaves on request."""

from typing import Annotated

import msgspec
import typer

from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.progress import line
from comporta.cli.summaries import show_sink
from comporta.i18n import _
from comporta.testing.observed import SinkReport
from comporta.testing.sink import Sink, run_sink
from comporta.testing.sink_connection import SinkBehaviour

PORT = 9001
Share = Annotated[float, typer.Option(min=0, max=1)]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(sink)


def sink(  # noqa: PLR0913  (one parameter an option)
    desk: Desk,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help=_("Port on 127.0.0.1; 0: any free one."))
    ] = PORT,
    secret: Annotated[
        str | None,
        typer.Option(metavar="SECRET", help=_("Check signatures with it: whsec_…")),
    ] = None,
    fail: Annotated[
        float, typer.Option(min=0, max=1, help=_("The share of deliveries to refuse, 0 to 1."))
    ] = 0.0,
    hang: Annotated[
        float, typer.Option(min=0, max=1, help=_("The share never to answer, 0 to 1."))
    ] = 0.0,
    status: Annotated[
        int, typer.Option(min=300, max=599, help=_("What to refuse with; 410: for good."))
    ] = 503,
    delay: Annotated[
        float, typer.Option(min=0, max=600, help=_("Seconds to wait before each answer."))
    ] = 0.0,
) -> None:
    """Run a destination for trying things out.

    It counts, checks signatures, and finds repeats and disorder. Ctrl-C ends it with a summary.
    """
    if fail and hang:
        raise typer.BadParameter(_("--fail and --hang do not go together."))
    mode = "fail" if fail else "hang" if hang else "accept"
    behaviour = msgspec.convert(
        {"mode": mode, "share": fail or hang or 1.0, "status": status, "delay_s": delay},
        SinkBehaviour,
    )
    taking = Sink(port=port, secret=secret, behaviour=behaviour)

    def ready(url: str) -> None:
        desk.screen.note(_("The sink takes deliveries at {url}. Ctrl-C ends it.").format(url=url))

    with line(desk.screen) as show:
        report = run_sink(taking, ready, lambda seen: show(counters(seen)))
    show_sink(desk.screen, report)


def counters(seen: SinkReport) -> str:
    """What a sink saw so far, in a line."""
    words = _(
        "{accepted} accepted, {refused} refused, {duplicates} duplicates, {disorder} out of order"
    )
    return words.format(
        accepted=seen.accepted,
        refused=seen.refused + seen.unanswered + seen.bad_signatures,
        duplicates=seen.duplicates,
        disorder=seen.disorder,
    )

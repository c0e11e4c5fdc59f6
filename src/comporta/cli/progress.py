"""What changes while something runs: a bar or a line on standard error, at a terminal only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from comporta.cli.screen import Screen


@contextmanager
def bar(screen: Screen, total: float) -> Iterator[Callable[[float, str], None]]:
    """A bar towards `total`: call what it gives with how far the work is, and words beside it."""
    console = screen.console()
    if not console.is_terminal or not total:
        yield lambda _done, _words: None
        return
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415  (terminals only)

    parts = (BarColumn(), TextColumn("{task.percentage:>3.0f}%  {task.description}"))
    with Progress(*parts, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda done, words: progress.update(task, completed=done, description=words)


@contextmanager
def line(screen: Screen) -> Iterator[Callable[[str], None]]:
    """A line: call what it gives with the newest text."""
    console = screen.console()
    if not console.is_terminal:
        yield lambda _text: None
        return
    with console.status("") as status:
        yield status.update

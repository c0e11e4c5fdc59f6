"""A progress bar on standard error, for people at a terminal; silent otherwise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from comporta.cli.screen import Screen

Show = Callable[[float], None]


@contextmanager
def bar(screen: Screen, total: float, words: str = "") -> Iterator[Show]:
    """A bar towards `total`; call what it gives with how far the work is."""
    console = screen.console()
    if not console.is_terminal or not total:
        yield lambda _done: None
        return
    from rich.progress import Progress  # noqa: PLC0415  (only for terminals)

    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(words, total=total)
        yield lambda done: progress.update(task, completed=done)

"""What `comporta doctor` says where several servers share the stores: names, key and leave."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from comporta.cli.checks import Finding, Level, ok
from comporta.cli.screen import Word
from comporta.engines import SQLITE
from comporta.i18n import _
from comporta.state.port import WorkerRow
from comporta.vault import KeySettings

LEAVE_S = 6
"""What `comporta deploy` writes: longer than its balancers take to notice."""


class ServerSettings(KeySettings, Protocol):
    """What is looked at."""

    @property
    def leave_s(self) -> float:
        """Between saying that it leaves and closing the port, seconds."""
        ...


def server_checks(
    settings: ServerSettings, ledger_engine: str, workers: Sequence[WorkerRow]
) -> Iterator[Finding]:
    """Whether this server can be one of several; nothing where it is alone.

    Args:
        settings: of this server.
        ledger_engine: the name of its engine.
        workers: those that live.
    """
    if ledger_engine != SQLITE.name and not settings.key.get_secret_value():
        found = _("The key that seals secrets is a file of this server alone: {path}.")
        todo = _("Give every server the same: COMPORTA_KEY=file:PATH, with a copy of that file.")
        path = settings.data / "key"
        yield Finding(Word("key", _("key")), Level.WARN, found.format(path=path), todo)
    names = sorted({worker.server for worker in workers if worker.server})
    if len(names) < 2:  # noqa: PLR2004  (one is alone)
        return
    check, found = Word("servers", _("servers")), ", ".join(names)
    if settings.leave_s == 0:
        todo = _(
            "Set COMPORTA_LEAVE_S={seconds} on each, so that a restart refuses no call that the"
            " balancer still sends."
        )
        yield Finding(check, Level.WARN, found, todo.format(seconds=LEAVE_S))
    else:
        yield ok(check, found)

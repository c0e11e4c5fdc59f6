"""Makes engines from their URLs: the one place where engines are named.

What is made is not opened yet. An engine on a server elsewhere is imported only where it is used,
for it needs a client that most gateways do not have.
"""

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import apsw

from comporta.engines import (
    KAFKA,
    POSTGRESQL,
    RABBITMQ,
    REDIS,
    Engine,
    Store,
    engine_of,
    path_of,
)
from comporta.errors import ConfigError
from comporta.i18n import _
from comporta.ledger.port import Ledger
from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.log.port import Broker, Log
from comporta.log.sqlite import SqliteLog
from comporta.state.port import State
from comporta.state.sqlite import SqliteState

Observe = Callable[[int, float], None]
"""Told the number of entries (or jobs) and the seconds of each durable write."""
_ELSEWHERE = {
    (REDIS, Store.LOG): "comporta.log.redis.log:RedisLog",
    (REDIS, Store.STATE): "comporta.state.redis.state:RedisState",
    (RABBITMQ, Store.LOG): "comporta.log.rabbitmq.log:RabbitLog",
    (KAFKA, Store.LOG): "comporta.log.kafka.log:KafkaLog",
    (POSTGRESQL, Store.LEDGER): "comporta.ledger.postgres.ledger:PostgresLedger",
}


def is_embedded(url: str) -> bool:
    """Whether it is a file of this machine."""
    return bool(path_of(url))


def log_at(
    url: str, partitions: int, body_bytes_max: int, observe: Observe | None = None, *, upkeep: bool
) -> Log:
    """A log: embedded, or a broker.

    Args:
        url: of the engine.
        partitions: how many it has.
        body_bytes_max: how large a body it has to take.
        observe: told about appends.
        upkeep: of an embedded one: take part in trimming and checkpoints.

    Raises:
        ConfigError: its client is not installed, or does not understand the URL.
    """
    if is_embedded(url):
        return SqliteLog(Path(path_of(url)), partitions, observe, upkeep=upkeep)
    return broker_at(url, partitions, body_bytes_max, observe)


def broker_at(
    url: str, partitions: int, body_bytes_max: int, observe: Observe | None = None
) -> Broker:
    """A log on a server elsewhere; see `log_at`."""
    make = _elsewhere(engine_of(url, Store.LOG), Store.LOG)
    broker: Broker = make(url, partitions, body_bytes_max=body_bytes_max, observe=observe)
    return broker


def ledger_at(url: str, window_s: float, observe: Observe | None = None, *, upkeep: bool) -> Ledger:
    """A ledger.

    Args:
        url: of the engine.
        window_s: within which a repeated event is known as one, seconds.
        observe: told about transactions.
        upkeep: of an embedded one: take part in checkpoints.

    Raises:
        ConfigError: as for `log_at`.
    """
    if is_embedded(url):
        return SqliteLedger(Path(path_of(url)), window_s, observe, upkeep=upkeep)
    make = _elsewhere(engine_of(url, Store.LEDGER), Store.LEDGER)
    ledger: Ledger = make(url, window_s, observe)
    return ledger


def state_at(url: str, *, upkeep: bool) -> State:
    """A state; as `ledger_at`."""
    if is_embedded(url):
        return SqliteState(Path(path_of(url)), upkeep=upkeep)
    state: State = _elsewhere(engine_of(url, Store.STATE), Store.STATE)(url)
    return state


def store_of(source: str, target: str) -> Store:
    """What can be moved between two URLs: a log or a ledger.

    Raises:
        ConfigError: nothing can.
    """
    possible, problem = [], ""
    for store in (Store.LOG, Store.LEDGER):
        try:
            engine_of(source, store)
            engine_of(target, store)
        except ValueError as error:
            problem = problem or str(error)
        else:
            possible.append(store)
    if not possible:
        raise ConfigError(problem)
    if len(possible) > 1 and _is_ledger(Path(path_of(source))):  # both are files
        return Store.LEDGER
    return possible[0]


def _is_ledger(path: Path) -> bool:
    if not path.is_file():
        raise ConfigError(_("{path} does not exist.").format(path=path))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return bool(connection.execute("PRAGMA table_info(deliveries)").fetchone())
    except apsw.Error as error:
        said = _("{path} cannot be read: {reason}.").format(path=path, reason=error)
        raise ConfigError(said) from None
    finally:
        connection.close()


def _elsewhere(engine: Engine, store: Store) -> Callable[..., Any]:
    """The class behind a store, imported now.

    Raises:
        ConfigError: its client is not installed.
    """
    try:
        made: Callable[..., Any] = resolve_name(_ELSEWHERE[engine, store])
    except ModuleNotFoundError as error:
        said = _(
            "The {store} is to be {engine}, but its client is not installed (no module {module})."
            " Install it: pip install 'comporta[{package}]'"
        )
        module, package = error.name, engine.package
        raise ConfigError(
            said.format(store=store, engine=engine.name, module=module, package=package)
        ) from None
    return made

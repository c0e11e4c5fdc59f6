"""Which engines there are, and how the URL of one is written.

Only the scheme is looked at here, and that something follows it; the rest is the engine's own
business. What opens an engine is `comporta.stores`.
"""

from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from comporta.i18n import _
from comporta.words import did_you_mean

URL_CHARS_MAX: Final = 4096
_SHOWN_CHARS_MAX: Final = 60


class Store(StrEnum):
    """What an engine may be behind."""

    LOG = "log"
    LEDGER = "ledger"
    STATE = "state"


class Engine(msgspec.Struct, frozen=True):
    """One kind of engine."""

    name: str
    example: str
    schemes: tuple[str, ...]
    stores: tuple[Store, ...]
    package: str = ""
    """The extra of this package that brings its client."""


SQLITE: Final = Engine("sqlite", "sqlite:data/log.db", ("sqlite",), tuple(Store))
REDIS: Final = Engine(
    "redis",
    "redis://localhost:6379",
    (
        "redis",
        "rediss",
        "redis+sentinel",
        "rediss+sentinel",
        "redis+cluster",
        "rediss+cluster",
    ),
    (Store.LOG, Store.STATE),
    "redis",
)
RABBITMQ: Final = Engine(
    "rabbitmq", "amqp://user:password@localhost:5672", ("amqp", "amqps"), (Store.LOG,), "rabbitmq"
)
KAFKA: Final = Engine("kafka", "kafka://localhost:9092/comporta", ("kafka",), (Store.LOG,), "kafka")
POSTGRESQL: Final = Engine(
    "postgresql",
    "postgresql://user:password@localhost/comporta",
    ("postgresql", "postgres"),
    (Store.LEDGER,),
    "postgresql",
)
ENGINES: Final = (SQLITE, REDIS, RABBITMQ, KAFKA, POSTGRESQL)


def engine_of(url: str, store: Store) -> Engine:
    """The engine that a URL names, for a store that it can be.

    Raises:
        ValueError: not an engine URL, no such engine, or none for this store; the message is a
            sentence, and names nothing of the URL but its scheme.
    """
    fitting = [engine for engine in ENGINES if store in engine.stores]
    scheme, colon, rest = url.partition(":")
    schemes = {name: engine for engine in ENGINES for name in engine.schemes}
    engine = schemes.get(scheme)
    if not colon or engine is None:
        said = _('There is no engine "{scheme}"; there is: {engines}.').format(
            scheme=scheme[:_SHOWN_CHARS_MAX] if colon else "",
            engines=", ".join(name for one in fitting for name in one.schemes[:2]),
        )
        raise ValueError(f"{said} {did_you_mean(scheme, list(schemes))}".strip())
    if engine not in fitting:
        raise ValueError(
            _("{engine} cannot be the {store}; that can be: {engines}.").format(
                engine=engine.name, store=store, engines=", ".join(one.name for one in fitting)
            )
        )
    if not _is_whole(engine, url, rest):
        said = _("An engine URL of {engine} is written like {example}.")
        raise ValueError(said.format(engine=engine.name, example=engine.example))
    return engine


def path_of(url: str) -> str:
    """`"sqlite:data/log.db"` → `"data/log.db"`; "" for an engine that is no file of ours."""
    scheme, _colon, rest = url.partition(":")
    return rest if scheme in SQLITE.schemes else ""


def _is_whole(engine: Engine, url: str, rest: str) -> bool:
    if not url.isprintable() or len(url) > URL_CHARS_MAX:
        return False
    if engine is SQLITE:
        return bool(rest) and not rest.startswith("//")
    try:
        return rest.startswith("//") and bool(urlsplit(url).netloc.rpartition("@")[2])
    except ValueError:
        return False

"""Log lines: JSON on standard error for machines, aligned and coloured on a terminal.

Lines of the standard library and of uvicorn go the same way as ours, and all of them pass through
`redact` last. An event is called `noun.verb_past`, its facts are fields. uvicorn's access log is
silenced for good: the token stands in its paths, and it would cost as much as the request itself.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from comporta.telemetry import redact

_OWN_RECORD = ("_record", "_from_structlog")


def configure(level: str = "info", json: bool | None = None, server: str = "") -> None:
    """Send all log lines of this process to standard error.

    Args:
        level: debug, info, warning or error; lines below it are not made.
        json: one JSON object a line; None: if standard error is not a terminal.
        server: the name of this server, for every line; "": none.

    Raises:
        ValueError: there is no such level.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_facts(), processors=_last_steps(as_json, server)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _adopt_uvicorn()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_facts(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _facts() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]


def _last_steps(as_json: bool, server: str) -> list[Processor]:
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    return [
        _without_plumbing,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _redacted,
        # After redaction, so that an instant can never be taken for a phone number.
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        *([_from(server)] if server else []),
        renderer,
    ]


def _from(server: str) -> Processor:
    def add(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event["server"] = server
        return event

    return add


def _without_plumbing(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key in _OWN_RECORD:
        event.pop(key, None)
    event.pop("color_message", None)  # uvicorn's second copy of the message
    return event


def _redacted(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return redact.fields(event)


def _adopt_uvicorn() -> None:
    """Let uvicorn's lines come to our handler, and its access lines nowhere.

    uvicorn asks `hasHandlers()` of the access logger for each connection, and does no work for a
    line if there are none: hence no handler at all instead of one that drops.
    """
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers[:] = []
    access.propagate = False
    access.disabled = True

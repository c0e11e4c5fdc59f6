"""What a Redis is like, and what of that endangers events or holds up their delivery.

Asking and judging are apart. A managed Redis may not let anybody ask: then that is said.
"""

from collections.abc import Mapping, Sequence

import msgspec

from comporta.clients.redis import RedisServer
from comporta.i18n import _

VERSION_MIN = (7, 0)
_ASKED = (
    "appendonly",
    "appendfsync",
    "maxmemory-policy",
    "min-replicas-to-write",
    "proto-max-bulk-len",
)


class Facts(msgspec.Struct, frozen=True):
    """One server, as it says itself."""

    where: str
    version: str
    """"" if it may not be asked."""
    config: Mapping[str, str] | None
    """Setting → value; None if it may not be asked."""


class Findings(msgspec.Struct, frozen=True):
    """`error`: it must not be used so, "" if it may. Both are sentences that name the setting."""

    error: str = ""
    warnings: tuple[str, ...] = ()


async def facts_of(server: RedisServer) -> list[Facts]:
    """Ask every server that takes writes.

    Raises:
        StoreUnavailableError: one does not answer.
    """
    infos = await server.everywhere("INFO", "server")
    configs = dict(await server.everywhere("CONFIG GET", *_ASKED))
    return [_facts(where, info, configs.get(where)) for where, info in infos]


def _facts(where: str, info: object, config: object) -> Facts:
    version = str(info.get("redis_version", "")) if isinstance(info, dict) else ""
    known = None
    if isinstance(config, dict) and config:
        known = {_text(name): _text(value) for name, value in config.items()}
    return Facts(where, version, known)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def judge_log(servers: Sequence[Facts], *, replicated: bool, frame_bytes_max: int) -> Findings:
    """What endangers events in a log.

    Args:
        servers: all that take writes.
        replicated: another server may take over from one of these.
        frame_bytes_max: what is written in one piece.
    """
    warnings: list[str] = []
    for server in servers:
        error = _too_old(server) or _loses(server) or _too_narrow(server, frame_bytes_max)
        if error:
            return Findings(error)
        warnings += _log_warnings(server, replicated=replicated)
    return Findings("", tuple(warnings))


def judge_state(servers: Sequence[Facts]) -> Findings:
    """What endangers a state: it may be lost, but a part of it should not go by itself."""
    warnings: list[str] = []
    for server in servers:
        error = _too_old(server)
        if error:
            return Findings(error)
        if server.config is not None and _policy(server) != "noeviction":
            said = _(
                "Redis at {where} has maxmemory-policy {policy}: when it is full, leases and open"
                " breakers go, and deliveries falter. Set maxmemory-policy noeviction."
            )
            warnings.append(said.format(where=server.where, policy=_policy(server)))
    return Findings("", tuple(warnings))


def _too_old(server: Facts) -> str:
    numbers = tuple(int(part) for part in server.version.split(".")[:2] if part.isdecimal())
    if not numbers or numbers >= VERSION_MIN:
        return ""
    said = _("Redis at {where} is version {version}. Comporta needs Redis 7.0 or Valkey 7.2.")
    return said.format(where=server.where, version=server.version)


def _policy(server: Facts) -> str:
    return (server.config or {}).get("maxmemory-policy", "noeviction")


def _loses(server: Facts) -> str:
    if server.config is None:
        return ""
    if server.config.get("appendonly", "yes") == "no":
        said = _(
            "Redis at {where} has appendonly no: acknowledged events would be lost when it ends."
            " Set appendonly yes and appendfsync always."
        )
        return said.format(where=server.where)
    if _policy(server) != "noeviction":
        said = _(
            "Redis at {where} has maxmemory-policy {policy}: when it is full, it would throw away"
            " acknowledged events. Set maxmemory-policy noeviction."
        )
        return said.format(where=server.where, policy=_policy(server))
    return ""


def _too_narrow(server: Facts, frame_bytes_max: int) -> str:
    widest = int((server.config or {}).get("proto-max-bulk-len", frame_bytes_max))
    if widest >= frame_bytes_max:
        return ""
    said = _(
        "Redis at {where} takes at most {widest} bytes in one piece; the largest events need"
        " {needed}. Set proto-max-bulk-len to that, or body_bytes_max lower."
    )
    return said.format(where=server.where, widest=widest, needed=frame_bytes_max)


def _log_warnings(server: Facts, *, replicated: bool) -> list[str]:
    if server.config is None:
        said = _(
            "Redis at {where} does not let its settings be asked (CONFIG GET). Make sure of"
            " appendonly yes, appendfsync always and maxmemory-policy noeviction."
        )
        return [said.format(where=server.where)]
    warnings = []
    at_risk = {
        "everysec": _(
            "Redis at {where} has appendfsync everysec: a power cut takes up to two seconds of"
            " acknowledged events with it. Set appendfsync always."
        ),
        "no": _(
            "Redis at {where} has appendfsync no: a power cut takes about thirty seconds of"
            " acknowledged events with it. Set appendfsync always."
        ),
    }
    found = at_risk.get(server.config.get("appendfsync", "always"))
    if found is not None:
        warnings.append(found.format(where=server.where))
    if replicated and server.config.get("min-replicas-to-write", "1") == "0":
        said = _(
            "Redis at {where} has min-replicas-to-write 0: when a replica takes over, what was"
            " acknowledged last may be missing there. Set min-replicas-to-write 1."
        )
        warnings.append(said.format(where=server.where))
    return warnings

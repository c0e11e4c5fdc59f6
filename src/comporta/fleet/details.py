"""What differs between two versions of one thing, in words. Pure; "" means nothing differs.

For a new thing (`old` is None) it says the main fact about it. URLs are shown without passwords and
queries, tokens and secrets are only counted.
"""

import json
from collections.abc import Collection

from comporta.domain.fleet import Destination, Instance, Route, Scalar, Secret, Source
from comporta.domain.rate import Rate, show_rate
from comporta.i18n import _
from comporta.urls import masked_url

_SHOWN_CHARS_MAX = 200
_OPTIONS = (
    *("rate", "concurrency", "instance_concurrency", "park_s"),
    *("classes", "format", "transform"),
)


def instance_detail(old: Instance | None, new: Instance) -> str:
    """Of an instance, its sources aside."""
    if old is None:
        return masked_url(new.url)
    return _joined([_url(old.url, new.url)])


def source_detail(old: Source | None, new: Source) -> str:
    """Of a source."""
    if old is None:
        return new.kind.value
    return _joined(
        [
            _values("kind", old.kind.value, new.kind.value),
            _credentials(_("tokens"), old.tokens, new.tokens),
            _credentials(_("secrets"), old.secrets, new.secrets),
        ]
    )


def destination_detail(old: Destination | None, new: Destination) -> str:
    """Of a destination; whether it is paused is said too, because a new URL resumes it."""
    if old is None:
        return masked_url(new.url)
    secrets = [(one.secret,) if one.secret else () for one in (old, new)]
    return _joined(
        [
            _url(old.url, new.url),
            _credentials(_("secret"), *secrets),
            _values("timeout_s", f"{old.timeout_s:g}", f"{new.timeout_s:g}"),
            _values("retry", _waits(old.retry), _waits(new.retry)),
            *(_values(name, *(_option(one, name) for one in (old, new))) for name in _OPTIONS),
            _headers(old.headers, new.headers),
            _("resumed") if old.paused and not new.paused else "",
        ]
    )


def route_detail(old: Route | None, new: Route) -> str:
    """Of a route."""
    if old is None:
        return f"{', '.join(new.events)} → {', '.join(new.to)}"[:_SHOWN_CHARS_MAX]
    return _joined(
        [
            _values("instances", ", ".join(old.instances), ", ".join(new.instances)),
            _values("events", ", ".join(old.events), ", ".join(new.events)),
            _values("where", _where(old.where), _where(new.where)),
            _values("to", ", ".join(old.to), ", ".join(new.to)),
        ]
    )


def _joined(parts: list[str]) -> str:
    return "; ".join(part for part in parts if part)


def _values(name: str, old: str, new: str) -> str:
    if old == new:
        return ""
    shown = [(text or "–")[:_SHOWN_CHARS_MAX] for text in (old, new)]
    return f"{name}: {shown[0]} → {shown[1]}"


def _url(old: str, new: str) -> str:
    """Two URLs may differ in nothing but what is not shown."""
    if old == new:
        return ""
    return _values("url", masked_url(old), masked_url(new)) or _("url: changed in its hidden part")


def _credentials(name: str, old: Collection[object], new: Collection[object]) -> str:
    added, gone = set(new) - set(old), set(old) - set(new)
    if not added and not gone:
        return ""
    return _("{name}: {added} added, {removed} removed").format(
        name=name, added=len(added), removed=len(gone)
    )


def _waits(waits_s: tuple[float, ...]) -> str:
    return ", ".join(f"{wait_s:g}" for wait_s in waits_s)


def _option(destination: Destination, name: str) -> str:
    match getattr(destination, name):
        case Rate() as rate:
            return f"{show_rate(rate)} ({rate.burst})"
        case dict() as classes:
            return ", ".join(f"{pattern}={chosen}" for pattern, chosen in classes.items())
        case float() as number:
            return f"{number:g}"
        case None | 0:
            return ""
        case value:
            return str(value)


def _headers(old: dict[str, Secret], new: dict[str, Secret]) -> str:
    """By name; values are never shown."""
    changed = [f"+{name}" for name in new if name not in old]
    changed += [f"-{name}" for name in old if name not in new]
    changed += [f"~{name}" for name in new if name in old and new[name] != old[name]]
    return f"headers: {', '.join(changed)}"[:_SHOWN_CHARS_MAX] if changed else ""


def _where(where: dict[str, tuple[Scalar, ...]]) -> str:
    return json.dumps(where, ensure_ascii=False, sort_keys=True) if where else ""

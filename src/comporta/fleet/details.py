"""What differs between two versions of one thing, in words. Pure; "" means nothing differs.

For a new thing (`old` is None) it says the main fact about it. URLs are shown without passwords and
queries, tokens and secrets are only counted.
"""

import json
from collections.abc import Collection

from comporta.domain.fleet import Destination, Instance, Route, Scalar, Source
from comporta.i18n import _
from comporta.urls import masked_url

_SHOWN_CHARS_MAX = 200


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
    """Of a destination; whether it is disabled is said too, because a new URL enables it."""
    if old is None:
        return masked_url(new.url)
    secrets = [(one.secret,) if one.secret else () for one in (old, new)]
    return _joined(
        [
            _url(old.url, new.url),
            _credentials(_("secret"), *secrets),
            _values("timeout_s", f"{old.timeout_s:g}", f"{new.timeout_s:g}"),
            _values("retry", _waits(old.retry), _waits(new.retry)),
            _("enabled again") if old.disabled and not new.disabled else "",
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


def _where(where: dict[str, tuple[Scalar, ...]]) -> str:
    return json.dumps(where, ensure_ascii=False, sort_keys=True) if where else ""

"""The keys of each command's JSON, as documented: of the object, or of each object in the array.

They may be added to, never renamed; a test compares them with what the commands print.
"""

_EVENT = (
    "id",
    "accepted_at",
    "instance",
    "source",
    "event_type",
    "subject",
    "account_id",
    "verified",
    "body_bytes",
    "deliveries",
    "duplicate_of",
)
_DELIVERY = (
    "id",
    "event_id",
    "created_at",
    "instance",
    "event_type",
    "subject",
    "destination",
    "state",
    "attempts",
    "due_at",
    "settled_at",
    "reason",
    "replay",
)
_CHANGE = ("applied", "changes", "tokens", "warnings")
_SOURCE = ("instance", "name", "id", "kind", "tokens", "secrets")
_DESTINATIONS = ("name", "url", "signed", "rate", "format", "paused", "managed", "id")
_DESTINATION = (
    *("name", "id", "url", "signed", "timeout_s", "retry", "rate", "burst", "concurrency"),
    *("instance_concurrency", "park_s", "classes", "format", "transform", "headers", "paused"),
    "managed",
)
_ROUTE = ("name", "instances", "events", "where", "to", "id")

_API_KEY = (
    "name",
    "scope",
    "hint",
    "created_at",
    "created_by",
    "last_used_at",
    "revoked_at",
    "id",
)

KEYS: dict[str, tuple[str, ...]] = {
    "init": _CHANGE,
    "apply": _CHANGE,
    "export": ("fleet_toml",),
    "events": _EVENT,
    "event show": (*_EVENT, "headers", "body", "timeline"),
    "deliveries": _DELIVERY,
    "dead": _DELIVERY,
    "redrive": ("matched", "redriven", "without_body"),
    "replay": ("matched", "replayed", "without_body"),
    "discard": ("matched", "discarded", "without_body"),
    "deploy": ("folder", "files", "next"),
    "move": ("what", "moved", "old", "new"),
    "alerts": ("name", "severity", "opened", "acknowledged", "by", "resolved", "text"),
    "alert ack": ("name", "acknowledged_by"),
    "alert test": ("notifier", "answer"),
    "audit": ("at", "who", "what", "count", "which"),
    "rejected": (
        "at",
        "status",
        "reason",
        "method",
        "path",
        "peer",
        "source",
        "body_bytes",
        "headers",
    ),
    "why": ("instance", "verdict", "findings", "numbers"),
    "doctor": ("check", "level", "found", "todo"),
    "api-key create": (*_API_KEY, "key"),
    "api-key list": _API_KEY,
    "api-key revoke": ("id", "name", "revoked"),
    "top": ("at", "gateways", "totals", "instances", "destinations"),
    "version": ("version", "python", "sqlite", "platform"),
    "instance list": ("name", "url", "sources", "id"),
    "instance show": ("name", "id", "url", "sources"),
    "source list": _SOURCE,
    "source show": _SOURCE,
    "destination list": _DESTINATIONS,
    "destination show": (
        *_DESTINATION,
        "breaker",
        "breaker_since",
        "breaker_until",
        "breaker_reason",
    ),
    "destination test": ("url", "sent", "reason", "headers", "body"),
    "route list": _ROUTE,
    "route show": _ROUTE,
    "route test": ("instance", "event_type", "fits", "routes"),
} | {
    f"{thing} {verb}": _CHANGE
    for thing, verbs in (
        ("instance", ("add", "remove")),
        ("source", ("add", "remove")),
        ("source token", ("add", "remove")),
        ("source secret", ("add", "remove")),
        ("destination", ("add", "set", "remove", "pause", "resume")),
        ("route", ("add", "remove")),
    )
    for verb in verbs
}

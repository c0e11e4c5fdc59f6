"""API keys of a gateway under test, and requests that show them."""

import time
from typing import Any

import msgspec
from tests.support.gateway import Answer, Gateway

KNOWN_S = 0.7
"""A worker looks twice a second which keys others made; to ask it for one would count as an attempt
without a valid key."""


def new_key(gateway: Gateway, name: str, scope: str) -> str:
    """A key made on the gateway's machine, once it is known."""
    made = gateway.command("api-key", "create", name, "--scope", scope)["key"]
    time.sleep(KNOWN_S)
    return str(made)


def ask(
    gateway: Gateway, key: str, method: str, path: str, body: Any = None, **headers: str
) -> Answer:
    """One request to the admin API; `path` is below `/api/v1`, `body` becomes JSON."""
    named = {"Authorization": f"Bearer {key}"} if key else {}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    raw = None
    if body is not None:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        named.setdefault("Content-Type", "application/json")
    return gateway.request(method, f"/api/v1{path}", raw, named)

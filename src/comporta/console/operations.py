"""Registers operations so that each is guarded and described whole, its refusals included."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from comporta.console.guard import BODY_BYTES_MAX, Guard
from comporta.console.idempotency import HEADER, KEY_CHARS_MAX
from comporta.console.problems import MEDIA_TYPE
from comporta.ledger.admin import Scope

PREFIX = "/api/v1"
READ, OPERATE, ADMIN = Scope.READ, Scope.OPERATE, Scope.ADMIN
Method = Literal["GET", "POST", "PATCH", "DELETE"]
_ALWAYS = (401, 403, 413, 422, 429, 500, 503)
_WORDS = {
    401: "The API key is missing or not known.",
    403: "The API key's scope is too small.",
    404: "What was asked for does not exist.",
    409: "It collides with what is there, or with a request under way.",
    413: "The body is too large.",
    422: "The request is not as described, or breaks a rule; nothing was changed.",
    429: "Too many requests without a valid API key.",
    500: "A defect; the gateway's log has the details under the `id`.",
    503: "The gateway cannot answer right now; `Retry-After` says when to try again.",
}
PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
_ONCE = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX},
    "description": "Any text of your own: a repeated request is carried out once.",
}
_AGAIN = {
    "Idempotent-Replayed": {
        "schema": {"type": "string", "const": "true"},
        "description": "This answer was given before, to the same request.",
    }
}
_LINK = {"Link": {"schema": {"type": "string"}, "description": "rel=next: the next page."}}


class Operations:
    """Operations on one kind of thing.

    Args:
        guard: stands before all of them.
        tag: what they are listed under.
    """

    def __init__(self, guard: Guard, tag: str) -> None:
        self._guard, self._tag = guard, tag
        self.router = APIRouter(prefix=PREFIX, tags=[tag])

    def add(  # noqa: PLR0913, PLR0917  (what an operation is made of)
        self,
        method: Method,
        path: str,
        id: str,  # noqa: A002  (OpenAPI's word)
        handle: Callable[..., Any],
        scope: Scope,
        gives: Any,
        *,
        status: int = 200,
        media: str = "",
        body_bytes_max: int = BODY_BYTES_MAX,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Add one.

        Args:
            method: of HTTP.
            path: below the prefix.
            id: its `operationId`.
            handle: the operation itself; its docstring is the summary.
            scope: what a key must cover.
            gives: the model of its answer; None with `media`.
            status: of success.
            media: the content type, where it is not JSON.
            body_bytes_max: the largest body.
            extra: more for its description.
        """
        described = {"x-scope": scope.value, **(extra or {})}
        if method == "POST" and scope is not READ:
            described["parameters"] = [_ONCE]
        self.router.add_api_route(
            path,
            handle,
            methods=[method],
            operation_id=id,
            summary=inspect.getdoc(handle),
            description=f"Needs a key of scope {scope.value}.",
            response_model=gives,
            response_class=Response if media else JSONResponse,
            status_code=status,
            responses=_responses(method, path, scope, status, media, gives),
            openapi_extra=described,
            route_class_override=_guarded(self._guard, scope, body_bytes_max),
        )


def _guarded(guard: Guard, scope: Scope, body_bytes_max: int) -> type[APIRoute]:
    class Guarded(APIRoute):
        """A route behind the guard."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

            async def answer(request: Request) -> Response:
                return await guard.answer(request, scope, body_bytes_max, handle)

            return answer

    return Guarded


def _responses(  # noqa: PLR0913, PLR0917  (what `add` has at hand)
    method: Method, path: str, scope: Scope, status: int, media: str, gives: Any
) -> dict[int | str, dict[str, Any]]:
    refusals = set(_ALWAYS)
    if scope is not READ:
        refusals.add(409)
    if "{" in path or method == "POST" or path in {"/events", "/deliveries"}:
        refusals.add(404)
    found: dict[int | str, dict[str, Any]] = {
        one: {"description": _WORDS[one], "content": PROBLEM} for one in sorted(refusals)
    }
    for one in (429, 503):
        found[one]["headers"] = _RETRY_AFTER
    success: dict[str, Any] = {"description": "Done."}
    if method == "POST" and scope is not READ:
        success["headers"] = _AGAIN
    elif method == "GET" and getattr(gives, "__name__", "").startswith("Page"):
        success["headers"] = _LINK
    if media:
        success["content"] = {media: {"schema": {"type": "string"}}}
    found[status] = success
    return found

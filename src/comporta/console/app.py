"""The admin API as an ASGI application, and its description (OpenAPI 3.1)."""

import asyncio
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from comporta import __version__
from comporta.console import shapes
from comporta.console.alerts import AlertOperations
from comporta.console.audit import AuditOperations
from comporta.console.bulk import BulkOperations
from comporta.console.callers import Callers
from comporta.console.desk import Desk
from comporta.console.document import fleet_schemas
from comporta.console.fleet import FleetOperations
from comporta.console.guard import Guard, answer_to
from comporta.console.idempotency import Once
from comporta.console.instances import InstanceOperations
from comporta.console.keys import KeyOperations
from comporta.console.operations import PREFIX, Operations
from comporta.console.problems import MISDIRECTED, RefusedError, answer
from comporta.console.routing import DestinationOperations, RouteOperations
from comporta.console.traffic import DeliveryOperations, EventOperations
from comporta.console.trials import DestinationTrial, RouteTrial
from comporta.console.watching import WatchingOperations
from comporta.i18n import choose, speaking

_ABOUT = (
    "The fleet, events and deliveries of an event gateway for Chatwoot. Show an API key with"
    " `Authorization: Bearer KEY`; its scope is read, operate or admin, and each includes the ones"
    " before it."
)
_REFS = "#/components/schemas/{model}"


def console_app(desk: Desk, clock: Callable[[], float] = time.monotonic) -> FastAPI:
    """The application of `/api/v1`.

    Args:
        desk: what its operations work on.
        clock: seconds, never set back.
    """
    stores = desk.stores
    callers = Callers(stores.admin, desk.now_ms, clock)
    guard = Guard(callers, Once(stores.admin, stores.vault, desk.now_ms))
    app = FastAPI(
        title="Comporta",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_exception_handler(HTTPException, _failed)
    for tag, part in (
        ("fleet", FleetOperations(desk)),
        ("instances", InstanceOperations(desk)),
        ("destinations", DestinationOperations(desk)),
        ("routes", RouteOperations(desk)),
        ("destinations", DestinationTrial(desk)),
        ("routes", RouteTrial(desk)),
        ("events", EventOperations(desk)),
        ("deliveries", DeliveryOperations(desk)),
        ("deliveries", BulkOperations(desk)),
        ("audit", AuditOperations(desk)),
        ("gateway", WatchingOperations(desk)),
        ("alerts", AlertOperations(desk)),
        ("api keys", KeyOperations(desk, callers.forget)),
    ):
        operations = Operations(guard, tag)
        part.add_to(operations)
        app.include_router(operations.router)

    @cache
    def description() -> bytes:
        return msgspec.json.encode(describe(app))

    async def openapi(_request: Request) -> Response:
        # Made when it is first asked for, and off the loop: it takes a quarter of a second.
        return Response(await asyncio.to_thread(description), media_type="application/json")

    app.add_route(f"{PREFIX}/openapi.json", openapi, methods=["GET"])
    return app


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer of a server without the role: another one has the admin API."""
    with speaking(choose(Headers(scope=scope).get("accept-language", ""))):
        response = answer(RefusedError(MISDIRECTED))
    await response(scope, receive, send)


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application."""
    found = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas |= fleet_schemas(_REFS)
    for model in (shapes.Problem, shapes.Fault):
        schema = model.model_json_schema(ref_template=_REFS)
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    components["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"key": []}]
    return found


async def _failed(request: Request, error: Exception) -> Response:
    """Addresses and methods that do not exist; what operations raise ends at their guard."""
    with speaking(choose(request.headers.get("accept-language", ""))):
        return answer_to(error)

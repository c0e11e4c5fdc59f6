"""The routes for people, balancers and Prometheus: `/health`, `/livez`, `/readyz`, `/metrics`."""

import hmac
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from comporta.console import problems
from comporta.i18n import choose, speaking
from comporta.telemetry import health
from comporta.telemetry.metrics import Metrics
from comporta.vault import digest_token

Inputs = Callable[[], Awaitable[health.HealthInputs]]
_JSON = "application/json"
_NO_STORE = {"cache-control": "no-store"}


def control_app(inputs: Inputs, metrics: Metrics, token: str = "") -> Starlette:
    """The ASGI application of these routes.

    Args:
        inputs: asks the stores how they are.
        metrics: this server's.
        token: what is asked of whoever reads them; "": nothing is.
    """
    digest = digest_token(token) if token else ""

    async def show_health(request: Request) -> Response:
        language = choose(request.headers.get("accept-language", ""))
        accept = request.headers.get("accept", "")
        known = await inputs()
        if health.wants_text(accept):
            report = health.report(known, language)
            body: bytes | str = health.as_text(report, language)
            media = "text/plain; charset=utf-8"
        else:
            report = health.report(known)
            body, media = health.as_json(report), _JSON
        status = 503 if report.status == "down" else 200
        return Response(body, status, _NO_STORE, media)

    async def live(_request: Request) -> Response:
        return Response(b'{"alive":true}', 200, _NO_STORE, _JSON)

    async def ready(_request: Request) -> Response:
        decision = health.readiness(await inputs())
        status = 200 if decision.ready else 503
        return Response(health.as_json(decision), status, _NO_STORE, _JSON)

    async def scrape(request: Request) -> Response:
        if digest and not hmac.compare_digest(digest, digest_token(_bearer(request))):
            with speaking(choose(request.headers.get("accept-language", ""))):
                return problems.answer(problems.RefusedError(problems.METRICS_TOKEN))
        text, media = await metrics.render(request.headers.get("accept", ""))
        return Response(text, 200, _NO_STORE | {"content-type": media})

    app = Starlette(
        routes=[
            Route("/health", show_health),
            Route("/livez", live),
            Route("/readyz", ready),
            Route("/metrics", scrape),
        ]
    )
    # A redirect would name a host that a balancer in front of us may not know.
    app.router.redirect_slashes = False
    return app


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""

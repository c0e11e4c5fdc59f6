"""The refusals of the admin API (RFC 9457), in the caller's language."""

import json
from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from comporta.errors import (
    ComportaError,
    ConfigError,
    ConflictError,
    FleetError,
    LimitError,
    NotFoundError,
    StoreError,
)
from comporta.i18n import current, translate
from comporta.ingest.problems import BAD_METHOD as WEBHOOK_METHOD
from comporta.ingest.problems import Problem

MEDIA_TYPE = "application/problem+json"


def _(message: str) -> str:
    """Marks a text for translation; it is translated when an answer is made."""
    return message


NO_KEY = Problem(
    401,
    "/problems/no-api-key",
    _("The API key is missing or not known"),
    _("Send Authorization: Bearer KEY. `comporta api-key create` makes a key."),
)
METRICS_TOKEN = Problem(
    401,
    "/problems/metrics-token",
    _("The metrics are shown to whoever has the token"),
    _("Send Authorization: Bearer TOKEN, with the value of the setting metrics_token."),
)
SCOPE = Problem(
    403,
    "/problems/scope",
    _("The API key may not do this"),
    _("Use a key with a larger scope: read, operate or admin."),
)
NO_PAGE = Problem(
    404,
    "/problems/no-such-address",
    _("There is nothing at this address"),
    _("See /api/v1/openapi.json for what there is."),
)
NOT_FOUND = Problem(
    404,
    NotFoundError.problem,
    _("What was asked for does not exist"),
    _("List what there is."),
)
METHOD = Problem(
    405,
    WEBHOOK_METHOD.type,
    _("This method is not possible here"),
    _("The header Allow says which are."),
)
CONFLICT = Problem(
    409,
    ConflictError.problem,
    _("Somebody else changed the same, or it is there already"),
    _("Look at it, and try again."),
)
LIMIT = Problem(
    409,
    LimitError.problem,
    _("There are as many of these as there may be"),
    _("Remove what is not needed any more."),
)
UNDER_WAY = Problem(
    409,
    "/problems/under-way",
    _("The first request with this Idempotency-Key is still under way"),
    _("Ask again in a moment, with the same key and body."),
)
TOO_LARGE = Problem(
    413,
    "/problems/too-large",
    _("The body is too large"),
    _("Send less, or in several requests."),
)
INVALID = Problem(
    422,
    "/problems/invalid",
    _("The request is not as described"),
    _("Compare it with /api/v1/openapi.json; `errors` names what is wrong."),
)
FLEET = Problem(
    422,
    FleetError.problem,
    _("The fleet cannot be like this; nothing was changed"),
    _("Correct what is named, and send it again."),
)
MISDIRECTED = Problem(
    421,
    "/problems/no-console",
    _("This server has no admin API"),
    _("Its roles leave console out. Ask a server that has it, or change its roles."),
)
CONFIG = Problem(
    422,
    ConfigError.problem,
    _("A value cannot be used; nothing was changed"),
    _("Correct what is named, and send it again."),
)
OTHER_BODY = Problem(
    422,
    "/problems/other-request",
    _("This Idempotency-Key belongs to another request"),
    _("Take a new key for each request; use it again only to repeat that very request."),
)
TOO_MANY = Problem(
    429,
    "/problems/too-many-attempts",
    _("Too many requests without a valid API key"),
    _("Wait, then send a valid key."),
)
DEFECT = Problem(
    500,
    "/problems/defect",
    _("A defect in Comporta"),
    _("The gateway's log has the details under this id; please send them in."),
)
BUSY = Problem(
    503,
    "/problems/busy",
    _("The gateway cannot answer right now"),
    _("Try again in a few seconds."),
)
UNAVAILABLE = Problem(
    503,
    "/problems/store-unavailable",
    _("A store of the gateway cannot be used right now"),
    _("The disk or the store needs care; see /health and `comporta doctor`."),
)
_OF_ERRORS: tuple[tuple[type[ComportaError], Problem], ...] = (
    (NotFoundError, NOT_FOUND),
    (ConflictError, CONFLICT),
    (LimitError, LIMIT),
    (FleetError, FLEET),
    (ConfigError, CONFIG),
    (StoreError, UNAVAILABLE),
)
"""The first that fits."""
_RETRY_AFTER_S = {409: 1, 429: 30, 503: 3}


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong: where (JSON Pointer into the body, or a parameter), and what."""

    pointer: str
    reason: str


class RefusedError(Exception):
    """A request is refused.

    Args:
        problem: why.
        reason: what is special about this case, translated; may be empty.
        errors: what exactly is wrong with the request.
        id: under which the log has more, "" for none.
    """

    def __init__(
        self,
        problem: Problem,
        reason: str = "",
        *,
        errors: tuple[Fault, ...] = (),
        id: str = "",  # noqa: A002  (the member's name in the document)
    ) -> None:
        super().__init__(problem.type)
        self.problem, self.reason, self.errors, self.id = problem, reason, errors, id


def refusal_of(error: ComportaError) -> RefusedError:
    """An error of the tree as a refusal. Its words are for people, and say what to do."""
    problem = next((one for kind, one in _OF_ERRORS if isinstance(error, kind)), DEFECT)
    if isinstance(error, FleetError) and error.path:
        return RefusedError(problem, str(error), errors=(Fault(pointer(error.path), str(error)),))
    # What is wrong with a store names files of this machine; its owner finds it in the log.
    return RefusedError(problem, "" if isinstance(error, StoreError) else str(error))


def pointer(path: tuple[str | int, ...]) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join(f"/{str(one).replace('~', '~0').replace('/', '~1')}" for one in path)


def answer(refusal: RefusedError, headers: Mapping[str, str] | None = None) -> Response:
    """The problem document, in the language that is current for this task."""
    problem, language = refusal.problem, current()
    document: dict[str, object] = {
        "type": problem.type,
        "title": translate(problem.title, language),
        "status": problem.status,
        "detail": translate(problem.detail, language),
    }
    if refusal.reason:
        document["reason"] = refusal.reason
    if refusal.errors:
        document["errors"] = msgspec.to_builtins(refusal.errors)
    if refusal.id:
        document["id"] = refusal.id
    named = {"content-language": language.replace("_", "-"), "cache-control": "no-store"}
    named |= headers or {}
    if problem.status == 401:  # noqa: PLR2004
        named["www-authenticate"] = 'Bearer realm="comporta"'
    if problem.status in _RETRY_AFTER_S and problem not in (CONFLICT, LIMIT):
        named["retry-after"] = str(_RETRY_AFTER_S[problem.status])
    body = json.dumps(document, ensure_ascii=False).encode(errors="replace")
    return Response(body, problem.status, named, MEDIA_TYPE)

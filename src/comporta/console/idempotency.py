"""`Idempotency-Key`: a request that is sent again is carried out once, and answered alike.

Only success is kept, for what was refused has changed nothing. Answers may hold a new token or key,
so all are sealed at rest.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from comporta.console import problems
from comporta.console.problems import Fault, RefusedError
from comporta.errors import ComportaError, StoreError
from comporta.i18n import _
from comporta.ledger.admin import AdminLedger, ApiKey
from comporta.vault import Vault

HEADER = "Idempotency-Key"
KEY_CHARS_MAX = 255
_SUCCESS = 2
_log = structlog.get_logger(__name__)


class _Kept(msgspec.Struct, frozen=True):
    status: int
    media_type: str
    body: str


class Once:
    """Carries requests out once.

    Args:
        ledger: keeps the answers.
        vault: seals them.
        now_ms: Unix milliseconds.
    """

    def __init__(self, ledger: AdminLedger, vault: Vault, now_ms: Callable[[], int]) -> None:
        self._ledger, self._vault, self._now_ms = ledger, vault, now_ms

    async def run(
        self,
        request: Request,
        body: bytes,
        caller: ApiKey,
        carry_out: Callable[[], Awaitable[Response]],
    ) -> Response:
        """What `carry_out` answers, or what it answered before.

        Raises:
            RefusedError: the key is no key, belongs to another request, or to one under way.
        """
        key = request.headers.get(HEADER)
        if key is None:
            return await carry_out()
        if not (0 < len(key) <= KEY_CHARS_MAX and key.isascii() and key.isprintable()):
            said = _("A key has 1 to {max} printable ASCII characters.").format(max=KEY_CHARS_MAX)
            raise RefusedError(problems.INVALID, errors=(Fault(HEADER, said),))
        digest = _digest(request, body)
        begun = await self._ledger.begin(caller.id, key, digest, self._now_ms())
        if begun.fresh:
            return await self._first(caller.id, key, carry_out)
        if begun.digest != digest:
            raise RefusedError(problems.OTHER_BODY)
        if not begun.answer:
            raise RefusedError(problems.UNDER_WAY)
        return self._again(begun.answer)

    async def _first(
        self, caller: str, key: str, carry_out: Callable[[], Awaitable[Response]]
    ) -> Response:
        try:
            response = await carry_out()
        except (RefusedError, ComportaError, HTTPException, RequestValidationError):
            await self._ledger.finish(caller, key, "")
            raise
        # Whatever else may have happened is not known to have changed nothing: it stays under way.
        answer = ""
        if response.status_code // 100 == _SUCCESS:
            body = bytes(response.body).decode()
            kept = _Kept(response.status_code, response.headers["content-type"], body)
            answer = self._vault.seal(msgspec.json.encode(kept).decode())
        try:
            await self._ledger.finish(caller, key, answer)
        except StoreError as error:  # it is done, and the caller shall know
            _log.warning("idempotency.answer_not_kept", error=str(error))
        return response

    def _again(self, sealed: str) -> Response:
        kept = msgspec.json.decode(self._vault.open(sealed), type=_Kept)
        headers = {
            "idempotent-replayed": "true",
            "cache-control": "no-store",
            "content-type": kept.media_type,
        }
        return Response(kept.body.encode(), kept.status, headers)


def _digest(request: Request, body: bytes) -> str:
    head = f"{request.method} {request.url.path}?{request.url.query}\n"
    return sha256(head.encode() + body).hexdigest()

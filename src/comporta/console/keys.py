"""The operations on API keys."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from comporta.console import asked, shapes, told
from comporta.console.desk import Desk, who
from comporta.console.operations import ADMIN, Operations
from comporta.console.paging import Cursor, Limit, cut, link, read_cursor

KeyId = Annotated[str, Path(max_length=64, description="The key's name or id.")]


class KeyOperations:
    """Registers them.

    Args:
        desk: the surroundings.
        changed: called after a change, so that it is live here at once.
    """

    def __init__(self, desk: Desk, changed: Callable[[], None]) -> None:
        self._desk, self._keys, self._changed = desk, desk.stores.keys, changed

    def add_to(self, operations: Operations) -> None:
        """Add all."""
        add = operations.add
        add("GET", "/api-keys", "listApiKeys", self.list, ADMIN, shapes.Page[shapes.ApiKey])
        add("POST", "/api-keys", "createApiKey", self.create, ADMIN, shapes.NewApiKey, status=201)
        add("DELETE", "/api-keys/{id}", "revokeApiKey", self.revoke, ADMIN, shapes.ApiKey)

    async def list(
        self, request: Request, response: Response, limit: Limit = 50, cursor: Cursor = None
    ) -> shapes.Page[shapes.ApiKey]:
        """API keys, oldest first."""
        after = read_cursor("api-keys", cursor)
        keys = await self._keys.list()
        places = {f"{one.created_at_ms:020}{one.id}": one for one in keys}
        rest = sorted(place for place in places if after is None or place > after)
        page, following = cut(rest[: limit + 1], limit, "api-keys", str)
        link(request, response, following)
        items = [told.api_key(places[place]) for place in page]
        return shapes.Page(items=items, next=following)

    async def create(self, request: Request, body: asked.ApiKeyAsked) -> shapes.NewApiKey:
        """Make an API key; it is shown once."""
        now_ms = self._desk.now_ms()
        key, text = await self._keys.create(body.name, body.scope, who(request), now_ms)
        self._changed()
        return shapes.NewApiKey(**told.api_key(key).model_dump(), key=text)

    async def revoke(self, id: KeyId) -> shapes.ApiKey:  # noqa: A002
        """Make an API key useless, within a second."""
        now_ms = self._desk.now_ms()
        key = await self._keys.revoke(id, now_ms)
        self._changed()
        return told.api_key(key).model_copy(update={"revoked_at": told.moment(now_ms)})

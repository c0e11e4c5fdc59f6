"""API keys: made, listed, revoked. A key is shown once; only its digest is kept."""

from comporta.domain.ids import fresh
from comporta.errors import FleetError, NotFoundError
from comporta.fleet.names import is_slug
from comporta.i18n import _
from comporta.ledger.admin import AdminLedger, ApiKey, Scope
from comporta.vault import digest_token, new_token
from comporta.words import did_you_mean

LIVE_MAX = 200
REVOKED_KEPT = 200
_HINT_CHARS = 8


class KeyService:
    """What may be done with API keys.

    Raises, from any operation:
        StoreUnavailableError: the ledger cannot be used right now.
    """

    def __init__(self, ledger: AdminLedger) -> None:
        self._ledger = ledger

    async def list(self) -> list[ApiKey]:
        """All of them, oldest first; of the revoked ones the newest."""
        return await self._ledger.api_keys()

    async def create(self, name: str, scope: Scope, who: str, now_ms: int) -> tuple[ApiKey, str]:
        """A new key, and its text, which nobody can tell again.

        Raises:
            FleetError: the name is not one.
            ConflictError: a live key has this name.
            LimitError: there are `LIVE_MAX` of them.
        """
        if not is_slug(name):
            said = _(
                "A key's name has lower-case letters, digits, - and _, at most 64, and starts with"
                " a letter or digit."
            )
            raise FleetError(said, path=("name",))
        text = new_token()
        digest, hint = digest_token(text), text[:_HINT_CHARS]
        key = ApiKey(fresh("key"), name, scope, digest, hint, now_ms, who)
        await self._ledger.add_api_key(key, LIVE_MAX, REVOKED_KEPT)
        return key, text

    async def revoke(self, name_or_id: str, now_ms: int) -> ApiKey:
        """Make a key useless, everywhere within a second.

        Raises:
            NotFoundError: there is no live key with this name or id.
        """
        live = [key for key in await self.list() if not key.revoked_at_ms]
        for key in live:
            if name_or_id in {key.id, key.name} and await self._ledger.revoke_api_key(
                key.id, now_ms
            ):
                return key
        said = _('There is no live API key "{name}".').format(name=name_or_id[:64])
        raise NotFoundError(
            f"{said} {did_you_mean(name_or_id, [one.name for one in live])}".strip()
        )

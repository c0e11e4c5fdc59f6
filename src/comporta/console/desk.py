"""What the operations of the admin API have at hand: services, ports, and who is calling."""

from collections.abc import Callable
from typing import Protocol

import msgspec
from starlette.requests import Request

from comporta.fleet.service import FleetService
from comporta.ledger.admin import AdminLedger, ApiKey
from comporta.ledger.port import Ledger
from comporta.log.port import Log
from comporta.operating.alerts import AlertService
from comporta.operating.keys import KeyService
from comporta.operating.names import Names
from comporta.operating.trials import TrialService
from comporta.state.port import State
from comporta.vault import Vault


class Stores(Protocol):
    """What `comporta.stores.open_stores` gives."""

    @property
    def ledger(self) -> Ledger:
        """The store of record."""
        ...

    @property
    def admin(self) -> AdminLedger:
        """The admin API's part of it."""
        ...

    @property
    def state(self) -> State:
        """What the workers share."""
        ...

    @property
    def log(self) -> Log:
        """The queue between ingest and dispatch."""
        ...

    @property
    def fleet(self) -> FleetService:
        """Reads and changes the fleet."""
        ...

    @property
    def keys(self) -> KeyService:
        """Makes and revokes API keys."""
        ...

    @property
    def alerts(self) -> AlertService:
        """Lists and acknowledges alerts."""
        ...

    @property
    def trials(self) -> TrialService:
        """Tries events on routes and destinations."""
        ...

    @property
    def vault(self) -> Vault:
        """Seals and opens secrets."""
        ...


class Desk(msgspec.Struct, frozen=True):
    """The surroundings of an operation."""

    stores: Stores
    public_url: str
    """Where Chatwoot reaches this gateway."""
    lease_s: float
    now_ms: Callable[[], int]

    async def names(self) -> Names:
        """Names and ids of the present fleet."""
        return Names(await self.stores.ledger.fleet())


def who(request: Request) -> str:
    """The caller, for the record of changes."""
    caller: ApiKey = request.state.caller
    return f"api:{caller.name}"

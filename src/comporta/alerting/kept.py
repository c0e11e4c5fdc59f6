"""The alerts as they are kept: one document in the ledger, that all servers and people see."""

import msgspec

from comporta.alerting import life
from comporta.alerting.model import Alert
from comporta.errors import ConflictError, NotFoundError
from comporta.i18n import _
from comporta.ledger.watching import Watching

NAME = "alerts"
TRIES = 5


class Kept(msgspec.Struct, frozen=True):
    """What is in it."""

    alerts: tuple[Alert, ...] = ()
    looked_at_ms: int = 0
    """When an evaluator last looked (Unix ms)."""
    awake_since_ms: int = 0
    """Since when there was always one that looked: nobody can be silent while we are."""


_decode = msgspec.json.Decoder(Kept).decode


async def read(watching: Watching) -> tuple[Kept, int]:
    """What is kept, and its version. Raises StoreUnavailableError."""
    document = await watching.document(NAME)
    return (_decode(document.text) if document.text else Kept()), document.version


async def write(watching: Watching, kept: Kept, version: int) -> bool:
    """Replace it; False: somebody else was first. Raises StoreUnavailableError."""
    return await watching.keep_document(NAME, msgspec.json.encode(kept).decode(), version)


async def acknowledge(watching: Watching, name: str, who: str, now_ms: int) -> Alert:
    """Acknowledge an open alert; as it is then.

    Raises:
        NotFoundError: none of this name is open.
        ConflictError: it is being changed again and again.
        StoreUnavailableError: the ledger does not answer.
    """
    for _try in range(TRIES):
        kept, version = await read(watching)
        alerts = life.acknowledged(kept.alerts, name, who, now_ms)
        if alerts is None:
            said = _('No alert "{name}" is open. See `comporta alerts`.')
            raise NotFoundError(said.format(name=name))
        changed = msgspec.structs.replace(kept, alerts=tuple(alerts))
        if await write(watching, changed, version):
            return next(one for one in alerts if one.is_open and one.name == name)
    raise ConflictError(_("The alerts are being changed. Try again."))

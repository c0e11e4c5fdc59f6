"""This server's copy of the fleet: intake starts with it when the ledger cannot be asked.

Without it a worker that starts while the ledger is away would know no token, and would refuse what
nobody sends again. Tokens are in it as digests, and secrets sealed, as they are in the ledger.
"""

import os
from pathlib import Path

import msgspec
import structlog

from comporta.domain.fleet import Fleet

_log = structlog.get_logger(__name__)
_decode = msgspec.json.Decoder(Fleet).decode


class FleetCopy:
    """One file, replaced as a whole. `path`: in the data folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Fleet | None:
        """The fleet as it was last known here; None if it is not, or cannot be read."""
        try:
            return _decode(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            _log.error("fleet.copy_not_read", path=str(self._path), error=str(error))
            return None

    def write(self, fleet: Fleet) -> None:
        """Keep a version. A disk that is full costs the copy and nothing else."""
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(file, "wb") as out:
                out.write(msgspec.json.encode(fleet))
            new.replace(self._path)
        except OSError as error:
            _log.warning("fleet.copy_not_kept", path=str(self._path), error=str(error))

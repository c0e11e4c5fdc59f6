"""Every error that Comporta raises on purpose, in one tree.

    ComportaError
    ├── ConfigError            a setting or a fleet file is wrong; nothing was changed
    │   └── FleetError         the same, with file, line and a proposal
    ├── NotFoundError          a name or id that was asked for does not exist
    ├── ConflictError          somebody else changed the same meanwhile (retryable)
    ├── LimitError             there are as many of these as there may be
    ├── RemoteError            a gateway could not be asked through its API, or refused
    └── StoreError             a store cannot do what it was asked
        ├── UnsafeSqliteError  the SQLite library has a known defect; refuse to start
        ├── SchemaTooNewError  the file was written by a newer Comporta; refuse to start
        ├── StoreUnavailableError  disk full, read-only, corrupt, locked (retryable)
        └── FencedError        another worker holds the partition now (its work goes on there)

Each class says whether trying again can help (`retryable`) and which problem type it is on the
wire (RFC 9457, relative to the documentation). Messages are whole sentences for people: what
happened, to what, and what to do next.
"""

from typing import ClassVar


class ComportaError(Exception):
    """The root. `str(error)` is meant to be shown to a person."""

    retryable: ClassVar[bool] = False
    problem: ClassVar[str] = "about:blank"


class ConfigError(ComportaError):
    """A setting or a file given by the operator cannot be used."""

    problem = "/problems/config"


class FleetError(ConfigError):
    """A fleet file is refused whole; nothing was changed.

    Args:
        message: what is wrong, in a sentence.
        file: the file's name as the operator gave it.
        line: line number, from 1; None where it cannot be told.
        hint: what to do next ("did you mean …"), may be empty.
        path: of the value that is wrong, keys and indexes from the document's root; may be empty.
    """

    problem = "/problems/fleet"

    def __init__(
        self,
        message: str,
        file: str = "",
        line: int | None = None,
        hint: str = "",
        path: tuple[str | int, ...] = (),
    ) -> None:
        self.message, self.file, self.line, self.hint = message, file, line, hint
        self.path = path
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{message}{' ' + hint if hint else ''}")


class NotFoundError(ComportaError):
    """A name or id does not exist."""

    problem = "/problems/not-found"


class ConflictError(ComportaError):
    """Something was changed by somebody else between reading and writing, or is there already."""

    retryable = True
    problem = "/problems/conflict"


class LimitError(ComportaError):
    """There are as many of these as there may be."""

    problem = "/problems/limit"


class RemoteError(ComportaError):
    """A running gateway could not be asked through its API, or did not let us in."""

    problem = "/problems/remote"


class StoreError(ComportaError):
    """A store cannot do what it was asked."""

    problem = "/problems/store"


class UnsafeSqliteError(StoreError):
    """The SQLite library at hand has a defect that can lose committed data."""


class SchemaTooNewError(StoreError):
    """The store was written by a newer version of Comporta."""


class StoreUnavailableError(StoreError):
    """The store cannot be written or read right now; what was not confirmed is not stored."""

    retryable = True
    problem = "/problems/store-unavailable"


class FencedError(StoreError):
    """The partition belongs to another worker now; drop what is in memory, its new owner has it.

    Args:
        message: says which partition.
        token: the fencing token of its owner.
    """

    def __init__(self, message: str, token: int) -> None:
        super().__init__(message)
        self.token = token

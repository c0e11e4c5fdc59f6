"""Reading a SQLite file on a thread of its own; it is opened anew when the file changes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from comporta.embedded.connection import unavailable

P = ParamSpec("P")
T = TypeVar("T")


class Reader:
    """The reading side of one file in one process.

    Args:
        path: the database file.
        open_connection: opens it; runs on the reader's thread.
    """

    def __init__(self, path: Path, open_connection: Callable[[], apsw.Connection]) -> None:
        self._path = path
        self._open_connection = open_connection
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"{path.name} reader")
        self._connection: apsw.Connection | None = None
        self._inode = 0

    async def run(
        self,
        work: Callable[Concatenate[apsw.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """`work(connection, …)` on the reader's thread.

        Raises:
            StoreUnavailableError: the file cannot be read right now.
        """

        def step() -> T:
            try:
                return work(self._live(), *args, **kwargs)
            except (apsw.Error, OSError) as error:
                self._drop()
                raise unavailable(error, self._path) from error

        return await asyncio.get_running_loop().run_in_executor(self._executor, step)

    async def close(self) -> None:
        """Close the file and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._drop)
        self._executor.shutdown()

    def _live(self) -> apsw.Connection:
        if self._connection is not None and self._same_file():
            return self._connection
        self._drop()
        self._connection = self._open_connection()
        self._inode = self._path.stat().st_ino
        return self._connection

    def _same_file(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

"""A PostgreSQL server of its own for tests, as durable as a real one, and a PgBouncer before it.

Both run in a folder of their own, on free ports, as the user `postgres` where tests run as root
(PostgreSQL refuses root). It is killed, frozen and started again by the pids that belong to it.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg  # type: ignore[import-untyped]
import pytest
from tests.support.gateway import free_port, wait_for

USER, PASSWORD, DATABASE = "comporta", "s3cret%2Fpassword", "ledger"
"""The password as it stands in a URL; the server's own has a slash in it."""
_PLAIN = PASSWORD.replace("%2F", "/")
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_PGBOUNCER = "/usr/sbin/pgbouncer"
_CONF = """
listen_addresses = '127.0.0.1'
shared_buffers = 16MB
max_connections = 60
fsync = on
log_min_messages = warning
"""


def _need(found: object, package: str) -> None:
    if not found:
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"this test needs Debian's package {package}")


def _as_postgres(*command: str) -> list[str]:
    if os.getuid() != 0:
        return list(command)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


def _give(path: Path) -> None:
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(path, user.pw_uid, user.pw_gid)


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if int(stat.read_text().rpartition(") ")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


class Postgresql:
    """See the module. Started on entering, gone with its folder on leaving."""

    def __init__(self) -> None:
        _need(_PROGRAMS, "postgresql")
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="comporta-pg-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        _give(self._folder)
        self._make()
        self.start()
        self._run_sql(f"CREATE DATABASE {DATABASE}", "postgres")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def url(self, schema: str = "comporta") -> str:
        """For `COMPORTA_LEDGER`; each schema is a ledger of its own."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{DATABASE}?schema={schema}"

    @property
    def pid(self) -> int:
        """Of its first process, whose children the others are; it has to run."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it with the data that is there; returns when it answers."""
        log = (self._folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                _as_postgres(
                    f"{_PROGRAMS[0]}/postgres", "-D", str(self._data), "-p", str(self.port)
                ),
                stdout=log,
                stderr=log,
            )
        wait_for("PostgreSQL answers", self._answers)

    def kill(self) -> None:
        """All of its processes at once, as a power cut would; its data stay."""
        if self._process is None:
            return
        pids = self._pids()
        for number in (signal.SIGKILL, signal.SIGCONT):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        self._process.wait()
        wait_for("its processes are gone", lambda: not any(map(_runs, pids)))
        self._process = None

    def restart(self) -> None:
        """Killed and started again."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """It stands still, and its connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def run_sql(self, sql: str) -> list[tuple[object, ...]]:
        """Ask it something, as its owner."""
        return self._run_sql(sql, DATABASE)

    def configure(self, **settings: str) -> None:
        """Settings for the next start."""
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(_PLAIN)
        _give(secret)
        command = (f"{_PROGRAMS[0]}/initdb", "-D", str(self._data), "-U", USER, "-E", "UTF8")
        auth = ("--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--locale=C")
        subprocess.run(_as_postgres(*command, *auth), check=True, stdout=subprocess.DEVNULL)
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write(f"{_CONF}unix_socket_directories = '{self._folder}'\n")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self._folder / "log").read_text())
        try:
            self._run_sql("SELECT 1", "postgres")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    def _run_sql(self, sql: str, database: str) -> list[tuple[object, ...]]:
        async def run() -> list[tuple[object, ...]]:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user=USER, password=_PLAIN, database=database
            )
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()

        return asyncio.run(run())

    def _pids(self) -> list[int]:
        return [self.pid, *_children(self.pid)]

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids():
            os.kill(pid, number)


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@contextmanager
def pgbouncer(server: Postgresql) -> Iterator[Callable[[str], str]]:
    """A PgBouncer in transaction mode, with fewer connections than it is asked for.

    Yields what makes the URL of a schema.
    """
    _need(shutil.which(_PGBOUNCER), "pgbouncer")
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="comporta-pgbouncer-"))
    _give(folder)
    users = folder / "users"
    users.write_text(f'"{USER}" "{_PLAIN}"\n')
    conf = folder / "pgbouncer.ini"
    conf.write_text(
        f"[databases]\n{DATABASE} = host=127.0.0.1 port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\n"
        "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 200\n"
    )
    process = subprocess.Popen(
        _as_postgres(_PGBOUNCER, "-q", str(conf)), stdout=subprocess.DEVNULL, stderr=None
    )
    try:
        url = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}?schema="
        wait_for("PgBouncer answers", lambda: _connects(url.partition("?")[0]))
        yield lambda schema: f"{url}{schema}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _connects(url: str) -> bool:
    async def run() -> None:
        await (await asyncpg.connect(url, statement_cache_size=0)).close()

    try:
        asyncio.run(run())
    except (OSError, asyncpg.PostgresError):
        return False
    return True


if __name__ == "__main__":  # for measuring by hand
    began = time.monotonic()
    with Postgresql() as one:
        print(one.url(), time.monotonic() - began)  # noqa: T201
        input()

"""Redis as operators set it up: logins, TLS, sentinels, and settings that must not be."""

import asyncio
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, fences
from tests.support.certificates import make_certificate
from tests.support.servers.redis import RedisCluster, RedisProcess, RedisSentinel

from comporta.errors import ConfigError, StoreUnavailableError
from comporta.log.redis.log import RedisLog
from comporta.state.port import WorkerRow
from comporta.state.redis.state import RedisState
from comporta.testing.conformance.records import end_of, opened, read_all, record, until

PASSWORD = "s3cret@/:é"
QUOTED = "s3cret%40%2F%3A%C3%A9"
(RIGHTS,) = fences(DOCS / "redis.md", "text")
"""`ACL SETUSER gateway on >secret …`, as operators are told."""
ACL = " ".join(RIGHTS.replace("ACL SETUSER", "user").replace("secret", PASSWORD).split())
NOW_MS = 1_795_500_000_000


def log_at(url: str, partitions: int = 4) -> RedisLog:
    return RedisLog(url, partitions, body_bytes_max=20 << 20)


async def use(log: RedisLog) -> None:
    """All that a gateway asks of a log."""
    async with opened(log):
        await log.append(record(0, b"1"))
        assert [entry.record.body for entry in await read_all(log)][-1:] == [b"1"]
        await log.commit(await end_of(log))
        assert await log.lag() == 0
        await log.room()
        await log.probe()


async def use_state(url: str) -> None:
    state = RedisState(url)
    await state.open()
    await state.beat(WorkerRow("a", 1, NOW_MS, NOW_MS, 0), 4.0)
    assert await state.acquire("a", [0], 1, 4.0, NOW_MS)
    assert (await state.trip("dst", NOW_MS, "HTTP 503")).trips == 1
    await state.close()


def test_the_same_rights_are_enough_in_a_cluster(tmp_path: Path) -> None:
    with RedisCluster(tmp_path / "cluster") as cluster:
        for node in cluster.nodes:
            assert node.cli(*RIGHTS.split()) == "OK"
        url = cluster.url.replace("://", "://gateway:secret@")
        asyncio.run(use(log_at(url)))
        asyncio.run(use_state(url))


def with_login(folder: Path, rights: str = "") -> RedisProcess:
    server = RedisProcess(folder, {"aclfile": str(folder / "users.acl")}, ("--no-auth-warning",))
    folder.mkdir(exist_ok=True)
    (folder / "users.acl").write_text(f"{ACL} {rights}\nuser default on nopass ~* &* +@all\n")
    return server


def test_a_user_with_few_rights_is_enough(tmp_path: Path) -> None:
    with with_login(tmp_path / "redis") as server:
        url = f"redis://gateway:{QUOTED}@127.0.0.1:{server.port}/0"
        asyncio.run(use(log_at(url)))
        asyncio.run(use_state(url))


def test_a_server_whose_settings_may_not_be_asked_is_used_with_a_warning(tmp_path: Path) -> None:
    async def run(port: int) -> None:
        log = log_at(f"redis://gateway:{QUOTED}@127.0.0.1:{port}")
        async with opened(log):
            await log.append(record())
            (warning,) = log.health().warnings
            assert "CONFIG GET" in warning
            assert "appendfsync" in warning

    with with_login(tmp_path / "redis", "-config -info") as server:
        asyncio.run(run(server.port))


def test_no_message_tells_a_password(tmp_path: Path) -> None:
    async def told(url: str) -> str:
        log = log_at(url)
        async with opened(log):
            with pytest.raises(StoreUnavailableError) as caught:
                await log.append(record())
            return f"{caught.value} {log.health().error} {log._server.address!r}"

    with with_login(tmp_path / "redis") as server:
        for login in (f"gateway:{QUOTED}x", f"nobody:{QUOTED}"):
            said = asyncio.run(told(f"redis://{login}@127.0.0.1:{server.port}"))
            assert f"127.0.0.1:{server.port}" in said
            assert "s3cret" not in said
        port = server.port
    said = asyncio.run(told(f"redis://gateway:{QUOTED}@127.0.0.1:{port}"))
    assert "s3cret" not in said


def test_tls_is_spoken_and_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path,
) -> None:
    certificate, key = make_certificate(tmp_path)
    settings = {
        "port": "0",
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-auth-clients": "no",
    }
    server = RedisProcess(tmp_path / "redis", settings, ("--tls", "--insecure"))
    server.settings["tls-port"] = str(server.port)

    async def refused() -> str:
        log = log_at(f"rediss://127.0.0.1:{server.port}")
        async with opened(log):
            return log.health().error

    with server:
        asyncio.run(use(log_at(f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={certificate}")))
        assert "certificate" in asyncio.run(refused())


async def is_copied(first: RedisProcess) -> bool:
    """Whether a replica has all that this server has. (WAIT is about its caller's own writes.)"""
    told = dict(
        line.split(":", 1) for line in first.cli("INFO", "replication").split() if ":" in line
    )
    replica = dict(pair.split("=") for pair in told.get("slave0", "").split(",") if pair)
    return int(replica.get("offset", "-1")) >= int(told["master_repl_offset"])


def test_behind_a_sentinel_the_replica_that_takes_over_is_found(tmp_path: Path) -> None:
    async def run(first: RedisProcess, url: str) -> None:
        log = log_at(f"{url}?socket_timeout=1")
        async with opened(log):
            await log.append(record(0, b"before"))
            assert "min-replicas-to-write" in " ".join(log.health().warnings)
            await until("the replica has a copy", lambda: is_copied(first), 20.0)
            first.kill()
            await until("appends go on", lambda: is_appended(log, b"after"), 20.0)
            bodies = [entry.record.body for entry in await read_all(log)]
            assert bodies == [b"before", b"after"]

    with (
        RedisProcess(tmp_path / "first") as first,
        RedisProcess(
            tmp_path / "second",
            {"replicaof": f"127.0.0.1 {first.port}", "repl-diskless-sync-delay": "0"},
        ) as second,
        RedisSentinel(tmp_path / "sentinel", first) as sentinel,
    ):
        asyncio.run(asyncio.wait_for(_known(sentinel, second), 20))
        asyncio.run(run(first, sentinel.url))


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_in_a_cluster_the_replica_that_takes_over_is_found(tmp_path: Path, fault: str) -> None:
    key = "comporta:log:{0}:entries"

    async def run(cluster: RedisCluster, first: RedisProcess) -> None:
        log = log_at(f"{cluster.url}?socket_timeout=1", 1)
        async with opened(log):
            await log.append(record(0, b"before"))
            await until("the replica has a copy", lambda: is_copied(first), 20.0)
            getattr(first, fault)()
            await until("appends go on", lambda: is_appended(log, b"after"), 20.0)
            assert [entry.record.body for entry in await read_all(log)] == [b"before", b"after"]

    with RedisCluster(tmp_path / "cluster") as cluster:
        first = cluster.owner(key)
        replica = cluster.replica_of(first, tmp_path / "replica")
        try:
            asyncio.run(run(cluster, first))
        finally:
            replica.kill()


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_the_state_finds_it_too(tmp_path: Path, fault: str) -> None:
    async def run(cluster: RedisCluster, first: RedisProcess) -> None:
        state = RedisState(f"{cluster.url}?socket_timeout=1")
        await state.open()
        opened_at = await state.trip("dst", NOW_MS, "HTTP 503")

        async def kept() -> bool:
            try:
                return await state.breakers() == {"dst": opened_at}
            except StoreUnavailableError:
                return False

        await until("the replica has a copy", lambda: is_copied(first), 20.0)
        getattr(first, fault)()
        await until("the state answers", kept, 20.0)
        await state.close()

    with RedisCluster(tmp_path / "cluster") as cluster:
        first = cluster.owner("comporta:{state}:breakers")
        replica = cluster.replica_of(first, tmp_path / "replica")
        try:
            asyncio.run(run(cluster, first))
        finally:
            replica.kill()


async def is_appended(log: RedisLog, body: bytes) -> bool:
    try:
        await log.append(record(0, body))
    except StoreUnavailableError:
        return False
    return True


async def _known(sentinel: RedisProcess, replica: RedisProcess) -> None:
    async def listed() -> bool:
        return str(replica.port) in sentinel.cli("SENTINEL", "REPLICAS", "main")

    await until("the sentinel knows the replica", listed, 20.0)


@pytest.mark.parametrize(
    ("name", "value"), [("appendonly", "no"), ("maxmemory-policy", "allkeys-lru")]
)
def test_a_log_that_would_lose_events_is_refused_by_the_name_of_the_setting(
    tmp_path: Path, name: str, value: str
) -> None:
    with (
        RedisProcess(tmp_path / "redis", {name: value}) as server,
        pytest.raises(ConfigError, match=f"{name} {value}"),
    ):
        asyncio.run(log_at(server.url).open())


def test_a_server_that_comes_back_with_dangerous_settings_gets_no_appends_until_they_are_right(
    tmp_path: Path,
) -> None:
    server = RedisProcess(tmp_path / "redis")

    async def run() -> None:
        log = log_at(server.url)
        async with opened(log):
            assert "cannot be reached" in log.health().error
            server.settings["appendonly"] = "no"
            server.start()

            async def refused() -> bool:
                return "appendonly no" in log.health().error

            await until("health names the setting", refused, 5.0)
            with pytest.raises(StoreUnavailableError, match="appendonly"):
                await log.append(record())
            server.cli("CONFIG", "SET", "appendonly", "yes")

            async def healthy() -> bool:
                return not log.health().error

            await until("it is used", healthy, 10.0)
            await log.append(record())

    try:
        asyncio.run(run())
    finally:
        server.kill()


@pytest.mark.parametrize("value", ["everysec", "no"])
def test_what_a_power_cut_would_take_is_a_warning(tmp_path: Path, value: str) -> None:
    async def warnings(url: str) -> tuple[str, ...]:
        log = log_at(url)
        async with opened(log):
            return log.health().warnings

    with RedisProcess(tmp_path / "redis", {"appendfsync": value}) as server:
        (warning,) = asyncio.run(warnings(server.url))
        assert f"appendfsync {value}" in warning


def test_a_state_is_warned_of_eviction_and_works_after_its_server_was_away_at_the_start(
    tmp_path: Path,
) -> None:
    server = RedisProcess(tmp_path / "redis", {"maxmemory-policy": "allkeys-lru"})

    async def run() -> None:
        state = RedisState(server.url)
        await state.open()
        with pytest.raises(StoreUnavailableError, match=f"127.0.0.1:{server.port}"):
            await state.acquire("a", [0], 1, 4.0, NOW_MS)
        server.start()
        await state.beat(WorkerRow("a", 1, NOW_MS, NOW_MS, 0), 4.0)
        assert await state.acquire("a", [0], 1, 4.0, NOW_MS)
        assert "allkeys-lru" in " ".join(state.warnings)
        await state.close()

    try:
        asyncio.run(run())
    finally:
        server.kill()

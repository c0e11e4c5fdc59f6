"""A Redis to talk to, whether one server, one behind sentinels, or a cluster; Valkey as well.

Calls go out together and have a deadline. Nothing is sent twice by itself: an answer that was lost
may belong to something that was done. It knows no keys; failures are told as our errors, in words
that name the server and never the login.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Sequence
from typing import Any, TypeAlias

import msgspec
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from comporta.clients.redis_url import Address, parse_address
from comporta.errors import ConfigError, StoreUnavailableError
from comporta.i18n import _

ANSWER_S = 5.0
"""An answer that takes longer is none."""
CONNECT_S = 2.0
CONNECTIONS_MAX = 100
"""To one server, from one process."""
_LOST = (RedisConnectionError, RedisTimeoutError)
Word: TypeAlias = str | bytes | int | float
Call: TypeAlias = Sequence[Word]
# uvloop tells by a RuntimeError that a connection was closed while something was to be written.
_FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError, RuntimeError)


class Script(msgspec.Struct, frozen=True):
    """A Lua script. The server keeps it by its digest, and may forget it at a restart."""

    source: str

    @property
    def sha(self) -> str:
        """What the server calls it."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *arguments: Word) -> Call:
        """The call that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


class RedisServer:
    """One Redis, from its URL (see `redis_url`). Connects when it is first asked.

    Args:
        url: which.
        scripts: all that are going to be called.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(self, url: str, scripts: Sequence[Script] = ()) -> None:
        self.address = parse_address(url)
        self._scripts = {script.sha: script.source for script in scripts}
        self._answer_s = float(self.address.options.get("socket_timeout", ANSWER_S))
        self._lost = False
        self._sentinel: Sentinel | None = None
        try:
            self._client = self._connect(self.address)
        except (TypeError, ValueError, RedisError, RedisClusterException) as error:
            said = _("The Redis URL for {where} has an option that the client refuses: {reason}.")
            # The client names the option; a value it does not tell.
            raise ConfigError(
                said.format(where=self.address.where, reason=str(error).rstrip("."))
            ) from None

    @property
    def replicated(self) -> bool:
        """Whether another server may take over from this one."""
        return self.address.kind != "plain"

    async def one(self, *words: Word) -> Any:
        """Make one call.

        Raises:
            StoreUnavailableError: no answer, or a refusal.
        """
        (answer,) = await self.many([words])
        if isinstance(answer, StoreUnavailableError):
            raise answer
        return answer

    async def many(self, calls: Sequence[Call]) -> list[Any]:
        """Make calls together: in one round trip, or one for each server of a cluster.

        Args:
            calls: each of one key, or of keys in one slot.

        Returns:
            An answer for each; a `StoreUnavailableError` in the place of one that was refused.

        Raises:
            StoreUnavailableError: no answers; what was done of it cannot be told.
        """
        try:
            async with asyncio.timeout(self._answer_s):
                await self._look_again()
                answers = await self._send(calls)
                again = [n for n, one in enumerate(answers) if isinstance(one, NoScriptError)]
                if again:  # none of these was run
                    await self._load_scripts()
                    for n, answer in zip(
                        again, await self._send([calls[n] for n in again]), strict=True
                    ):
                        answers[n] = answer
        except _FAILURES as error:
            self._lost = True
            raise self.unavailable(error) from None
        self._lost |= any(isinstance(one, _LOST) for one in answers)
        return [self.unavailable(one) if isinstance(one, _FAILURES) else one for one in answers]

    async def everywhere(self, *words: Word) -> list[tuple[str, Any]]:
        """Make one call to every server that takes writes; server → answer, or what it refused."""
        try:
            async with asyncio.timeout(self._answer_s):
                await self._look_again()
                return await self._everywhere(*words)
        except _FAILURES as error:
            self._lost = True
            raise self.unavailable(error) from None

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()
        if isinstance(self._client, RedisCluster):
            # After a failure the client takes itself for closed, whatever was opened since.
            await self._client.nodes_manager.aclose()
            await self._client.nodes_manager.aclose("startup_nodes")
        if self._sentinel is not None:
            await self._sentinel.aclose()

    def unavailable(self, error: Exception) -> StoreUnavailableError:
        """A failure in words."""
        where = self.address.where
        reason = str(error).strip().rstrip(".") or type(error).__name__
        if isinstance(error, (TimeoutError, RedisTimeoutError)):
            said = _("Redis at {where} does not answer in time. Is it running, and not frozen?")
        elif isinstance(error, ResponseError):
            said = _("Redis at {where} refuses: {reason}. See its log, and put that right.")
        else:
            said = _("Redis at {where} cannot be reached: {reason}. Is it running?")
        return StoreUnavailableError(said.format(where=where, reason=reason))

    def _connect(self, address: Address) -> Redis | RedisCluster:
        options: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_S,
            "socket_timeout": ANSWER_S,
            "max_connections": CONNECTIONS_MAX,
            **{k: v for k, v in address.options.items() if not k.startswith("retry_")},
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": False,
            "protocol": 2,
        }
        if address.tls:
            options["ssl"] = True
        match address.kind:
            case "cluster":
                nodes = [ClusterNode(host, port) for host, port in address.hosts]
                return RedisCluster(startup_nodes=nodes, **options)
            case "sentinel":
                theirs = {
                    name: value
                    for name, value in options.items()
                    if name.startswith(("socket_", "ssl"))
                }
                theirs |= address.sentinel_options
                self._sentinel = Sentinel(address.hosts, sentinel_kwargs=theirs)  # type: ignore[no-untyped-call]
                client: Redis = self._sentinel.master_for(address.service, **options)
            case "plain":
                ((host, port),) = address.hosts
                client = Redis(host=host, port=port, **options)
        # Not connected: only to find bad options now.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        return client

    async def _look_again(self) -> None:
        """Learn anew which servers a cluster has, if one failed: another may have taken over.

        The client does that by itself only where it is told that a slot has moved.
        """
        if self._lost and isinstance(self._client, RedisCluster):
            await self._client.nodes_manager.initialize()
            self._lost = False

    async def _send(self, calls: Sequence[Call]) -> list[Any]:
        if isinstance(self._client, RedisCluster):
            pipeline: Any = self._client.pipeline()
        else:
            pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command(*call)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def _load_scripts(self) -> None:
        for source in self._scripts.values():
            for _name, answer in await self._everywhere("SCRIPT LOAD", source):
                if isinstance(answer, ResponseError):
                    raise answer

    async def _everywhere(self, *words: Word) -> list[tuple[str, Any]]:
        client: Any = self._client
        if not isinstance(client, RedisCluster):
            return [(self.address.where, await _answer(client.execute_command(*words)))]
        await client.initialize()
        found = []
        for node in client.get_primaries():
            answer = await _answer(client.execute_command(*words, target_nodes=node))
            found.append((f"{node.host}:{node.port}", answer))
        return found


async def _answer(asked: Awaitable[Any]) -> Any:
    """An answer, or the refusal in its place."""
    try:
        return await asked
    except ResponseError as error:
        return error

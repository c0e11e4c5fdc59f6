"""What Comporta is measured against: the least a server can do, and what one writes by hand.

Started by uvicorn in processes of their own. `BENCH_STORE` names the folder or the Redis to use.
The two that are built with FastAPI are written as its own documentation would.
"""

import json
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from redis.asyncio import Redis

STORE = os.environ.get("BENCH_STORE", "")


async def empty(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Reads the body and answers 200: the ceiling of this server on this machine."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


def fastapi_sqlite() -> FastAPI:
    """One transaction a request, as durable as Comporta's: WAL and `synchronous=FULL`."""
    app = FastAPI()
    database = sqlite3.connect(f"{STORE}/by-hand.db", check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, type, body)")
    lock = threading.Lock()

    def store(event_type: str, body: bytes) -> None:
        with lock, database:
            database.execute("INSERT INTO events (type, body) VALUES (?, ?)", (event_type, body))

    @app.post("/webhook/{token}")
    async def webhook(token: str, request: Request) -> Response:
        del token
        body = await request.body()
        # In the loop: handing over to a thread costs more than this commit takes.
        store(json.loads(body)["event"], body)
        return Response()

    return app


def fastapi_redis() -> FastAPI:
    """One `LPUSH` a request; Redis writes to disk once a second, after the answer."""
    redis = Redis.from_url(STORE)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await redis.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/webhook/{token}")
    async def webhook(token: str, request: Request) -> Response:
        del token
        body = await request.body()
        json.loads(body)
        await redis.lpush("events", body)
        return Response()

    return app

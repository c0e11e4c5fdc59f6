"""What stands at a URL that is no gateway's is told in a sentence, never as a defect."""

import asyncio
from typing import Any

import pytest
from tests.support.listener import Answer, listening, writes

from comporta.cli.remote_http import Connection
from comporta.errors import RemoteError


def page(body: bytes, status: bytes = b"200 OK") -> Answer:
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body))
    return writes(head + body)


@pytest.mark.parametrize(
    "answer",
    [
        page(b"<!doctype html><title>Chatwoot</title>"),
        page(b""),
        page(b"[1, 2]"),
        page(b"\xff\xfe\x00"),
        page(b"<h1>no</h1>", b"404 Not Found"),
        page(b"null", b"500 Oops"),
    ],
    ids=["page", "nothing", "list", "bytes", "refusal", "null"],
)
@pytest.mark.parametrize("method", ["get", "post", "patch", "delete"])
def test_an_answer_of_another_server_is_a_sentence_that_asks_about_the_url(
    answer: Answer, method: str
) -> None:
    async def ask() -> Any:
        async with listening(answer) as listener:
            connection = Connection(listener.url, "cmp_x")
            try:
                await getattr(connection, method)("/fleet", *([{}] if method[0] == "p" else []))
            finally:
                await connection.close()

    with pytest.raises(RemoteError, match=r"not as a gateway does\. Is the URL right\?"):
        asyncio.run(ask())

"""What librdkafka says reaches the log in our words, not too often and without secrets."""

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from comporta.errors import StoreUnavailableError
from comporta.log.kafka import place
from comporta.log.kafka.client import KINDS_MAX, _Lines, reason_of, unavailable
from comporta.log.kafka.place import place_of
from comporta.log.kafka.writer import Writer
from comporta.testing.conformance.records import record

PLACE = place_of(
    "kafka://user:hunter2@127.0.0.1:1/events?security.protocol=sasl_plaintext", 1 << 20
)


def test_a_password_is_taken_out_of_what_librdkafka_says() -> None:
    with capture_logs() as lines:
        _Lines("hunter2").log(30, "%s [%s] %s", "FAIL", "producer-1", "user:hunter2 refused")
    assert [line["text"] for line in lines] == ["FAIL [producer-1] user:*** refused"]


def test_the_same_is_not_said_again_for_a_while_and_the_memory_of_it_is_bounded() -> None:
    said = _Lines("")
    with capture_logs() as lines:
        for after_ms in range(100):
            said.log(30, "%s", f"Connection refused (after {after_ms}ms in state CONNECT)")
    assert len(lines) == 1
    with capture_logs():
        for number in range(10 * KINDS_MAX):
            said.log(30, "%s", f"another {number}")
    assert len(said._said_at) <= KINDS_MAX


def test_an_error_names_the_servers_and_the_reason_and_no_secret() -> None:
    error = KafkaError(KafkaError._TRANSPORT, "Connection refused (after 3ms in state CONNECT)")
    said = str(unavailable(PLACE, KafkaException(error)))
    assert reason_of(error) == "Connection refused"
    assert "127.0.0.1:1" in said
    assert "Connection refused." in said
    assert "hunter2" not in said


def test_a_full_queue_refuses_in_words_and_counts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(place._PRODUCER, "queue.buffering.max.messages", 5)
    monkeypatch.setitem(place._PRODUCER, "message.timeout.ms", 500)

    async def run() -> list[BaseException | None]:
        writer = Writer(PLACE, lambda _error: None, None)
        writer.start()
        loop = asyncio.get_running_loop()
        receipts: list[asyncio.Future[object]] = [loop.create_future() for _ in range(7)]
        for receipt in receipts:
            writer.hand_over(record(0, b"x" * 100), receipt)
        assert writer.pending_bytes == 500
        await asyncio.wait(receipts)
        assert writer.pending_bytes == 0
        await writer.close()
        return [receipt.exception() for receipt in receipts]

    told = asyncio.run(run())
    assert all(isinstance(one, StoreUnavailableError) for one in told)
    assert ["Too much waits" in str(one) for one in told] == [False] * 5 + [True] * 2

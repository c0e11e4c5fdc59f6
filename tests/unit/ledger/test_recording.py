"""What the recorder remembers of a file is a help, and never what decides."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from comporta.embedded.connection import connect
from comporta.embedded.migrations import migrate
from comporta.embedded.rows import every, one, transaction
from comporta.ledger.port import NewEvent
from comporta.ledger.sqlite.dispatch import claim
from comporta.ledger.sqlite.recording import Recorder
from comporta.testing.conformance.ledger_stage import NOW_MS, WINDOW_S, new_event
from comporta.testing.conformance.records import record


def opened(path: Path) -> apsw.Connection:
    connection = connect(path)
    migrate(connection, path, "comporta.ledger.schema", "sqlite_")
    return connection


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = opened(tmp_path / "ledger.db")
    claim(connection, 0, 1, "sqlite")
    yield connection
    connection.close()


def put(recorder: Recorder, connection: apsw.Connection, *events: NewEvent) -> int:
    """How many repeats there were."""
    with transaction(connection):
        return recorder.record(connection, {0: 1}, events, NOW_MS).duplicates


def test_a_batch_that_was_rolled_back_makes_nothing_a_repeat(connection: apsw.Connection) -> None:
    recorder = Recorder(WINDOW_S)
    connection.execute("BEGIN IMMEDIATE")
    assert recorder.record(connection, {0: 1}, [new_event(1, record())], NOW_MS).duplicates == 0
    connection.execute("ROLLBACK")
    assert put(recorder, connection, new_event(1, record())) == 0
    assert put(recorder, connection, new_event(2, record())) == 1


def test_a_file_that_was_put_aside_takes_its_repeats_with_it(
    connection: apsw.Connection, tmp_path: Path
) -> None:
    recorder = Recorder(WINDOW_S)
    assert put(recorder, connection, new_event(1, record())) == 0
    fresh = opened(tmp_path / "fresh.db")
    claim(fresh, 0, 1, "sqlite")
    assert put(recorder, fresh, new_event(1, record())) == 0
    assert put(recorder, connection, new_event(2, record())) == 1  # the old one, opened again
    fresh.close()


def test_an_event_that_retention_has_taken_is_no_original(connection: apsw.Connection) -> None:
    recorder = Recorder(WINDOW_S)
    put(recorder, connection, new_event(1, record()))
    connection.execute("DELETE FROM bodies; DELETE FROM events")
    assert put(recorder, connection, new_event(2, record())) == 0


def test_two_keys_that_look_alike_in_memory_are_told_apart(connection: apsw.Connection) -> None:
    recorder = Recorder(WINDOW_S)
    events = [
        NewEvent(n, record(body=b"%d" % n), 3, 99, (), keys=(b"same" + bytes([n]) * 12,))
        for n in (1, 2, 3)
    ]
    assert put(recorder, connection, *events[:2]) == 0
    assert put(recorder, connection, events[2]) == 0


def test_a_new_owner_reads_no_more_events_than_it_may_remember(
    connection: apsw.Connection,
) -> None:
    put(Recorder(WINDOW_S), connection, *[new_event(n) for n in range(1, 101)])
    late = Recorder(WINDOW_S, keys_max=40)
    repeats = [new_event(100 + n, record(body=b'{"n":%d}' % n)) for n in range(1, 101)]
    # Each is itself kept from then on, so the oldest must come first.
    assert put(late, connection, *repeats[:80]) == 0
    assert put(late, connection, *repeats[80:]) == 20


def test_an_event_keeps_those_keys_only_that_were_new(connection: apsw.Connection) -> None:
    recorder = Recorder(WINDOW_S)
    a, b, c = (letter * 16 for letter in (b"a", b"b", b"c"))
    sent = [
        NewEvent(n, record(), 3, 99, (), keys=keys) for n, keys in enumerate([(a, b), (c, b)], 1)
    ]
    assert put(recorder, connection, *sent) == 1
    assert every(connection, "SELECT keys FROM events ORDER BY id") == [(a + b,), (c,)]


def test_without_a_window_nothing_is_kept_and_nothing_repeats(connection: apsw.Connection) -> None:
    recorder = Recorder(0)
    assert put(recorder, connection, new_event(1, record()), new_event(2, record())) == 0
    assert one(connection, "SELECT count(*) FROM events WHERE keys != x''") == (0,)

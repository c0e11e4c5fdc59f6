from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.ledger.repeats import KnownKeys

WINDOW_S = 10.0
WINDOW_MS = 10_000


def key(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def sharing_a_tag(number: int) -> bytes:
    return b"same" + number.to_bytes(12, "big")


steps = st.lists(
    st.tuples(st.integers(0, WINDOW_MS * 2 // 3), st.lists(st.integers(0, 50), max_size=8)),
    max_size=30,
)


@given(steps, st.sampled_from([key, sharing_a_tag]))
def test_a_key_of_the_window_is_always_known(
    found: list[tuple[int, list[int]]], make: type[bytes]
) -> None:
    known = KnownKeys(WINDOW_S)
    now_ms, event_id = 1_000_000, 0
    added: dict[int, list[tuple[int, int]]] = {}
    for after_ms, numbers in found:
        now_ms += after_ms
        known.turn(now_ms)
        for number in numbers:
            event_id += 1
            known.add(make(number), event_id)
            added.setdefault(number, []).append((now_ms, event_id))
        for number, events in added.items():
            wanted = {one for at_ms, one in events if now_ms - at_ms <= WINDOW_MS}
            assert wanted <= set(known.find(make(number)))


def test_what_is_two_windows_old_is_forgotten() -> None:
    known = KnownKeys(WINDOW_S)
    known.turn(1)
    known.add(key(1), 1)
    for now_ms in (WINDOW_MS + 2, 2 * WINDOW_MS + 3):
        assert list(known.find(key(1))) == [1]
        known.turn(now_ms)
    assert list(known.find(key(1))) == []


def test_another_key_is_hardly_ever_taken_for_a_known_one() -> None:
    known = KnownKeys(WINDOW_S)
    for number in range(20_000):
        known.add(key(number), number + 1)
    assert sum(1 for number in range(20_000, 40_000) for _ in known.find(key(number))) <= 2


def test_an_event_that_is_added_again_is_known_once() -> None:
    known = KnownKeys(WINDOW_S)
    for _ in range(10_000):
        known.add(key(1), 7)
    assert list(known.find(key(1))) == [7]


@pytest.mark.parametrize("batch", [1, 64, 256])
def test_memory_is_bounded_and_the_last_keys_are_known_whatever_arrives(batch: int) -> None:
    keys_max = 512
    known = KnownKeys(WINDOW_S, keys_max)
    for start in range(0, 20_480, batch):
        known.turn(1)
        for number in range(start, start + batch):
            known.add(key(number), number + 1)
        assert known.slots <= 8 * (keys_max + batch)
    last = range(20_480 - keys_max, 20_480)
    assert all(number + 1 in known.find(key(number)) for number in last)
    assert list(known.find(key(1))) == []


def test_a_partition_is_strange_until_it_is_let_in_and_again_with_every_new_token() -> None:
    known = KnownKeys(WINDOW_S)
    assert known.strangers({0: 5, 1: 5}) == {0, 1}
    known.let_in({0: 5})
    assert known.strangers({0: 5, 1: 5}) == {1}
    assert known.strangers({0: 6}) == {0}

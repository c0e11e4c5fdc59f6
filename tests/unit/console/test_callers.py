"""Keys in memory, failures by peer, and cursors: their bounds, with a clock that tests move."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.console import problems
from comporta.console.callers import (
    FAILURES_MAX,
    FAILURES_S,
    KEPT_S,
    PEERS_MAX,
    TOUCH_MS,
    Callers,
    Failures,
)
from comporta.console.paging import cut, named_page, read_id_cursor, write_cursor
from comporta.console.problems import RefusedError
from comporta.errors import StoreUnavailableError
from comporta.ledger.admin import ApiKey, Scope
from comporta.vault import digest_token

TEXT = "cmp_a-key"


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s

    def ms(self) -> int:
        return int(self.s * 1000)


class Keys:
    """The part of an `AdminLedger` that callers ask."""

    def __init__(self) -> None:
        self.kept = [ApiKey("key_1", "ci", Scope.READ, digest_token(TEXT), "cmp_a-ke", 1, "me")]
        self.reads, self.touched = 0, 0
        self.touch: Callable[[], None] = lambda: None

    async def api_keys(self) -> list[ApiKey]:
        self.reads += 1
        return self.kept

    async def touch_api_key(self, key_id: str, now_ms: int) -> None:
        assert key_id == "key_1"
        assert now_ms
        self.touched += 1
        self.touch()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def callers(keys: Keys, clock: Clock) -> Callers:
    return Callers(keys, clock.ms, clock)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_keys_are_read_again_only_after_a_while(
    callers: Callers, keys: Keys, clock: Clock
) -> None:
    for _time in range(5):
        assert (await callers.known(f"Bearer {TEXT}", "p")).name == "ci"
    assert keys.reads == 1
    clock.s += KEPT_S
    keys.kept = []
    with pytest.raises(RefusedError):
        await callers.known(f"Bearer {TEXT}", "p")
    assert KEPT_S < 1


@pytest.mark.anyio
async def test_a_change_made_here_is_known_at_once(callers: Callers, keys: Keys) -> None:
    await callers.known(f"Bearer {TEXT}", "p")
    keys.kept = []
    callers.forget()
    with pytest.raises(RefusedError):
        await callers.known(f"Bearer {TEXT}", "p")


@pytest.mark.anyio
async def test_use_is_noted_at_most_once_a_minute_and_failing_to_keeps_nobody_out(
    callers: Callers, keys: Keys, clock: Clock
) -> None:
    def full() -> None:
        raise StoreUnavailableError("full")

    keys.touch = full
    for _time in range(3):
        await callers.known(f"bearer  {TEXT}", "p")
    assert keys.touched == 1
    clock.s += TOUCH_MS / 1000
    await callers.known(f"Bearer {TEXT}", "p")
    assert keys.touched == 2


@pytest.mark.anyio
@pytest.mark.parametrize("header", ["", "Bearer", f"Basic {TEXT}", TEXT, "Bearer " + "x" * 129])
async def test_what_is_no_key_is_refused(callers: Callers, header: str) -> None:
    with pytest.raises(RefusedError) as refused:
        await callers.known(header, "p")
    assert refused.value.problem is problems.NO_KEY


def test_a_peer_is_slowed_down_after_so_many_failures_and_forgiven_later(clock: Clock) -> None:
    failures = Failures(clock)
    assert [failures.add("p") for _time in range(FAILURES_MAX + 1)] == [False] * FAILURES_MAX + [
        True
    ]
    assert not failures.add("another")
    clock.s += FAILURES_S
    assert not failures.add("p")


def test_the_peers_that_are_remembered_are_bounded(clock: Clock) -> None:
    failures = Failures(clock)
    for number in range(PEERS_MAX + 50):
        failures.add(str(number))
    assert len(failures._peers) == PEERS_MAX


@given(st.sampled_from(list(Scope)), st.sampled_from(list(Scope)))
def test_a_scope_covers_itself_and_the_smaller_ones(one: Scope, other: Scope) -> None:
    order = [Scope.READ, Scope.OPERATE, Scope.ADMIN]
    assert one.covers(other) == (order.index(one) >= order.index(other))


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_cursor_says_again_what_was_written(mark: int) -> None:
    assert read_id_cursor("events", write_cursor("events", mark)) == mark


@given(st.text(max_size=200))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        mark = read_id_cursor("events", text)
    except RefusedError:
        return
    assert mark is not None
    assert 0 <= mark < 2**63


def test_an_id_beyond_what_a_store_holds_is_no_cursor() -> None:
    with pytest.raises(RefusedError):
        read_id_cursor("events", write_cursor("events", 2**63))


@given(st.sets(st.text("abcdef", min_size=1, max_size=4)), st.integers(1, 5))
def test_pages_of_names_are_the_whole_list(names: set[str], limit: int) -> None:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = named_page(list(names), limit, cursor, "names", str)
        assert len(page) <= limit
        found += page
        if cursor is None:
            break
    assert found == sorted(names)


def test_the_last_page_has_no_next() -> None:
    assert cut([1, 2], 2, "x", int) == ([1, 2], None)
    assert cut([1, 2, 3], 2, "x", int)[1] is not None

"""Which events may have a key: the dedupe window in memory, small and at a fixed price.

It can name an event too many and none too few, so whoever asks looks the event up. It knows no
store: it can be filled again from there at any time, and is never the truth about anything.
"""

from array import array
from collections.abc import Mapping

KEYS_MAX = 1 << 21
"""Of a generation: two keys of a million events. Beyond, the window is shorter."""
_SLOTS_MIN = 1 << 10
_TAG_BYTES = 4


class _Generation:
    """Keys that became known in one stretch of time: a hash table with linear probing."""

    def __init__(self, since_ms: int, slots: int = _SLOTS_MIN) -> None:
        self.since_ms = since_ms
        self.count = 0
        self._make(slots)

    def _make(self, slots: int) -> None:
        self.slots = slots
        # Arrays, for a dict of as many keys would take ten times the memory.
        self._ids = array("Q", bytes(8 * slots))
        self._tags = array("I", bytes(4 * slots))

    def find(self, tag: int) -> list[int]:
        ids, tags, mask = self._ids, self._tags, self.slots - 1
        found = []
        slot = tag & mask
        while event_id := ids[slot]:
            if tags[slot] == tag:
                found.append(event_id)
            slot = slot + 1 & mask
        return found

    def add(self, tag: int, event_id: int) -> None:
        if self.count * 2 >= self.slots:
            self._grow()
        ids, tags, mask = self._ids, self._tags, self.slots - 1
        slot = tag & mask
        while held := ids[slot]:
            if held == event_id and tags[slot] == tag:
                return
            slot = slot + 1 & mask
        ids[slot], tags[slot] = event_id, tag
        self.count += 1

    def _grow(self) -> None:
        held = zip(self._tags, self._ids, strict=True)
        self.count = 0
        self._make(self.slots * 2)
        for tag, event_id in held:
            if event_id:
                self.add(tag, event_id)


class KnownKeys:
    """The keys of the last window, of events of the partitions that were let in.

    Two generations, each at most a window long, so that forgetting costs nothing.

    Args:
        window_s: how long a key is known at least, seconds.
        keys_max: of one generation; the last so many are known in any case.
    """

    def __init__(self, window_s: float, keys_max: int = KEYS_MAX) -> None:
        self.window_ms = int(window_s * 1000)
        self.keys_max = keys_max
        self._tokens: dict[int, int] = {}
        self._newer = _Generation(0)
        self._older = _Generation(0)

    @property
    def slots(self) -> int:
        """Room for keys; each takes twelve bytes of memory."""
        return self._newer.slots + self._older.slots

    def strangers(self, tokens: Mapping[int, int]) -> frozenset[int]:
        """The partitions of which another owner may have written since they were let in.

        Args:
            tokens: partition → fencing token of its present owner.
        """
        return frozenset(p for p, token in tokens.items() if self._tokens.get(p) != token)

    def let_in(self, tokens: Mapping[int, int]) -> None:
        """All keys of these partitions have been added, and nobody else adds to them."""
        self._tokens.update(tokens)

    def turn(self, now_ms: int) -> None:
        """Forget what is older than the window. `now_ms`: Unix milliseconds."""
        full = self._newer.count >= self.keys_max
        if full or now_ms - self._newer.since_ms > self.window_ms:
            # As large as the last one had to be: it need not grow again.
            self._newer, self._older = _Generation(now_ms, self._newer.slots), self._newer

    def find(self, key: bytes) -> list[int]:
        """The ids of events that may have this key."""
        tag = int.from_bytes(key[:_TAG_BYTES], "big")
        return self._older.find(tag) + self._newer.find(tag)

    def add(self, key: bytes, event_id: int) -> None:
        """From now on `event_id` is among what `find` gives for the key."""
        self._newer.add(int.from_bytes(key[:_TAG_BYTES], "big"), event_id)

"""Percentiles of durations in fixed memory: what is kept does not grow with what is counted.

Buckets are 64 to a power of two of microseconds, so a percentile is at most 1.6 % too high; the
maximum is exact. It measures and prints nothing.
"""

_SUB_BITS = 6
_BUCKETS = (40 - _SUB_BITS) << _SUB_BITS
"""Up to 2⁴⁰ µs, which is twelve days."""


class Histogram:
    """Counts durations given in seconds and answers in milliseconds."""

    __slots__ = ("_buckets", "count", "max_s")

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self.count = 0
        self.max_s = 0.0

    def add(self, duration_s: float) -> None:
        """Count one duration; a negative one (clocks differ) counts as zero."""
        micros = int(duration_s * 1_000_000) if duration_s > 0 else 0
        shift = max(0, micros.bit_length() - _SUB_BITS - 1)
        self._buckets[min((shift << _SUB_BITS) + (micros >> shift), _BUCKETS - 1)] += 1
        self.count += 1
        self.max_s = max(self.max_s, duration_s)

    def percentile_ms(self, share: float) -> float:
        """The value that `share` (0 to 1) of the durations do not exceed; 0.0 if there are none."""
        wanted = self.count * share
        seen = 0
        for index, number in enumerate(self._buckets):
            seen += number
            if number and seen >= wanted:
                return min(_upper_micros(index) / 1000, self.max_ms)
        return 0.0

    @property
    def max_ms(self) -> float:
        """The longest duration, exactly."""
        return self.max_s * 1000


def _upper_micros(index: int) -> int:
    shift = max(0, (index >> _SUB_BITS) - 1)
    return ((index - (shift << _SUB_BITS)) + 1 << shift) - 1 if index else 0

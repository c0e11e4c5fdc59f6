"""How the gateway's processes are tuned, whatever each of them does."""

import gc
import sys

SWITCH_S = 0.0005
GC_THRESHOLDS = (20_000, 20, 20)


def tune() -> None:
    """Call once everything is imported.

    A thread that has just written to disk must not wait 5 ms for its turn, which is Python's
    default; and the collector need not look again at what stays, nor run for every few requests.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)

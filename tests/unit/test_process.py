"""How a process is tuned, in one of its own: the settings are the interpreter's."""

import subprocess
import sys
from pathlib import Path

SAY = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from comporta import process
process.tune()
assert sys.getswitchinterval() < 0.001, sys.getswitchinterval()
assert gc.isenabled() and gc.get_threshold() == process.GC_THRESHOLDS
assert gc.get_freeze_count() > 1000
class Cycle: pass
one = Cycle(); one.me = one; del one
assert gc.collect() >= 1, "what is made later is still collected"
"""
SRC = Path(__file__).resolve().parents[2] / "src"


def test_threads_take_turns_quickly_and_what_was_imported_is_not_looked_at_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAY, str(SRC)], capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr.decode()

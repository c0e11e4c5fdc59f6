"""A sink in a process of its own, on the port given as its argument."""

import sys

from comporta.testing.sink import Sink, run_sink

if __name__ == "__main__":
    run_sink(Sink(port=int(sys.argv[1])))

"""`python -m comporta.cli`: the command line where its script is not installed."""

import sys

from comporta.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m rlkit` is `rlkit`."""

import sys

# Python has put the working directory first, where a file named queue.py would be taken for Python's own module.
if not sys.flags.safe_path:
    del sys.path[0]

from rlkit.cli.app import main

main()

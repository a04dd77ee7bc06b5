"""`python -m rlkit` is `rlkit`."""

import sys

# Python has put the working directory first, where a file named queue.py would be taken for Python's own module.
del sys.path[0]

from rlkit.cli.app import main  # noqa: E402

main()

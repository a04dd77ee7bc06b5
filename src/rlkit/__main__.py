"""`python -m rlkit` is `rlkit`."""

from rlkit.cli.app import main

main()

"""`python -m multisk` is the command `multisk`."""

from multisk.cli import main

main()

"""`python -m bphcoffea` is the command `bphcoffea`."""

from bphcoffea.cli import main

main()

"""`python -m overmem`."""

from overmem.cli import main

main()

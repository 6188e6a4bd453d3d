"""`python -m prerelax` is the command line."""

from prerelax.cli import main

main()

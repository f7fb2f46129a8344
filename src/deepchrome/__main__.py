"""`python -m deepchrome`."""

from deepchrome.cli import main

main()

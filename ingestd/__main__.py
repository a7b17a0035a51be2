"""`python -m ingestd` is the same as `ingestd`."""

from ingestd.cli import main

if __name__ == "__main__":
    main()

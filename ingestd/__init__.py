"""ingestd takes patches from mailing lists and keeps them, grouped into series, in PostgreSQL."""


def __getattr__(name: str) -> str:
    """`__version__`, looked up when asked for: `ingestd deliver` starts once a mail and does not ask."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("ingestd")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

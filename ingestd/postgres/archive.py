"""Copies of a database as files, by PostgreSQL's own pg_dump and pg_restore: any newer PostgreSQL reads them."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from ingestd.errors import ConfigError, UnavailableError
from ingestd.postgres.server import KEPT_VARIABLES, NAME, Postgres

NEW = "ingestd_new"  # a database that is not whole yet; it gets its name when it is


async def dump(url: str, bindir: Path, file: Path) -> None:
    """Write the database at `url` to `file`, as it is at one moment, whatever is written meanwhile."""
    # How columns are compressed is left to the server that reads it: not every one can do what this one does.
    options = ["--format=custom", "--compress=1", "--no-owner", "--no-toast-compression"]
    await _run(bindir, "pg_dump", [*options, f"--file={file}", f"--dbname={url}"])


class Restore:
    """A database that is made beside the empty one of a server, and takes its place once it is whole.

    Killed on the way, it leaves the server as empty as it was, and may be begun again.
    """

    def __init__(self, server: Postgres, bindir: Path) -> None:
        """`server` runs, and is ours; `bindir` has its programs."""
        self._server = server
        self._bindir = bindir

    async def begin(self, roles: Sequence[str]) -> None:
        """Make it. `roles` that were granted something are made where they are missing; nobody can log in as them.

        ConfigError where the server's database is not empty.
        """
        if await self._fetch(NAME, "SELECT to_regnamespace('ingestd') IS NOT NULL"):
            raise ConfigError(f"{self._server.directory}: there is mail in it; restore into an empty data directory")
        for role in roles:
            if not await self._fetch("postgres", "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
                quoted = role.replace('"', '""')
                await self._execute(f'CREATE ROLE "{quoted}" NOLOGIN')
        await self._execute(f"DROP DATABASE IF EXISTS {NEW}")
        await self._execute(f"CREATE DATABASE {NEW}")

    async def load(self, file: Path, section: str) -> None:
        """Load a part of a dump: pre-data, data or post-data."""
        options = ["--exit-on-error", "--no-owner", f"--section={section}", f"--dbname={self._at(NEW)}"]
        await _run(self._bindir, "pg_restore", [*options, str(file)])

    async def run(self, statement: str) -> None:
        """Run a statement in the new database."""
        await self._fetch(NEW, statement)

    async def end(self) -> None:
        """Let it be the server's database from now on."""
        await self._execute(f"DROP DATABASE {NAME}")
        await self._execute(f"ALTER DATABASE {NEW} RENAME TO {NAME}")

    def _at(self, database: str) -> str:
        return self._server.url.replace(f"/{NAME}?", f"/{database}?", 1)

    async def _execute(self, statement: str) -> None:
        await self._fetch("postgres", statement)

    async def _fetch(self, database: str, query: str, *arguments: str) -> object:
        connection = await asyncpg.connect(self._at(database))
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()


async def _run(bindir: Path, program: str, arguments: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs to its end. ConfigError where it is missing, UnavailableError where it fails."""
    environment = {"LC_ALL": "C", **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}}
    try:
        process = await asyncio.create_subprocess_exec(
            bindir / program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            umask=0o077,
        )
    except OSError as error:
        raise ConfigError(f"{bindir / program}: {error.strerror}") from error
    try:
        _, said = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if process.returncode != 0:
        lines = said.decode(errors="replace").splitlines() or [f"{program}: it said nothing"]
        # The first complaint is the cause; its text may quote what is in the database, and stays short.
        cause = next((line for line in lines if "error:" in line), lines[-1])
        raise UnavailableError(f"{cause.strip()[:300]}")

"""Bring the schema to this version, and say which version it is at."""

import io
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import ConfigError, Temporary
from ingestd.store.engine import Database

# Two hosts that migrate at once take turns. A session lock, since a migration may need more than one transaction.
MIGRATE_LOCK = 0x6D696772617465


def _scripts() -> Path:
    """The migrations: beside the package in a wheel, at the top level in a checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "_migrations"
    return packaged if packaged.is_dir() else package.parent / "migrations"


def _config(output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output) if output is not None else Config()
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def head() -> str:
    """The schema version this program was made for."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise ConfigError("no migrations are installed")
    return found


@cache
def _known() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


async def current(connection: AsyncConnection) -> str | None:
    """The schema version the database is at, None when it has none."""
    there = await connection.scalar(text("SELECT to_regclass('ingestd.alembic_version') IS NOT NULL"))
    if not there:
        return None
    found = await connection.scalar(text("SELECT version_num FROM ingestd.alembic_version"))
    return None if found is None else str(found)


async def check(database: Database) -> None:
    """ConfigError naming both versions when this program cannot work on the schema.

    It can on its own, and on a newer one that is made for programs like it as well: daemons are upgraded one by one.
    """
    async with database.transaction() as connection:
        found = await current(connection)
        if found == head() or (found is not None and found not in _known() and await _bears(connection)):
            return
    if found is None:
        raise ConfigError(f"database {database.name}: no ingestd schema there; run `ingestd migrate`")
    if found in _known():
        raise ConfigError(f"database {database.name}: schema {found} is too old, need {head()}; run `ingestd migrate`")
    raise ConfigError(f"database {database.name}: schema {found} is newer than {head()}, the newest this ingestd knows")


async def require(connection: AsyncConnection) -> None:
    """Temporary when this program cannot write to the schema as it is now: a newer one may migrate while we run.

    Within the transaction that writes: a migration that older programs cannot bear waits for it, or it sees that one.
    """
    found = await connection.execute(
        text("""
            SELECT (SELECT version_num FROM ingestd.alembic_version) AS version,
                   (SELECT revision FROM ingestd.schema_floor) AS floor
        """)
    )
    row = found.one()
    if row.version not in _known() and row.floor not in _known():
        raise Temporary(f"schema {row.version} is newer than {head()}, the newest this ingestd knows")


async def _bears(connection: AsyncConnection) -> bool:
    """Whether a schema that we do not know says that we can work on it."""
    floor = await connection.scalar(text("SELECT revision FROM ingestd.schema_floor"))
    return floor in _known()


async def upgrade(database: Database) -> bool:
    """Migrate to `head()`; say whether anything was done. ConfigError when the schema is too new for us."""
    await database.check_server()
    async with database.engine.connect() as lock:
        await lock.execution_options(isolation_level="AUTOCOMMIT")
        await lock.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATE_LOCK})
        try:
            found = await current(lock)
            if found == head():
                return False
            if found is not None and found not in _known():
                await check(database)
                return False
            async with database.engine.begin() as work:
                await work.run_sync(_upgrade)
            return True
        finally:
            await lock.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATE_LOCK})


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def sql() -> str:
    """The statements that `upgrade` would run on an empty database, for a DBA to run."""
    output = io.StringIO()
    command.upgrade(_config(output), "head", sql=True)
    return output.getvalue()

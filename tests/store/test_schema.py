"""The schema: migrations make the tables that queries are built for, and the views that docs/schema.md promises."""

import re
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from mails import reply, series
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from store.conftest import Store

from ingestd.errors import ConfigError
from ingestd.store import events, migrate, schema
from ingestd.store.api import schema as api_schema
from ingestd.store.engine import Database

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


async def test_the_tables_are_those_that_queries_are_built_for(store: Store) -> None:
    def compare(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"include_schemas": True, "version_table_schema": "ingestd", "compare_type": True}
        )
        assert api_schema.person.metadata is schema.metadata
        found: list[object] = compare_metadata(context, schema.metadata)
        return found

    # A user of the schema's name has it in their search path, and what is there would seem to have no schema.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(store.database.url, server_settings={"search_path": "public"}),
    )
    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []
    await engine.dispose()


async def test_the_views_are_those_that_the_docs_list(store: Store) -> None:
    found: dict[str, list[str]] = {}
    for view, column in await store.ask(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'ingestd_v1' ORDER BY table_name, ordinal_position"
    ):
        found.setdefault(view, []).append(column)
    page = (DOCS / "schema.md").read_text()
    listed = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        columns, _, _ = section.partition("| category |")
        if "| column |" in columns:
            listed[section.split()[0]] = re.findall(r"^\| `(\w+)` \|", columns, flags=re.MULTILINE)
    assert {view: sorted(columns) for view, columns in listed.items()} == {
        view: sorted(columns) for view, columns in found.items()
    }


def test_the_events_are_those_that_the_docs_list() -> None:
    page = (DOCS / "schema.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z]+(?:-[a-z]+)+)` \| (.*) \|$", page, flags=re.MULTILINE))
    assert listed == events.CATEGORIES


async def test_the_reader_may_read_the_views_and_nothing_else(store: Store) -> None:
    async with store.database.transaction() as connection:
        await connection.execute(text("SET LOCAL ROLE ingestd_reader"))
        assert await connection.scalar(text("SELECT count(*) FROM ingestd_v1.message")) == 0
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(text("SELECT count(*) FROM ingestd.message"))


async def test_the_reader_may_read_rows_of_every_view(store: Store) -> None:
    review = "Fine.\n\nReviewed-by: Rob Reviewer <rob@example.com>\nBased-on: <other@example.org>\n"
    mails = series("20261102100000.1", 2)
    await store.put_batches([mails, [reply("r@x.org", "20261102100000.1-0-ann@example.org", "[PATCH 0/2]", review)]])
    views = await store.ask("SELECT table_name FROM information_schema.views WHERE table_schema = 'ingestd_v1'")
    rows = {}
    async with store.database.transaction() as connection:
        await connection.execute(text("SET LOCAL ROLE ingestd_reader"))
        for view in views:
            rows[view] = len((await connection.execute(text(f"SELECT * FROM ingestd_v1.{view}"))).all())
    assert all(rows[view] for view in ("trailer", "link", "series", "series_patch", "event")), rows


async def test_migrating_twice_and_at_once_is_fine(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    with pytest.raises(ConfigError, match="no ingestd schema there"):
        await migrate.check(database)
    assert await migrate.upgrade(database)
    assert not await migrate.upgrade(database)
    await migrate.check(database)
    await database.close()


@pytest.mark.parametrize(("version", "said"), [("9999", "schema 9999 is newer than"), ("0000", "schema 0000 is newer")])
async def test_a_schema_that_does_not_fit_is_said(store: Store, version: str, said: str) -> None:
    async with store.database.transaction() as connection:
        await connection.execute(text("UPDATE ingestd.alembic_version SET version_num = :v"), {"v": version})
        await connection.execute(text("UPDATE ingestd.schema_floor SET revision = '9999'"))
    with pytest.raises(ConfigError, match=said):
        await migrate.check(store.database)
    with pytest.raises(ConfigError, match=said):
        await migrate.upgrade(store.database)


async def test_a_newer_schema_that_asks_no_more_of_us_is_fine(store: Store) -> None:
    async with store.database.transaction() as connection:
        await connection.execute(text("UPDATE ingestd.alembic_version SET version_num = '9999'"))
    await migrate.check(store.database)
    assert not await migrate.upgrade(store.database)


async def test_the_printed_statements_make_the_same_schema(empty_database_url: str, store: Store) -> None:
    database = Database(empty_database_url)
    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        await driver.execute(migrate.sql())
    query = text(
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema LIKE 'ingestd%' ORDER BY 1, 2, ordinal_position"
    )
    async with database.transaction() as connection:
        made = (await connection.execute(query)).all()
    async with store.database.transaction() as connection:
        assert (await connection.execute(query)).all() == made
    await database.close()

"""Connections: a commit is durable whatever the server's defaults, and a server that turned read-only is left."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from store.conftest import Store

from ingestd.errors import ConfigError
from ingestd.store.engine import Database


async def test_commits_wait_for_the_disk_whatever_the_database_says(store: Store) -> None:
    name = make_url(store.database.url).database
    await store.ask("SELECT 1")
    async with store.database.transaction() as connection:
        await connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    database = Database(store.database.url)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            raise ZeroDivisionError  # what the first transaction takes back must not take this along
    async with database.ingest() as connection:
        assert await connection.scalar(text("SHOW synchronous_commit")) == "on"
    await database.close()


async def test_a_stronger_setting_stays(store: Store) -> None:
    name = make_url(store.database.url).database
    async with store.database.transaction() as connection:
        await connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = remote_apply'))
    database = Database(store.database.url)
    async with database.ingest() as connection:
        assert await connection.scalar(text("SHOW synchronous_commit")) == "remote_apply"
        await connection.execute(text(f'ALTER DATABASE "{name}" RESET synchronous_commit'))
    await database.close()


async def test_a_server_that_turned_read_only_is_dialled_anew(store: Store) -> None:
    async with store.database.transaction() as connection:
        await connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
    with pytest.raises(DBAPIError, match="read-only"):
        async with store.database.transaction() as connection:
            await connection.execute(text("CREATE TABLE x ()"))
    async with store.database.transaction() as connection:
        assert await connection.scalar(text("SHOW transaction_read_only")) == "off"


@pytest.mark.parametrize("url", ["postgresql://u:s3cret#x@h/d", "postgresql://u:x?s3cret@h/d"])
async def test_nothing_of_a_password_is_said(url: str) -> None:
    database = Database(url, timeout=1)
    with pytest.raises(ConfigError) as caught:
        await database.ping()
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in database.name


async def test_who_has_to_wait_for_the_ingest_lock_is_told(store: Store, other_store: Store) -> None:
    told, got = asyncio.Event(), asyncio.Event()
    async with store.database.ingest(told.set):
        assert not told.is_set()

    async def wait_for_it() -> None:
        async with store.database.ingest(told.set):
            got.set()

    async with other_store.database.ingest(), asyncio.timeout(10):
        waiting = asyncio.create_task(wait_for_it())
        await told.wait()
        assert not got.is_set()
    await waiting
    assert got.is_set()

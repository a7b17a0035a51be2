"""Look into the database as a SQL reader does."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import asyncpg
from sqlalchemy import make_url

Row = dict[str, Any]


def select(url: str, query: str, *arguments: object) -> list[Row]:
    """The rows of a query."""

    async def work() -> list[Row]:
        connection = await asyncpg.connect(url)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    return asyncio.run(work())


def execute(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""

    async def work() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(work())


def name_of(url: str) -> str:
    """The database's name."""
    return str(make_url(url).database)


def named(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@contextmanager
def fresh(server_url: str, template: str) -> Iterator[str]:
    """The URL of a new database with our schema, gone when the block ends."""
    name = f"test_{uuid4().hex[:12]}"
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield named(server_url, name)
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")

"""A fresh database, and short ways to store and look."""

import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from ingestd import ingest
from ingestd.ingest import Committer, Outcome, Router
from ingestd.store import dump, migrate
from ingestd.store.engine import Database
from ingestd.store.values import Envelope


class Store:
    """A database under test."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.committer = Committer(database)

    async def put(self, *raws: bytes, router: Router | None = None, list_id: str | None = None) -> list[Outcome]:
        """Store mails as one batch."""
        envelope = Envelope(datetime.now(UTC), "", "test")
        return await self.committer.commit(
            [ingest.read(raw, envelope, router or Router(), (), list_id) for raw in raws]
        )

    async def put_batches(self, batches: Sequence[Sequence[bytes]]) -> None:
        """Store mails batch after batch."""
        for batch in batches:
            assert all(isinstance(outcome, list) and outcome for outcome in await self.put(*batch))

    async def ask(self, query: str, **parameters: object) -> list[Any]:
        """The rows of a query: single values where it has one column."""
        async with self.database.transaction() as connection:
            rows = (await connection.execute(text(query), parameters)).all()
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    async def dump(self) -> list[str]:
        """The lines of `ingestd dump`."""
        return [line async for line in dump.lines(self.database)]

    async def contents(self) -> tuple[list[str], list[str]]:
        """The dump, and what it does not say: texts, bytes, trailers, keys."""
        lines = await self.ask("""
            SELECT concat_ws('|', 't', list_id, message_id, source_message_id, name, value, reason, via_message_id)
            FROM ingestd_v1.trailer
            UNION ALL
            SELECT concat_ws('|', 'd', d.list_id, m.key, d.raw_sha256)
            FROM ingestd_v1.delivery d
            JOIN ingestd_v1.message m ON m.id = d.message
            UNION ALL
            SELECT concat_ws('|', 'k', m.key, k.key) FROM ingestd.link_key k JOIN ingestd.message m ON m.id = k.message
            UNION ALL
            SELECT concat_ws('|', 'r', s.key, k.key)
            FROM ingestd.revision_key k
            JOIN ingestd.series s ON s.id = k.series
            UNION ALL
            SELECT concat_ws('|', 'm', m.key, m.subject, m.content, m.raw_sha256) FROM ingestd_v1.message m
            UNION ALL
            SELECT concat_ws('|', 'b', encode(sha256, 'hex')) FROM ingestd.raw
        """)
        return await self.dump(), sorted(lines)

    async def series(self) -> dict[str, Any]:
        """Key -> line, of the series in the dump."""
        lines = [json.loads(line) for line in await self.dump()]
        return {line["key"]: line for line in lines if line["type"] == "series"}


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    database = Database(database_url)
    yield Store(database)
    await database.close()


@pytest.fixture
async def quiet_store(empty_database_url: str) -> AsyncIterator[Store]:
    """A database of its own, for what others are compared with."""
    database = Database(empty_database_url)
    await migrate.upgrade(database)
    yield Store(database)
    await database.close()


@pytest.fixture
async def other_store(store: Store) -> AsyncIterator[Store]:
    """A second user of the same database, as another daemon would be."""
    database = Database(store.database.url)
    yield Store(database)
    await database.close()

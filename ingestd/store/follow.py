"""The event log for those who read it: from a cursor on, then as it grows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import structlog
from sqlalchemy import text

from ingestd.store import engine
from ingestd.store.engine import Database

log = structlog.get_logger()

MOST = 1000  # events at a time
POLL = 30.0  # seconds after which the log is read even though nothing rang: a dead connection rings no more
AGAIN = 2.0  # seconds to the next try, when the database is away

Entry = dict[str, Any]  # a row of the view `event`


async def last(database: Database) -> int:
    """The cursor of the newest event, 0 before the first."""
    async with database.transaction() as connection:
        return int(await connection.scalar(text("SELECT coalesce(max(cursor), 0) FROM ingestd_v1.event")))


async def past(database: Database, after: int) -> AsyncIterator[Entry]:
    """Every event above the cursor `after` that is there, in order."""
    while True:
        async with database.transaction() as connection:
            found = await connection.execute(
                text("""
                    SELECT cursor, at, category, list_id, message_id, series_id, payload, actor
                    FROM ingestd_v1.event
                    WHERE cursor > :after
                    ORDER BY cursor
                    LIMIT :most
                """),
                {"after": after, "most": MOST},
            )
            entries = [dict(row) for row in found.mappings()]
        for entry in entries:
            yield entry
        if len(entries) < MOST:
            return
        after = entries[-1]["cursor"]


async def follow(database: Database, after: int) -> AsyncIterator[Entry]:
    """The same, and then each event as it is committed, for ever. Waits out a database that is away.

    On a replica nothing rings: there the log is read every AGAIN seconds.
    """
    while True:
        try:
            async for entry in past(database, after):
                after = entry["cursor"]
                yield entry
            async with database.bell() as bell:
                while True:
                    bell.clear()
                    async for entry in past(database, after):
                        after = entry["cursor"]
                        yield entry
                    await bell.wait(POLL)
        except engine.FAILURES as error:
            if engine.sqlstate(error) != engine.READ_ONLY:
                log.warning("follow_failed", error=engine.reason(error), after=after)
        await asyncio.sleep(AGAIN)

"""What no mail sets off: series that wait in vain, and threads that an older program left to us."""

import asyncio

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store import engine, events, regroup
from ingestd.store.engine import Database
from ingestd.store.events import Event

log = structlog.get_logger()

ROUND = 60.0  # seconds between looks
MOST = 500  # series in one transaction: others wait for the lock
FEW = 20  # threads in one: each costs as much as a mail for it


async def watch(database: Database, stalled_after: float) -> None:
    """Look once a minute, for ever; any number of daemons may, on one database. Waits out a database that is away.

    `stalled_after`: seconds, see `announce_stalled`; 0: never say so. Looks more often where it is less than a minute.
    """
    while True:
        try:
            if stalled_after:
                await announce_stalled(database, stalled_after)
            await catch_up(database)
        except engine.FAILURES as error:
            log.warning("watch_failed", error=engine.reason(error))
        except Exception as error:
            # A thread that our code fails on is no reason to stop taking mail; it is said every minute.
            log.exception("watch_failed", error=engine.reason(error))
        await asyncio.sleep(min(ROUND, stalled_after or ROUND))


async def announce_stalled(database: Database, after: float) -> int:
    """Write `series-stalled` for each series that lacks patches and got no mail for `after` seconds; say how many.

    Once a series, whoever looks first: that it was said is kept beside the series, where nothing derived reads it. By
    the database's clock and the time of arrival: an event is history, and what is stored does not depend on it.
    """
    said = 0
    while True:
        async with database.ingest() as connection:
            stalled = await _mark_stalled(connection, after)
            await events.write(connection, [Event("series-stalled", list=list_, series=id_) for id_, list_ in stalled])
        said += len(stalled)
        if len(stalled) < MOST:
            return said


async def _mark_stalled(connection: AsyncConnection, after: float) -> list[tuple[int, int]]:
    """(series, list) of up to MOST series that are found to be stalled, marked."""
    found = await connection.execute(
        text("""
            UPDATE ingestd.series
            SET stalled = true
            WHERE id IN (
                SELECT s.id
                FROM ingestd.series s
                CROSS JOIN LATERAL (
                    SELECT max(m.received_at) AS at
                    FROM ingestd.message m
                    WHERE m.id IN (
                        SELECT sp.message FROM ingestd.series_patch sp WHERE sp.series = s.id AND sp.role <> 'carried'
                        UNION ALL
                        SELECT s.cover
                    )
                ) last
                WHERE NOT s.complete AND NOT s.stalled
                  AND last.at < transaction_timestamp() - make_interval(secs => :after)
                ORDER BY s.id
                LIMIT :most
            )
            RETURNING id, list
        """),
        {"after": after, "most": MOST},
    )
    return sorted((row.id, row.list) for row in found)


async def catch_up(database: Database) -> int:
    """Regroup the threads that an older program could only link mail into; say how many."""
    done = 0
    while True:
        async with database.ingest() as connection:
            threads = await regroup.stale(connection, FEW)
            await events.write(connection, await regroup.regroup(connection, threads))
        done += len(threads)
        if len(threads) < FEW:
            return done

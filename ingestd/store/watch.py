"""What no mail sets off: series that wait in vain, and threads that an older program left to us."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store import engine, events, regroup
from ingestd.store.engine import Database
from ingestd.store.events import Event

log = structlog.get_logger()

ROUND = 60.0  # seconds between looks
ARCHIVED_DAYS = 7  # a mail that comes so long after its Date comes from an archive: nobody waits for the rest
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
            # Whatever our code fails on here is no reason to stop taking mail; it is said every minute.
            log.exception("watch_failed", error=engine.reason(error))
        await asyncio.sleep(min(ROUND, stalled_after or ROUND))


async def announce_stalled(database: Database, after: float) -> int:
    """Write `series-stalled` for each series that lacks patches and got no mail for `after` seconds; say how many.

    Not for one whose mails all come from an archive. Once a series, whoever looks first: that it was said is kept
    beside the series, where nothing derived reads it. By the database's clock and the time of arrival: an event is
    history, and what is stored does not depend on it.
    """
    said = 0
    while True:
        async with database.ingest() as connection:
            stalled = await _mark_stalled(connection, after)
            waited_for = [Event("series-stalled", list=list_, series=id_) for id_, list_, fresh in stalled if fresh]
            await events.write(connection, waited_for)
        said += len(waited_for)
        if len(stalled) < MOST:
            return said


async def _mark_stalled(connection: AsyncConnection, after: float) -> list[tuple[int, int, bool]]:
    """(series, list, whether a mail of it came fresh) of up to MOST series that are found to be stalled, marked."""
    found = await connection.execute(
        text("""
            UPDATE ingestd.series s
            SET stalled = true
            FROM (
                SELECT s.id, last.fresh
                FROM ingestd.series s
                CROSS JOIN LATERAL (
                    SELECT max(m.received_at) AS at,
                           bool_or(m.date IS NULL OR m.received_at < m.date + CAST(:archived AS interval)) AS fresh
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
            ) late
            WHERE s.id = late.id
            RETURNING s.id, s.list, late.fresh
        """),
        {"after": after, "most": MOST, "archived": timedelta(days=ARCHIVED_DAYS)},
    )
    return sorted((row.id, row.list, row.fresh) for row in found)


async def catch_up(database: Database) -> int:
    """Regroup the threads that an older program could only link mail into; say how many.

    A thread that our code fails on is said in the log, and keeps no other one waiting.
    """
    done = last = 0
    while True:
        async with database.transaction() as connection:
            threads = await regroup.stale(connection, FEW, last)
        if not threads:
            return done
        try:
            await _regroup(database, threads)
            done += len(threads)
        except engine.FAILURES:
            raise
        except Exception:  # noqa: BLE001 - on which of them is said below
            done += await _regroup_each(database, threads)
        last = threads[-1]


async def _regroup_each(database: Database, threads: Sequence[int]) -> int:
    done = 0
    for thread in threads:
        try:
            await _regroup(database, [thread])
            done += 1
        except engine.FAILURES:
            raise
        except Exception as error:
            log.exception("thread_not_regrouped", thread=thread, error=type(error).__name__)
    return done


async def _regroup(database: Database, threads: Sequence[int]) -> None:
    async with database.ingest() as connection:
        await events.write(connection, await regroup.regroup(connection, threads))

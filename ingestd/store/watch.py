"""What no mail sets off: series that wait in vain, and threads that an older program left to us."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd import logs
from ingestd.store import engine, events, regroup
from ingestd.store.engine import Database, Fault
from ingestd.store.events import Event

log = structlog.get_logger()

ROUND = 60.0  # seconds between looks
ARCHIVED = timedelta(days=7)  # so long after its Date a mail comes from an archive: nobody waits for the rest
OLD = timedelta(days=90)  # beside `stalled_after`: so only the index of what is newer is read each minute
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

    Not for one whose mails all came from an archive, nor for one as old as OLD. Once a series, whoever looks first:
    that it was said is kept beside the series, where nothing derived reads it. By the database's clock and the time of
    arrival: an event is history, and what is stored does not depend on it.
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
                  AND coalesce(s.date, 'infinity') > transaction_timestamp() - CAST(:old AS interval)
                  AND last.fresh AND last.at < transaction_timestamp() - make_interval(secs => :after)
                ORDER BY s.id
                LIMIT :most
            )
            RETURNING id, list
        """),
        {"after": after, "most": MOST, "archived": ARCHIVED, "old": OLD + timedelta(seconds=after)},
    )
    return sorted((row.id, row.list) for row in found)


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
        except Exception as error:
            if _is_of_the_database(error):
                raise
            done += await _regroup_each(database, threads)
        last = threads[-1]


async def _regroup_each(database: Database, threads: Sequence[int]) -> int:
    done = 0
    for thread in threads:
        try:
            await _regroup(database, [thread])
            done += 1
        except Exception as error:
            if _is_of_the_database(error):
                raise
            log.error(  # noqa: TRY400
                "thread_not_regrouped",
                thread=thread,
                error=type(error).__name__,
                sqlstate=engine.sqlstate(error),
                trace=logs.trace(error),
            )
    return done


def _is_of_the_database(error: Exception) -> bool:
    """Whether other threads would fare the same. One that takes too long is the thread's fault, as far as we know."""
    if isinstance(error, TimeoutError) or not isinstance(error, engine.FAILURES):
        return False
    return engine.judge(error) in (Fault.RETRY, Fault.TEMPORARY)


async def _regroup(database: Database, threads: Sequence[int]) -> None:
    async with database.ingest() as connection:
        await events.write(connection, await regroup.regroup(connection, threads))

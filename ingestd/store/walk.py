"""The way of a reparse through all stored mail: where it is, and which mails come next."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import InputError, UnavailableError
from ingestd.mail.values import PARSER_VERSION
from ingestd.series.values import GROUPING_VERSION
from ingestd.store import schema
from ingestd.store.engine import FAILURES, Database

REPARSE_LOCK = 0x72657061727365  # of a session; any number, as long as every ingestd uses the same

MOST_MAILS = 50  # in a batch, unless a single thread has more: live mail waits while one is written
WHOLE = 300  # mails of a thread that is read at once
MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """What is read anew at once: threads, as the ids of their mails; and the position that comes after."""

    threads: Sequence[Sequence[int]]
    after: int
    ahead: frozenset[int]  # ids above `after` that are done with this batch


@asynccontextmanager
async def alone(database: Database) -> AsyncIterator[None]:
    """Be the only reparse. UnavailableError where another one is under way."""
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        if not await connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": REPARSE_LOCK}):
            raise UnavailableError("another reparse is under way on this database")
        try:
            yield
        finally:
            try:
                await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": REPARSE_LOCK})
            except FAILURES:  # lost, and the lock with it
                await connection.invalidate()


async def position(connection: AsyncConnection, scope: str) -> int:
    """Where a reparse by these versions goes on: above which id; 0 where none was stopped on its way.

    `scope`: a List-Id, or "" for all. InputError where there is no such list.
    """
    if scope and not await connection.scalar(
        text("SELECT EXISTS (SELECT FROM ingestd.list WHERE list_id = :scope)"), {"scope": scope}
    ):
        raise InputError(f"{scope}: no such list")
    found = await connection.scalar(
        select(schema.reparse.c.after).where(
            schema.reparse.c.scope == scope,
            schema.reparse.c.parser_version == PARSER_VERSION,
            schema.reparse.c.grouping_version == GROUPING_VERSION,
        )
    )
    return found or 0


async def move_on(connection: AsyncConnection, scope: str, after: int | None) -> None:
    """Note where a reparse goes on if it is stopped now; None: it has come to its end."""
    if after is None:
        await connection.execute(text("DELETE FROM ingestd.reparse WHERE scope = :scope"), {"scope": scope})
        return
    where = {"after": after, "parser_version": PARSER_VERSION, "grouping_version": GROUPING_VERSION}
    await connection.execute(
        upsert(schema.reparse).values(scope=scope, **where).on_conflict_do_update(index_elements=["scope"], set_=where)
    )


async def count(connection: AsyncConnection, scope: str, after: int) -> int:
    """How many mails are still to be read."""
    found = await connection.scalar(
        text("""
            SELECT count(*)
            FROM ingestd.message m
            JOIN ingestd.list l ON l.id = m.list
            WHERE m.id > :after AND (:scope = '' OR l.list_id = :scope)
        """),
        {"after": after, "scope": scope},
    )
    return int(found)


async def names(connection: AsyncConnection) -> dict[int, str]:
    """Id of a list -> its List-Id."""
    found = await connection.execute(select(schema.list_.c.id, schema.list_.c.list_id))
    return {row.id: row.list_id for row in found}


async def following(connection: AsyncConnection, scope: str, after: int, ahead: Collection[int]) -> Batch | None:
    """The next mails above the id `after`, their threads whole, without those of `ahead`; None at the end.

    Threads go whole, so that nobody sees half of a series read by the new rules; one of more than WHOLE mails goes in
    slices.
    """
    found = await connection.execute(
        text("""
            SELECT m.id, m.thread
            FROM ingestd.message m
            JOIN ingestd.list l ON l.id = m.list
            WHERE m.id > :after AND (:scope = '' OR l.list_id = :scope)
            ORDER BY m.id
            LIMIT :most
        """),
        {"after": after, "scope": scope, "most": MOST_MAILS},
    )
    window = found.all()
    if not window:
        return None
    members: dict[int, dict[int, int]] = defaultdict(dict)  # thread -> id -> octets
    for row in await connection.execute(
        text("""
            SELECT m.thread, m.id, r.size
            FROM ingestd.message m
            JOIN ingestd.raw r ON r.sha256 = m.raw_sha256
            WHERE m.thread = ANY (CAST(:threads AS bigint[])) AND m.id > :after
            ORDER BY m.id
        """),
        {"threads": sorted({row.thread for row in window}), "after": after},
    ):
        if row.id not in ahead:
            members[row.thread][row.id] = row.size
    threads: dict[int, list[int]] = {}
    done = set(ahead)
    mails = size = 0
    for row in window:
        if row.id in done or row.id not in members[row.thread]:
            continue
        whole = members[row.thread]
        taken = whole if len(whole) <= WHOLE else {row.id: whole[row.id]}
        mails, size = mails + len(taken), size + sum(taken.values())
        if threads and (mails > MOST_MAILS or size > MOST_BYTES):
            after = row.id - 1
            break
        threads.setdefault(row.thread, []).extend(taken)
        done.update(taken)
    else:
        after = window[-1].id
    return Batch(list(threads.values()), after, frozenset(id_ for id_ in done if id_ > after))

"""Take mails away: out of their threads, so that the rest is linked as if they had never been, and then for good.

The caller holds the ingest lock.
"""

from collections.abc import Collection

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.series.values import GROUPING_VERSION
from ingestd.store import rows, schema, threads
from ingestd.store.changes import Changes


async def take_out(connection: AsyncConnection, messages: Collection[int], changes: Changes | None = None) -> set[int]:
    """Put mails aside, each in a thread that nobody groups; answer the threads to regroup, where they left a gap.

    Without their link keys a thread may come apart. `delete_rows` ends this once those threads are regrouped.
    """
    found = await connection.execute(
        text("SELECT id, list, thread FROM ingestd.message WHERE id = ANY (CAST(:messages AS bigint[]))"),
        {"messages": list(messages)},
    )
    there = found.all()
    aside = await rows.allocate(connection, schema.thread, len(there))
    await rows.add(
        connection,
        schema.thread,
        [
            {"id": thread, "list": row.list, "grouping_version": GROUPING_VERSION}
            for thread, row in zip(aside, there, strict=True)
        ],
    )
    await connection.execute(delete(schema.link_key).where(schema.link_key.c.message.in_([row.id for row in there])))
    await connection.execute(
        text("""
            UPDATE ingestd.message m
            SET thread = w.thread
            FROM unnest(CAST(:messages AS bigint[]), CAST(:threads AS bigint[])) AS w (message, thread)
            WHERE m.id = w.message
        """),
        {"messages": [row.id for row in there], "threads": aside},
    )
    left = {row.thread for row in there}
    placed = await threads.link(connection, {}, left, changes)
    return left | set(placed.values())


async def delete_rows(connection: AsyncConnection, messages: Collection[int], left: Collection[int]) -> None:
    """Delete mails that were taken out, and those of the threads `left` that nothing is in any more.

    Nothing may refer to them by now: their deliveries are elsewhere, and their threads are regrouped.
    """
    found = await connection.execute(
        text("DELETE FROM ingestd.message WHERE id = ANY (CAST(:messages AS bigint[])) RETURNING thread, submitter"),
        {"messages": list(messages)},
    )
    gone = found.all()
    await forget_people(connection, {row.submitter for row in gone})
    empty = {"threads": sorted({*left, *(row.thread for row in gone)})}
    for statement in (
        "DELETE FROM ingestd.thread_alias a USING ingestd.thread t WHERE t.id = a.thread AND",
        "DELETE FROM ingestd.thread t WHERE",
    ):
        await connection.execute(
            text(f"""
                {statement} t.id = ANY (CAST(:threads AS bigint[]))
                AND NOT EXISTS (SELECT FROM ingestd.message m WHERE m.thread = t.id)
                AND NOT EXISTS (SELECT FROM ingestd.series s WHERE s.thread = t.id)
            """),
            empty,
        )


async def forget_people(connection: AsyncConnection, people: Collection[int]) -> None:
    """Delete those of `people` whom no mail names any more; the others are called what the mails that are left say."""
    named = """
        SELECT submitter, submitter_name AS name, submitter_email AS email, date FROM ingestd.message
        UNION ALL
        SELECT submitter, author_name, author_email, date FROM ingestd.series
    """
    ids = {"people": list(people)}
    await connection.execute(
        text(f"""
            DELETE FROM ingestd.person p
            WHERE p.id = ANY (CAST(:people AS bigint[]))
              AND NOT EXISTS (SELECT FROM ({named}) n WHERE n.submitter = p.id)
              AND NOT EXISTS (SELECT FROM ingestd.triage t WHERE t.submitter = p.id)
        """),
        ids,
    )
    # By the order of the function person_of.
    await connection.execute(
        text(f"""
            UPDATE ingestd.person p
            SET name = newest.name, email = newest.email, named_at = newest.at
            FROM (
                SELECT DISTINCT ON (submitter) submitter, name, email, at
                FROM (
                    SELECT n.*, CASE WHEN name = '' THEN '-infinity' ELSE coalesce(date, '-infinity') END AS at
                    FROM ({named}) n
                    WHERE submitter = ANY (CAST(:people AS bigint[]))
                ) n
                ORDER BY submitter, at DESC, name COLLATE "C" DESC, email COLLATE "C" DESC
            ) newest
            WHERE p.id = newest.submitter
              AND (p.name, p.email, p.named_at) IS DISTINCT FROM (newest.name, newest.email, newest.at)
        """),
        ids,
    )

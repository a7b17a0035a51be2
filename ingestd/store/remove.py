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
    gone = await connection.execute(
        text("""
            WITH aside AS (SELECT DISTINCT thread FROM ingestd.message WHERE id = ANY (CAST(:messages AS bigint[]))),
                 gone AS (DELETE FROM ingestd.message WHERE id = ANY (CAST(:messages AS bigint[])))
            SELECT thread FROM aside
        """),
        {"messages": list(messages)},
    )
    empty = {"threads": sorted({*gone.scalars(), *left})}
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

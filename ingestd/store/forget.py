"""Forget mails for good: rows, deliveries and bytes. What is left is a tombstone.

The caller holds the ingest lock.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import InputError
from ingestd.store import events, quarantine, regroup, relinks, remove, rows, schema
from ingestd.store.events import Event
from ingestd.store.reparse import Held, hold


async def find(connection: AsyncConnection, key: str, list_id: str | None) -> dict[int, Held]:
    """The mails with this key, on that list, or on all. InputError where there is none, or a newer ingestd minds it."""
    found = await connection.execute(
        text("""
            SELECT m.id
            FROM ingestd.message m
            JOIN ingestd.list l ON l.id = m.list
            WHERE m.key = :key AND (CAST(:list_id AS text) IS NULL OR l.list_id = :list_id)
        """),
        {"key": key, "list_id": list_id},
    )
    held = await hold(connection, list(found.scalars()))
    if not held:
        raise InputError(f"{key}: no such mail" + (f" on {list_id}" if list_id else ""))
    if any(one.newer for one in held.values()):
        raise InputError(f"{key}: a newer ingestd has read it: let that one forget it")
    return held


async def forget(
    connection: AsyncConnection, held: Mapping[int, Held], known: Mapping[bytes, Collection[bytes]], reason: str
) -> None:
    """Remove mails for good, and leave a tombstone for each.

    `known`: digest of a delivery -> what copies of it are known by. Their threads are linked and grouped as if they
    had never been. Bytes go unless another mail was delivered in them; where they go, copies in quarantine go too.
    """
    stones = dict(zip(held, await _raise(connection, list(held.values()), known, reason), strict=True))
    raw = {digest for one in held.values() for digest in one.deliveries}
    await connection.execute(
        text("DELETE FROM ingestd.delivery WHERE message = ANY (CAST(:messages AS bigint[]))"), {"messages": list(held)}
    )
    orphans = await relinks.lose(connection, list(held))
    left = await remove.take_out(connection, list(held))
    log = [
        Event("message-removed", list=one.list, payload={"message": one.id, "tombstone": stones[one.id]})
        for one in held.values()
    ]
    log += await regroup.regroup(connection, left)
    await events.write(connection, log)
    for message in orphans:
        await relinks.apply(connection, message)
    await remove.delete_rows(connection, list(held), left)
    gone = await rows.unused(connection, raw)
    await quarantine.forget(connection, gone, reason)
    await rows.drop_raw(connection, gone)


async def _raise(
    connection: AsyncConnection, held: Sequence[Held], known: Mapping[bytes, Collection[bytes]], reason: str
) -> list[int]:
    """Make the tombstones; answer their ids."""
    found = await connection.execute(
        text("""
            SELECT message, array_agg(DISTINCT queue_id) AS queue_ids
            FROM ingestd.delivery
            WHERE message = ANY (CAST(:messages AS bigint[])) AND queue_id IS NOT NULL
            GROUP BY message
        """),
        {"messages": [one.id for one in held]},
    )
    queue_ids = {row.message: row.queue_ids for row in found}
    ids = await rows.allocate(connection, schema.tombstone, len(held))
    await rows.add(
        connection,
        schema.tombstone,
        [
            {
                "id": id_,
                "list": one.list,
                "message": one.id,
                "content_key": one.identity[1],
                "reason": reason,
                "queue_ids": queue_ids.get(one.id, []),
            }
            for id_, one in zip(ids, held, strict=True)
        ],
    )
    for id_, one in zip(ids, held, strict=True):
        own = {rows.identity(*one.identity)}.union(*(known.get(digest, ()) for digest in one.deliveries))
        await connection.execute(
            upsert(schema.tombstone_digest).on_conflict_do_nothing(),
            [{"list": one.list, "digest": digest, "tombstone": id_} for digest in sorted(own)],
        )
    return ids

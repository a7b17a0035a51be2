"""How far archives have been read: written with the mails that were read."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store import schema
from ingestd.store.values import Cursor


async def read(connection: AsyncConnection, source: str, list_id: str | None) -> Mapping[str, str | int] | None:
    """The place where an archive is to be read on; None where it never was read into that list."""
    found = await connection.execute(
        text("SELECT place FROM ingestd.archive WHERE source = :source AND list_id = :list_id"),
        {"source": source, "list_id": list_id or ""},
    )
    place: Mapping[str, str | int] | None = found.scalar_one_or_none()
    return place


async def write(connection: AsyncConnection, cursor: Cursor) -> None:
    """Remember a place. The caller holds the ingest lock."""
    row = {"source": cursor.source, "list_id": cursor.list_id or "", "place": dict(cursor.place)}
    statement = upsert(schema.archive).values(row)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["source", "list_id"],
            set_={"place": statement.excluded.place, "at": text("transaction_timestamp()")},
        )
    )


async def tally(connection: AsyncConnection, messages: Sequence[int]) -> tuple[int, set[int]]:
    """Of some mails: how many came under a Message-ID that another mail has, and the series they are in."""
    variants = await connection.scalar(
        text("""
            SELECT count(*)
            FROM ingestd.message m
            WHERE m.id = ANY (CAST(:messages AS bigint[]))
              AND EXISTS (
                  SELECT
                  FROM ingestd.message o
                  WHERE o.message_id = m.message_id AND o.list = m.list AND o.id <> m.id
              )
        """),
        {"messages": list(messages)},
    )
    series = await connection.execute(
        text("""
            SELECT sp.posted_in
            FROM ingestd.series_patch sp
            WHERE sp.message = ANY (CAST(:messages AS bigint[])) AND sp.role <> 'carried'
            UNION
            SELECT s.id
            FROM ingestd.series s
            WHERE s.cover = ANY (CAST(:messages AS bigint[]))
        """),
        {"messages": list(messages)},
    )
    return int(variants or 0), set(series.scalars())

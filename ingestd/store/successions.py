"""A human's word on what a series supersedes (`ingestd relink --supersedes`), and which series it stands for by now."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import InputError
from ingestd.store import rows, schema

# The series that a mail was posted in, or is the cover of.
_SERIES_OF = """
    SELECT sp.message, sp.series FROM ingestd.series_patch sp WHERE sp.role <> 'carried'
    UNION
    SELECT s.cover, s.id FROM ingestd.series s WHERE s.cover IS NOT NULL
"""


async def any_said(connection: AsyncConnection) -> bool:
    """Whether anybody said anything, or a word that is gone still stands in some series. Mostly nobody did."""
    found = await connection.execute(
        text("""
            SELECT EXISTS (SELECT FROM ingestd.succession)
                OR EXISTS (SELECT FROM ingestd.series WHERE evidence = 'relink')
        """)
    )
    return bool(found.scalar_one())


async def standing(connection: AsyncConnection, series: Collection[int]) -> dict[int, int | None]:
    """Series -> the series that it is said to supersede, None for nothing; of all words that touch one of `series`.

    Of two words on one series that of the mail with the smallest key holds. A word is void while one of its mails is in
    no series, or where both are in the same one.
    """
    found = await connection.execute(
        text(f"""
            WITH near AS MATERIALIZED (
                     SELECT h.message FROM ({_SERIES_OF}) h WHERE h.series = ANY (CAST(:series AS bigint[]))
                 ),
                 spoken AS MATERIALIZED (
                     SELECT w.message, w.target FROM near JOIN ingestd.succession w ON w.message = near.message
                     UNION
                     SELECT w.message, w.target FROM near JOIN ingestd.succession w ON w.target = near.message
                 )
            SELECT DISTINCT ON (mine.series) mine.series, its.series AS target
            FROM spoken w
            JOIN ingestd.message m ON m.id = w.message
            JOIN LATERAL (SELECT h.series FROM ({_SERIES_OF}) h WHERE h.message = w.message) mine ON true
            LEFT JOIN LATERAL (SELECT h.series FROM ({_SERIES_OF}) h WHERE h.message = w.target) its ON true
            WHERE w.target IS NULL OR its.series <> mine.series
            ORDER BY mine.series, m.key COLLATE "C", its.series
        """),
        {"series": list(series)},
    )
    return {row.series: row.target for row in found}


async def around(connection: AsyncConnection, series: Collection[int]) -> set[int]:
    """The series whose answer may be another by words that touch one of `series`: both sides of each."""
    found = await _void(connection, series)
    for _ in range(2):  # a word that may be void by now named a series of which another may speak
        said = await standing(connection, {*series, *found})
        found |= {*said, *(target for target in said.values() if target is not None)}
    return found


async def _void(connection: AsyncConnection, series: Collection[int]) -> set[int]:
    """The series that superseded one of `series`, or one that is gone, by a human's word: it may hold no more."""
    found = await connection.execute(
        text("""
            SELECT id FROM ingestd.series
            WHERE evidence = 'relink' AND (supersedes IS NULL OR supersedes = ANY (CAST(:series AS bigint[])))
        """),
        {"series": list(series)},
    )
    return set(found.scalars())


async def word_on(connection: AsyncConnection, message: int) -> tuple[str | None, datetime] | None:
    """What was said of the series of a mail: (key of a mail of the older series or None, when); None where nothing."""
    found = await connection.execute(
        text("""
            SELECT t.key, w.at
            FROM ingestd.succession w
            LEFT JOIN ingestd.message t ON t.id = w.target
            WHERE w.message = :message
        """),
        {"message": message},
    )
    row = found.one_or_none()
    return None if row is None else (row.key, row.at)


async def say(connection: AsyncConnection, message: int, target: int | None) -> None:
    """Write the word down: the series of `message` supersedes that of `target`, or nothing."""
    await connection.execute(
        upsert(schema.succession)
        .values(message=message, target=target)
        .on_conflict_do_update(
            index_elements=[schema.succession.c.message],
            set_={"target": target, "at": text("transaction_timestamp()")},
        )
    )


async def take_back(connection: AsyncConnection, message: int) -> bool:
    """Forget what was said of the series of a mail; whether anything was."""
    gone = await connection.execute(delete(schema.succession).where(schema.succession.c.message == message))
    return bool(gone.rowcount)


async def series_of(connection: AsyncConnection, message: int) -> int | None:
    """The series that a mail was posted in, or is the cover of."""
    found = await connection.execute(
        text(f"SELECT min(h.series) FROM ({_SERIES_OF}) h WHERE h.message = :message"), {"message": message}
    )
    series: int | None = found.scalar_one()
    return series


async def head_of(connection: AsyncConnection, message: int, key: str) -> int:
    """The cover, else the lowest patch, of the series with this key on the list of `message`.

    InputError where there is none, or where it is the series of that mail.
    """
    found = await connection.execute(
        text("""
            SELECT s.id, coalesce(s.cover, (
                SELECT sp.message
                FROM ingestd.series_patch sp
                JOIN ingestd.message m ON m.id = sp.message
                WHERE sp.series = s.id AND sp.role <> 'carried'
                ORDER BY sp.number, m.key COLLATE "C"
                LIMIT 1
            )) AS head
            FROM ingestd.message one
            JOIN ingestd.series s ON s.list = one.list AND s.key = :key
            WHERE one.id = :message
        """),
        {"message": message, "key": key.strip().removeprefix("<").removesuffix(">")},
    )
    row = found.one_or_none()
    if row is None:
        raise InputError(f"{key}: no series has this key on the mail's list")
    if row.id == await series_of(connection, message):
        raise InputError(f"{key}: a series does not supersede itself")
    return int(row.head)


async def follow(connection: AsyncConnection, into: Mapping[int, int]) -> None:
    """Let what was said of mails hold for those that they turned out to be: id -> id of the mail it is.

    Of two words on one mail the newer holds.
    """
    found = await connection.execute(
        text("""
            DELETE FROM ingestd.succession
            WHERE message = ANY (CAST(:ids AS bigint[])) OR target = ANY (CAST(:ids AS bigint[]))
            RETURNING message, target, at
        """),
        {"ids": sorted({*into, *into.values()})},
    )
    said: dict[int, rows.Row] = {}
    for row in sorted(found, key=lambda row: (row.at, row.message)):
        message = into.get(row.message, row.message)
        target = None if row.target is None else into.get(row.target, row.target)
        if message != target:
            said[message] = {"message": message, "target": target, "at": row.at}
    await rows.add(connection, schema.succession, said.values())

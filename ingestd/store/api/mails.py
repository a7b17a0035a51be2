"""Mails as files: what an mbox of patches is made of, and the bytes of whole threads."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import IngestdError

Row = dict[str, Any]

MOST_BYTES = 128 * 1024 * 1024  # of mail in one answer, which is made in memory


class TooMuchError(IngestdError):
    """More mail than goes into one answer."""


async def check_size(connection: AsyncConnection, ids: Collection[int]) -> None:
    """TooMuchError where these mails have more than MOST_BYTES as they were received."""
    found = await connection.scalar(
        text("""
            SELECT sum(octet_length(r.bytes))
            FROM ingestd.message m
            JOIN ingestd.raw r ON r.sha256 = m.raw_sha256
            WHERE m.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    if (found or 0) > MOST_BYTES:
        raise TooMuchError(f"more than {MOST_BYTES} octets of mail")


async def raws(connection: AsyncConnection, ids: Collection[int]) -> list[bytes]:
    """Mails as they were received, oldest first. TooMuchError."""
    await check_size(connection, ids)
    found = await connection.execute(
        text("""
            SELECT r.bytes
            FROM ingestd.message m
            JOIN ingestd.raw r ON r.sha256 = m.raw_sha256
            WHERE m.id = ANY (CAST(:ids AS bigint[]))
            ORDER BY m.date NULLS LAST, m.key COLLATE "C"
        """),
        {"ids": list(ids)},
    )
    return [bytes(raw) for raw in found.scalars()]


async def mails(connection: AsyncConnection, ids: Collection[int], *, whole: bool = True) -> dict[int, Row]:
    """The mails with these ids, `whole` with all that an mbox of them needs."""
    found = await connection.execute(
        text(f"""
            SELECT m.id, m.list, m.key, m.name, coalesce(m.date, m.received_at) AS date, m.munged, m.submitter_name,
                   m.submitter_email, a.email AS delegate, t.listed IS TRUE AS is_patch, j.link_name, m.about
                   {", m.headers, m.content, p.diff, r.bytes AS raw" if whole else ""}
            FROM ingestd.message m
            JOIN ingestd.raw r ON r.sha256 = m.raw_sha256
            JOIN ingestd.project j ON j.list = m.list
            LEFT JOIN ingestd.patch p ON p.message = m.id
            LEFT JOIN ingestd.triage t ON t.message = m.id
            LEFT JOIN ingestd.account a ON a.id = t.delegate
            WHERE m.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def given(connection: AsyncConnection, ids: Collection[int]) -> dict[int, list[str]]:
    """Mail -> the trailers that replies give to it, each person's once, oldest reply first.

    Those that the sender of the reply does not stand for are nobody's word, and left out.
    """
    found = await connection.execute(
        text("""
            SELECT g.subject, t.name, t.value, lower(t.person_email) AS email
            FROM ingestd.given g
            JOIN ingestd.trailer t ON t.message = g.source AND t.position = g.position
            JOIN ingestd.message m ON m.id = g.source
            WHERE g.subject = ANY (CAST(:ids AS bigint[]))
              AND g.reason <> 'own'
              AND m.kind = 'reply'
              AND t.person_email IS NOT NULL
              AND lower(t.name) <> 'signed-off-by'
              AND ingestd.same_person(t.person_name, t.person_email, m.author_name, m.author_email)
            ORDER BY m.date NULLS LAST, m.key COLLATE "C", t.position
        """),
        {"ids": list(ids)},
    )
    lines: dict[int, dict[tuple[str, str], str]] = defaultdict(dict)
    for row in found:
        lines[row.subject].setdefault((row.name.lower(), row.email), f"{row.name}: {row.value}")
    return {subject: list(said.values()) for subject, said in lines.items()}


async def series_up_to(connection: AsyncConnection, patch: int, series: int | None) -> list[int] | None:
    """The patches of a series up to this one, by number, as they are to be applied; None where it is in none such.

    `series`: which one, where a patch is in several; else that it was posted in.
    """
    found = await connection.execute(
        text("""
            SELECT sp.series, sp.number
            FROM ingestd.series_patch sp
            WHERE sp.message = :patch AND sp.number > 0
              AND (sp.series = :series OR (CAST(:series AS bigint) IS NULL AND sp.role <> 'carried'))
            ORDER BY sp.posted_in <> sp.series, sp.series
            LIMIT 1
        """),
        {"patch": patch, "series": series},
    )
    place = found.one_or_none()
    if place is None:
        return None
    before = await connection.execute(
        text("""
            SELECT DISTINCT ON (sp.number) sp.message
            FROM ingestd.series_patch sp
            JOIN ingestd.message m ON m.id = sp.message
            WHERE sp.series = :series AND sp.number > 0 AND sp.number < :number
            ORDER BY sp.number, array_position(ARRAY['reroll', 'posted', 'carried'], sp.role), m.key COLLATE "C"
        """),
        {"series": place.series, "number": place.number},
    )
    return [*before.scalars(), patch]


async def raw(connection: AsyncConnection, id_: int) -> bytes:
    """A mail as it was received."""
    found = await connection.scalar(
        text("SELECT r.bytes FROM ingestd.message m JOIN ingestd.raw r ON r.sha256 = m.raw_sha256 WHERE m.id = :id"),
        {"id": id_},
    )
    return bytes(found)


async def thread(connection: AsyncConnection, id_: int) -> list[bytes]:
    """All mails of the thread that a mail is in, as they were received, oldest first. TooMuchError."""
    found = await connection.execute(
        text("SELECT m.id FROM ingestd.message one JOIN ingestd.message m ON m.thread = one.thread WHERE one.id = :id"),
        {"id": id_},
    )
    return await raws(connection, found.scalars().all())

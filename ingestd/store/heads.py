"""Stored series as the values that `ingestd.series` works on."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.series.values import CARRIED, Member, Series

MemberRow = tuple[int, int, str, int]  # (number, message, role, posted_in) of `series_patch`


@dataclass(frozen=True, slots=True)
class Head:
    """A stored series."""

    id: int
    list: int
    row: Mapping[str, Any]
    series: Series
    carried: frozenset[MemberRow]


def value(row: Mapping[str, Any], members: Iterable[Member], revision_keys: Iterable[str] = ()) -> Series:
    """A row of `series`, with `cover_key` beside it, as a value."""
    return Series(
        key=row["key"],
        kind=row["kind"],
        name=row["name"],
        version=row["version"],
        version_inferred=row["version_inferred"],
        total=row["total"],
        cover=row["cover_key"],
        members=tuple(sorted(members, key=lambda member: (member.number, member.role, member.key))),
        author_name=row["author_name"],
        author_email=row["author_email"],
        date=row["date"],
        change_id=row["change_id"],
        supersedes=tuple(row["supersedes_ids"]),
        revision_keys=tuple(sorted(revision_keys)),
        reroll=row["reroll"],
    )


async def load(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Head]:
    """The series with these ids, whole."""
    if not ids:
        return {}
    wanted = {"ids": list(ids)}
    found = await connection.execute(
        text("""
            SELECT s.*, c.key AS cover_key
            FROM ingestd.series s
            LEFT JOIN ingestd.message c ON c.id = s.cover
            WHERE s.id = ANY (CAST(:ids AS bigint[]))
        """),
        wanted,
    )
    stored = [dict(row) for row in found.mappings()]
    members: dict[int, list[Member]] = defaultdict(list)
    carried: dict[int, set[MemberRow]] = defaultdict(set)
    for series, number, key, role, sent, message, posted_in in await connection.execute(
        text("""
            SELECT sp.series, sp.number, m.key, sp.role, sent.key, sp.message, sp.posted_in
            FROM ingestd.series_patch sp
            JOIN ingestd.message m ON m.id = sp.message
            JOIN ingestd.series sent ON sent.id = sp.posted_in
            WHERE sp.series = ANY (CAST(:ids AS bigint[]))
        """),
        wanted,
    ):
        members[series].append(Member(number, key, role, sent))
        if role == CARRIED:
            carried[series].add((number, message, role, posted_in))
    keys: dict[int, list[str]] = defaultdict(list)
    for series, key in await connection.execute(
        text("SELECT series, key FROM ingestd.revision_key WHERE series = ANY (CAST(:ids AS bigint[]))"), wanted
    ):
        keys[series].append(key)
    return {
        row["id"]: Head(
            row["id"],
            row["list"],
            row,
            value(row, members[row["id"]], keys[row["id"]]),
            frozenset(carried[row["id"]]),
        )
        for row in stored
    }

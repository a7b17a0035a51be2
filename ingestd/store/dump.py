"""`ingestd dump`: the content of the database as canonical JSON lines. Equal dumps mean equal content."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from sqlalchemy import text

from ingestd.errors import InputError
from ingestd.mail import Person
from ingestd.series.values import Member
from ingestd.store import heads
from ingestd.store.engine import Database

_MESSAGES = """
    SELECT l.list_id, m.key, m.message_id, m.mail_sha256, m.kind, m.name, m.prefixes, m.number, m.total, m.version,
           m.reroll, m.author_name, m.author_email, m.date, p.hash, p.patch_id, p.pull_url,
           encode(sha256(convert_to(m.content, 'UTF8')), 'hex') AS content_sha256,
           encode(sha256(convert_to(p.diff, 'UTF8')), 'hex') AS diff_sha256,
           min(m.key COLLATE "C") OVER (PARTITION BY m.thread) AS thread,
           above.key AS parent,
           coalesce(
               (SELECT s.key
                FROM ingestd.series_patch sp
                JOIN ingestd.series s ON s.id = sp.posted_in
                WHERE sp.message = m.id AND sp.role <> 'carried'
                ORDER BY s.key COLLATE "C"
                LIMIT 1),
               (SELECT min(s.key COLLATE "C") FROM ingestd.series s WHERE s.cover = m.id)
           ) AS series,
           ARRAY(
               SELECT DISTINCT f.path COLLATE "C"
               FROM ingestd.file f
               WHERE f.message = m.id
               ORDER BY 1
           ) AS files
    FROM ingestd.message m
    JOIN ingestd.list l ON l.id = m.list
    LEFT JOIN ingestd.patch p ON p.message = m.id
    LEFT JOIN ingestd.message above ON above.id = m.parent
    WHERE l.list_id = :list_id
    ORDER BY m.key COLLATE "C"
"""

_SERIES = """
    SELECT s.*, l.list_id, c.key AS cover_key, older.key AS supersedes_key,
           (SELECT json_agg(json_build_array(sp.number, m.key, sp.role, sent.key))
            FROM ingestd.series_patch sp
            JOIN ingestd.message m ON m.id = sp.message
            JOIN ingestd.series sent ON sent.id = sp.posted_in
            WHERE sp.series = s.id) AS members
    FROM ingestd.series s
    JOIN ingestd.list l ON l.id = s.list
    LEFT JOIN ingestd.message c ON c.id = s.cover
    LEFT JOIN ingestd.series older ON older.id = s.supersedes
    WHERE l.list_id = :list_id
    ORDER BY s.key COLLATE "C"
"""


async def lines(database: Database, list_id: str | None = None) -> AsyncIterator[str]:
    """Yield the lines, without newline, sorted by code point of (list, type, key). One snapshot throughout."""
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        found = await connection.execute(text('SELECT list_id FROM ingestd.list ORDER BY list_id COLLATE "C"'))
        lists = found.scalars().all()
        if list_id is not None and list_id not in lists:
            raise InputError(f"{list_id}: no such list")
        for one in lists if list_id is None else [list_id]:
            for query, line in ((_MESSAGES, _message), (_SERIES, _series)):
                async with connection.stream(text(query), {"list_id": one}) as result:
                    async for row in result.mappings():
                        yield json.dumps(line(dict(row)), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _message(row: Mapping[str, Any]) -> dict[str, Any]:
    date = row["date"]
    return {
        "type": "message",
        "list": row["list_id"],
        "key": row["key"],
        "message_id": row["message_id"],
        "mail_sha256": row["mail_sha256"],
        "kind": row["kind"],
        "name": row["name"],
        "prefixes": row["prefixes"],
        "number": row["number"],
        "total": row["total"],
        "version": row["version"],
        "reroll": row["reroll"],
        "author": str(Person(row["author_name"], row["author_email"])),
        "date": None if date is None else f"{date:%Y-%m-%dT%H:%M:%S}Z",
        "hash": row["hash"],
        "patch_id": row["patch_id"],
        "content_sha256": row["content_sha256"],
        "diff_sha256": row["diff_sha256"],
        "thread": row["thread"],
        "parent": row["parent"],
        "series": row["series"],
        "pull_url": row["pull_url"],
        "files": row["files"],
    }


def _series(row: Mapping[str, Any]) -> dict[str, Any]:
    series = heads.value(row, [Member(*member) for member in row["members"] or ()])
    return {
        "type": "series",
        "list": row["list_id"],
        "key": series.key,
        "name": series.name,
        "kind": series.kind,
        "version": series.version,
        "total": series.total,
        "cover": series.cover,
        "posted": {str(number): list(keys) for number, keys in series.posted.items()},
        "effective": {str(number): key for number, key in series.effective.items()},
        "missing": list(series.missing),
        "complete": row["complete"],
        "supersedes": row["supersedes_key"],
        "author": str(Person(series.author_name, series.author_email)),
    }

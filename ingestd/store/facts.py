"""Stored mails as the facts that grouping works on."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row as RowOf
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.series.values import Fact
from ingestd.store import schema


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored mail, and its place as it stands in its row."""

    id: int
    fact: Fact
    list: int
    key: str
    parent: int | None
    about: int | None
    pulls: bool


async def one(connection: AsyncConnection, message: int) -> Fact:
    """What grouping knows of a stored mail, with what a human said of it."""
    found = await connection.execute(select(schema.message.c.thread).where(schema.message.c.id == message))
    mails = await load(connection, [found.scalar_one()])
    return next(mail.fact for members in mails.values() for mail in members if mail.id == message)


async def load(connection: AsyncConnection, threads: Collection[int]) -> dict[tuple[int, int], list[Stored]]:
    """The mails of `threads`, by (list, thread)."""
    m, p, word, target = schema.message, schema.patch, schema.relink, schema.message.alias("target")
    found = await connection.execute(
        select(
            *(m.c.id, m.c.list, m.c.thread, m.c.key, m.c.parent, m.c.about),
            *(m.c.message_id, m.c.content_key, m.c.kind, m.c.date, m.c.author_name, m.c.author_email),
            *(m.c.sender_email, m.c.name, m.c.title, m.c.tags, m.c.number, m.c.total, m.c.version),
            *(m.c.version_written, m.c.reroll, m.c.resend, m.c.reply, m.c.in_reply_to, m.c.references),
            *(
                m.c.former_ids,
                m.c.sender_name,
                m.c.munged,
                p.c.diff.isnot(None).label("has_diff"),
                p.c.patch_id,
                p.c.change_id,
                p.c.pull_url.isnot(None).label("pulls"),
                target.c.message_id.label("belongs_id"),
                target.c.content_key.label("belongs_content"),
            ),
        )
        .outerjoin(p, p.c.message == m.c.id)
        .outerjoin(word, word.c.message == m.c.id)
        .outerjoin(target, target.c.id == word.c.target)
        .where(m.c.thread.in_(threads))
    )
    stored = found.all()
    supersedes = await _superseded(connection, [row.id for row in stored])
    mails: dict[tuple[int, int], list[Stored]] = defaultdict(list)
    for row in stored:
        mail = Stored(
            row.id, _fact(row, supersedes.get(row.id, ())), row.list, row.key, row.parent, row.about, row.pulls
        )
        mails[row.list, row.thread].append(mail)
    return mails


async def _superseded(connection: AsyncConnection, messages: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Message id -> the Message-IDs it says it supersedes."""
    found = await connection.execute(
        text("""
            SELECT message, array_agg(target ORDER BY position)
            FROM ingestd.link
            WHERE message = ANY (CAST(:messages AS bigint[])) AND type IN ('supersedes', 'obsoletes')
            GROUP BY message
        """),
        {"messages": list(messages)},
    )
    return {message: tuple(targets) for message, targets in found}


def _fact(row: RowOf[*tuple[Any, ...]], supersedes: tuple[str, ...]) -> Fact:
    return Fact(
        message_id=row.message_id,
        content_key=row.content_key,
        kind=row.kind,
        date=row.date,
        author_name=row.author_name,
        author_email=row.author_email,
        sender_email=row.sender_email,
        name=row.name,
        title=row.title,
        tags=tuple(row.tags),
        number=row.number,
        total=row.total,
        version=row.version,
        version_written=row.version_written,
        reroll=row.reroll,
        resend=row.resend,
        reply=row.reply,
        in_reply_to=tuple(row.in_reply_to),
        references=tuple(row.references),
        former_ids=tuple(row.former_ids),
        has_diff=row.has_diff,
        patch_id=row.patch_id,
        change_id=row.change_id,
        supersedes=supersedes,
        sender_name=row.sender_name,
        munged=row.munged,
        belongs=None if row.belongs_id is None else (row.belongs_id, row.belongs_content),
    )

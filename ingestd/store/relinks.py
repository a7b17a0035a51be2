"""A human's word on which series a mail belongs to: kept apart from what is parsed, and part of what grouping reads."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import InputError
from ingestd.series import link, word
from ingestd.store import events, facts, regroup, revisions, rows, schema, successions, threads
from ingestd.store.events import Event


async def words(connection: AsyncConnection, messages: Collection[int]) -> dict[int, tuple[str, str]]:
    """Message id -> identity of the mail whose series it is said to belong to."""
    found = await connection.execute(
        text("""
            SELECT r.message, t.message_id, t.content_key
            FROM ingestd.relink r
            JOIN ingestd.message t ON t.id = r.target
            WHERE r.message = ANY (CAST(:messages AS bigint[]))
        """),
        {"messages": list(messages)},
    )
    return {message: (message_id, content_key) for message, message_id, content_key in found}


async def word_on(connection: AsyncConnection, message: int) -> tuple[str, datetime] | None:
    """What was said of a mail: (key of the mail whose series it belongs to, when); None where nothing was."""
    found = await connection.execute(
        text("""
            SELECT t.key, r.at
            FROM ingestd.relink r
            JOIN ingestd.message t ON t.id = r.target
            WHERE r.message = :message
        """),
        {"message": message},
    )
    row = found.one_or_none()
    return None if row is None else (row.key, row.at)


async def move(connection: AsyncConnection, message: int, series_key: str) -> None:
    """Say that a mail belongs to the series with this key. The caller holds the ingest lock.

    What is kept is a mail of that series, not its key, which is another one once a cover comes. InputError where there
    is no such series on the mail's list, or where the mail can be part of none.
    """
    found = await connection.execute(
        text("""
            SELECT s.id
            FROM ingestd.message m
            JOIN ingestd.series s ON s.list = m.list AND s.key = :key
            WHERE m.id = :message
        """),
        {"message": message, "key": series_key.strip().removeprefix("<").removesuffix(">")},
    )
    series = found.scalar_one_or_none()
    if series is None:
        raise InputError(f"{series_key}: no series has this key on the mail's list")
    await _say(connection, message, await _head(connection, message, series))


async def set_apart(connection: AsyncConnection, message: int) -> None:
    """Say that a mail is a series of its own. The caller holds the ingest lock. InputError where it can be none."""
    await _say(connection, message, message)


async def supersede(connection: AsyncConnection, message: int, series_key: str | None) -> None:
    """Say that the series of a mail supersedes the one with this key, or nothing. The caller holds the ingest lock.

    InputError where the mail is in no series, or where there is no other series with this key on its list.
    """
    series = await successions.series_of(connection, message)
    if series is None:
        raise InputError("the mail is in no series")
    before = await successions.standing(connection, {series})
    target = None if series_key is None else await successions.head_of(connection, message, series_key)
    await successions.say(connection, message, target)
    await _revise(connection, message, before)


async def take_back(connection: AsyncConnection, message: int) -> None:
    """Forget what was said of a mail and its series. The caller holds the ingest lock. InputError where nothing was."""
    series = await successions.series_of(connection, message)
    before = {} if series is None else await successions.standing(connection, {series})
    revised = await successions.take_back(connection, message)
    gone = await connection.execute(delete(schema.relink).where(schema.relink.c.message == message))
    if not gone.rowcount and not revised:
        raise InputError("nothing was said of this mail")
    if revised:
        await _revise(connection, message, before)
    if gone.rowcount:
        await apply(connection, message)


async def _revise(connection: AsyncConnection, message: int, before: Mapping[int, int | None]) -> None:
    """Say anew what the series of a mail supersedes, and what those that it was said to supersede `before` do."""
    series = await successions.series_of(connection, message)
    (list_,) = await connection.execute(select(schema.message.c.list).where(schema.message.c.id == message))
    log = [Event("mail-relinked", list=list_.list, message=message)]
    concerned = {id_ for id_ in (series, *before, *before.values()) if id_ is not None}
    log += await revisions.revise(connection, concerned, (), ())
    await events.write(connection, log)


async def lose(connection: AsyncConnection, targets: Collection[int]) -> list[int]:
    """Forget what was said of mails that are about to go, and that others belong to them; answer these others.

    They are to be linked anew, by `apply`.
    """
    gone = await connection.execute(
        text("""
            DELETE FROM ingestd.relink
            WHERE message = ANY (CAST(:targets AS bigint[])) OR target = ANY (CAST(:targets AS bigint[]))
            RETURNING message
        """),
        {"targets": list(targets)},
    )
    return sorted(set(gone.scalars()) - set(targets))


async def follow(connection: AsyncConnection, into: Mapping[int, int]) -> None:
    """Let what was said of mails hold for those that they turned out to be: id -> id of the mail it is.

    Of two words on one mail the newer holds. That a mail belongs to the very mail it is says nothing.
    """
    await successions.follow(connection, into)
    ids = {"ids": sorted({*into, *into.values()})}
    found = await connection.execute(
        text("""
            DELETE FROM ingestd.relink
            WHERE message = ANY (CAST(:ids AS bigint[])) OR target = ANY (CAST(:ids AS bigint[]))
            RETURNING message, target, at
        """),
        ids,
    )
    said: dict[int, rows.Row] = {}
    for row in sorted(found, key=lambda row: (row.at, row.message)):
        message, target = into.get(row.message, row.message), into.get(row.target, row.target)
        if message != target or row.message == row.target:
            said[message] = {"message": message, "target": target, "at": row.at}
    await rows.add(connection, schema.relink, said.values())


async def _head(connection: AsyncConnection, message: int, series: int) -> int:
    """The mail that stands for a series: its cover or lowest patch, other than `message`, that nobody spoke of.

    Where people spoke of all of them, the one they all follow; `message` where that is the one, or where it is alone.
    """
    found = await connection.execute(
        text("""
            SELECT w.message, r.target
            FROM (
                SELECT 0 AS number, s.cover AS message FROM ingestd.series s WHERE s.id = :series
                UNION ALL
                SELECT sp.number, sp.message
                FROM ingestd.series_patch sp
                WHERE sp.series = :series AND sp.role <> 'carried'
            ) w
            JOIN ingestd.message m ON m.id = w.message
            LEFT JOIN ingestd.relink r ON r.message = w.message
            WHERE w.message <> :message
            ORDER BY w.number, m.key COLLATE "C"
        """),
        {"series": series, "message": message},
    )
    members: dict[int, int | None] = {row.message: row.target for row in found}
    if not members:
        return message
    return next((one for one, target in members.items() if target is None), _followed(members, message))


def _followed(members: Mapping[int, int | None], message: int) -> int:
    """Where the words lead from the first member; no further than `message`, or once round a circle."""
    at = next(iter(members))
    walked = {at}
    while at != message and (target := members.get(at)) is not None and target not in walked:
        at = target
        walked.add(at)
    return at


async def _say(connection: AsyncConnection, message: int, target: int) -> None:
    if not word.can_belong(await facts.one(connection, message)):
        raise InputError("the mail has no diff and is no cover: it can be part of no series")
    await connection.execute(
        upsert(schema.relink)
        .values(message=message, target=target)
        .on_conflict_do_update(
            index_elements=[schema.relink.c.message], set_={"target": target, "at": text("transaction_timestamp()")}
        )
    )
    await apply(connection, message)


async def apply(connection: AsyncConnection, message: int) -> None:
    """Link the mail anew, by what is said of it now, and regroup."""
    fact = await facts.one(connection, message)
    found = await connection.execute(
        text("SELECT list, thread FROM ingestd.message WHERE id = :message"), {"message": message}
    )
    list_, thread = found.one()
    keys = {message: {(list_, key) for key in link.keys(fact)}}
    placed = await threads.link(connection, keys, await threads.loosened(connection, keys))
    await connection.execute(delete(schema.link_key).where(schema.link_key.c.message == message))
    await threads.write_keys(connection, keys)
    log = [Event("mail-relinked", list=list_, message=message)]
    log += await regroup.regroup(connection, {thread, *placed.values()})
    await events.write(connection, log)

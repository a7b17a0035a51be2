"""Mails that are read anew from their stored bytes: which a batch takes, what of them differs, and writing it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import UnavailableError
from ingestd.mail import Mail
from ingestd.mail.values import PARSER_VERSION
from ingestd.series.values import GROUPING_VERSION
from ingestd.store import announce, events, place, regroup, relinks, remove, rows, save, schema
from ingestd.store.api import triage
from ingestd.store.changes import Changes
from ingestd.store.events import Event
from ingestd.store.place import Reading
from ingestd.store.save import Identity

# What of a mail `series.group` reads: where nothing of it differs, no thread and no series does.
GROUPED_BY = frozenset((
    *("message_id", "content_key", "kind", "date", "author_name", "author_email", "sender_name", "sender_email"),
    *("name", "title", "tags", "number", "total", "version", "version_written", "reroll", "resend", "reply"),
    *("in_reply_to", "references", "former_ids", "munged", "patch_id", "change_id", "links"),
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """A stored mail, and the deliveries it can be read from."""

    id: int
    list: int
    thread: int
    key: str
    identity: tuple[str, str]  # (Message-ID, content key)
    raw_sha256: bytes  # of the delivery that its row was read from
    deliveries: frozenset[bytes]  # digests of all of them
    newer: bool  # a newer program has read it, or grouped its thread


async def hold(connection: AsyncConnection, messages: Collection[int]) -> dict[int, Held]:
    """The mails with these ids that are there."""
    found = await connection.execute(
        text("""
            SELECT m.id, m.list, m.thread, m.key, m.message_id, m.content_key, m.raw_sha256,
                   ARRAY(SELECT DISTINCT d.raw_sha256 FROM ingestd.delivery d WHERE d.message = m.id) AS deliveries,
                   m.parser_version > :parser OR t.grouping_version > :grouping AS newer
            FROM ingestd.message m
            JOIN ingestd.thread t ON t.id = m.thread
            WHERE m.id = ANY (CAST(:messages AS bigint[]))
        """),
        {"messages": list(messages), "parser": PARSER_VERSION, "grouping": GROUPING_VERSION},
    )
    return {
        row.id: Held(
            row.id,
            row.list,
            row.thread,
            row.key,
            (row.message_id, row.content_key),
            row.raw_sha256,
            frozenset((row.raw_sha256, *row.deliveries)),
            row.newer,
        )
        for row in found
    }


async def raws(connection: AsyncConnection, digests: Collection[bytes]) -> dict[bytes, bytes]:
    """Digest -> bytes, as received."""
    found = await connection.execute(
        text("SELECT sha256, bytes FROM ingestd.raw WHERE sha256 = ANY (CAST(:digests AS bytea[]))"),
        {"digests": list(digests)},
    )
    return {row.sha256: row.bytes for row in found}


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Which deliveries are one mail, by what they say now."""

    heads: Mapping[int, Identity]  # stored mail -> what it is now
    kept: Mapping[
        Identity, int
    ]  # what there is now -> the stored mail that it goes on as: the one with the smallest id
    found: Mapping[Identity, Sequence[tuple[Held, bytes]]]  # its deliveries, each with the mail it was one of


def _sort(held: Iterable[Held], read: Mapping[bytes, Mail | None]) -> _Sorted:
    """Sort deliveries by what they are now. A delivery that cannot be read is what its mail is.

    A mail is what the delivery says that its row was read from; where that cannot be read any more, the best that can;
    where none can, what it was.
    """
    heads: dict[int, Identity] = {}
    found: dict[Identity, list[tuple[Held, bytes]]] = defaultdict(list)
    for one in held:
        good = {digest: mail for digest in one.deliveries if (mail := read[digest]) is not None}
        own = good.get(one.raw_sha256)
        if own is None and good:
            own = good[_best(good)]
        heads[one.id] = (one.list, *(one.identity if own is None else (own.message_id, own.content_key)))
        for digest in one.deliveries:
            mail = good.get(digest)
            now = heads[one.id] if mail is None else (one.list, mail.message_id, mail.content_key)
            found[now].append((one, digest))
    kept: dict[Identity, int] = {}
    for id_, now in heads.items():
        kept[now] = min(id_, kept.get(now, id_))
    return _Sorted(heads, kept, found)


def _best(good: Mapping[bytes, Mail]) -> bytes:
    """The delivery that a mail's row is read from."""
    return min(good, key=lambda digest: save.rank(good[digest], digest))


async def involved(
    connection: AsyncConnection, held: Mapping[int, Held], read: Mapping[bytes, Mail | None]
) -> dict[int, Held]:
    """Further mails to read with these: those they turn out to be the same as, and those said to belong to them.

    UnavailableError where a newer program has read such a mail.
    """
    now = _sort(held.values(), read)
    changed = [one.id for one in held.values() if now.heads[one.id][1:] != one.identity]
    new = [identity for identity in now.found if identity not in {(one.list, *one.identity) for one in held.values()}]
    if not (changed or new):
        return {}
    found = await connection.execute(
        text("""
            SELECT m.id
            FROM unnest(CAST(:lists AS bigint[]), CAST(:identities AS bytea[])) AS w (list, identity)
            JOIN ingestd.message m ON m.list = w.list AND m.identity = w.identity
            UNION
            SELECT message FROM ingestd.relink WHERE target = ANY (CAST(:changed AS bigint[]))
        """),
        {
            "lists": [identity[0] for identity in new],
            "identities": [rows.identity(*identity[1:]) for identity in new],
            "changed": changed,
        },
    )
    more = await hold(connection, set(found.scalars()) - held.keys())
    if any(one.newer for one in more.values()):
        raise UnavailableError("a mail that it hangs together with was read by a newer ingestd")
    return more


async def apply(connection: AsyncConnection, held: Mapping[int, Held], read: Mapping[bytes, Mail | None]) -> Changes:
    """Write what the deliveries of mails say now, where it differs, and group their threads anew.

    `read`: digest -> mail, for each delivery of `held`; None where it cannot be read: a mail without any that can
    stays as it was. `held` has all that `involved` names. The caller holds the ingest lock.

    The row is read from the best delivery, as for mail that comes. Deliveries that are one mail now become one, under
    the smallest id; a delivery that is another mail now becomes that one.
    """
    changes = Changes()
    now = _sort(held.values(), read)
    gone = {id_: now.kept[head] for id_, head in now.heads.items() if now.kept[head] != id_}
    split = [identity for identity in now.found if identity not in now.kept]
    ids = dict(now.kept) | dict(zip(split, await rows.allocate(connection, schema.message, len(split)), strict=True))
    received = await _received(connection, held)
    await _rename(connection, held, now.heads, gone)
    left = await _take_out(connection, held, gone, changes)
    readings = _readings(ids, now.found, read, received)
    fresh = {ids[identity]: readings[ids[identity]] for identity in split}
    stored = await _stored(connection, [id_ for id_ in readings if id_ not in fresh])
    words = await relinks.words(connection, list(stored))
    changed: dict[int, Reading] = {}
    log: list[Event] = []
    for id_, old in stored.items():
        fields = _differences(old, readings[id_])
        keys = place.keys(readings[id_], words.get(id_))
        if fields or keys != old.keys:
            changed[id_] = readings[id_]
            _tell(changes, held[id_], fields, old.keys ^ keys)
        if fields:
            log.append(Event("message-changed", list=held[id_].list, message=id_))
    for id_, reading in fresh.items():
        changes.mail(id_, reading.list, reading.mail.message_id).born = True
        log += announce.created(reading.mail, reading.list, id_)
    for id_, into in gone.items():
        log.append(Event("message-removed", list=held[id_].list, payload={"message": id_, "into": into}))
    touched = await place.place(connection, fresh, changed, changes)
    await _move_deliveries(connection, ids, now.found)
    threads = left | touched | {one.thread for one in held.values()}
    log += await regroup.regroup(connection, await _there(connection, threads), anew=True, changes=changes)
    await remove.delete_rows(connection, list(gone), left)
    await remove.forget_people(connection, {stored[id_].row["submitter"] for id_ in changed})
    await _mark(connection, [id_ for id_ in stored if id_ not in changed])
    for change in changes.mails.values():
        if "thread" in change.fields:
            changes.tie(-1, (f"t:{thread}" for thread in change.fields["thread"]))
    await events.write(connection, log)
    changes.prune()
    return changes


async def _received(connection: AsyncConnection, held: Mapping[int, Held]) -> dict[tuple[int, bytes], Any]:
    """(mail, digest) -> when that delivery first came."""
    found = await connection.execute(
        text("""
            SELECT message, raw_sha256, min(received_at) AS at
            FROM ingestd.delivery
            WHERE message = ANY (CAST(:messages AS bigint[]))
            GROUP BY message, raw_sha256
        """),
        {"messages": list(held)},
    )
    return {(row.message, row.raw_sha256): row.at for row in found}


async def _rename(
    connection: AsyncConnection, held: Mapping[int, Held], heads: Mapping[int, Identity], gone: Collection[int]
) -> None:
    """Give mails their new identities. First away with all old ones, since one may have what another had."""
    renamed = [id_ for id_, head in heads.items() if head[1:] != held[id_].identity or id_ in gone]
    if not renamed:
        return
    await connection.execute(
        text("""
            UPDATE ingestd.message SET identity = sha256(convert_to('reparse ' || id, 'UTF8'))
            WHERE id = ANY (CAST(:messages AS bigint[]))
        """),
        {"messages": renamed},
    )
    table = schema.message
    names = ("message_id", "content_key", "identity")
    made = [
        {"id_": id_, "message_id": head[1], "content_key": head[2], "identity": rows.identity(*head[1:])}
        for id_, head in heads.items()
        if id_ in renamed and id_ not in gone
    ]
    if made:
        await connection.execute(
            update(table).where(table.c.id == bindparam("id_")).values({name: bindparam(name) for name in names}), made
        )


async def _take_out(
    connection: AsyncConnection, held: Mapping[int, Held], gone: Mapping[int, int], changes: Changes
) -> set[int]:
    """Take mails that turn out to be another one out of their threads; answer the threads to regroup.

    `gone`: id -> id of the mail it is.
    """
    if not gone:
        return set()
    await relinks.follow(connection, gone)
    await triage.follow(connection, gone)
    for id_, into in gone.items():
        changes.mail(id_, held[id_].list, held[id_].key).gone = f"the same mail as {held[into].key} now"
        changes.tie(held[id_].list, (f"i:{rows.identity(*held[id_].identity).hex()}",))
    return await remove.take_out(connection, list(gone), changes)


def _readings(
    ids: Mapping[Identity, int],
    found: Mapping[Identity, Sequence[tuple[Held, bytes]]],
    read: Mapping[bytes, Mail | None],
    received: Mapping[tuple[int, bytes], Any],
) -> dict[int, Reading]:
    """Id -> the mail as its best delivery says it; without mails of which no delivery can be read."""
    readings: dict[int, Reading] = {}
    for identity, sources in found.items():
        good = {digest: mail for _, digest in sources if (mail := read[digest]) is not None}
        if good:
            best = _best(good)
            at = min(received[one.id, digest] for one, digest in sources if (one.id, digest) in received)
            readings[ids[identity]] = Reading(identity[0], good[best], best, at)
    return readings


@dataclass(slots=True)
class _Stored:
    """What stands in the rows of a mail."""

    row: rows.Row
    parts: dict[Table, list[rows.Row]] = field(default_factory=lambda: {table: [] for table in place.PARTS})
    keys: set[tuple[int, str]] = field(default_factory=set)  # link keys, as (list, key)


async def _stored(connection: AsyncConnection, messages: Collection[int]) -> dict[int, _Stored]:
    """Message id -> what stands in its rows."""
    if not messages:
        return {}
    found = await connection.execute(select(schema.message).where(schema.message.c.id.in_(messages)))
    stored = {row["id"]: _Stored(dict(row)) for row in found.mappings()}
    for table in place.PARTS:
        order = [table.c.position] if "position" in table.c else []
        parts = await connection.execute(select(table).where(table.c.message.in_(messages)).order_by(*order))
        for part in parts.mappings():
            stored[part["message"]].parts[table].append(dict(part))
    key = schema.link_key
    for row in await connection.execute(
        select(key.c.message, key.c.list, key.c.key).where(key.c.message.in_(messages))
    ):
        stored[row.message].keys.add((row.list, row.key))
    return stored


def _differences(old: _Stored, reading: Reading) -> dict[str, tuple[Any, Any]]:
    """What is otherwise now: field -> (old, new)."""
    mail = reading.mail
    new = {
        "message_id": mail.message_id,
        "content_key": mail.content_key,
        "raw_sha256": reading.raw_sha256,
        **rows.message(mail),
    }
    del new["parser_version"]
    fields = {name: (old.row[name], value) for name, value in new.items() if old.row[name] != value}
    for table, made in rows.parts({old.row["id"]: mail}).items():
        if old.parts[table] == made:
            continue
        if table is schema.patch:
            (was,), (is_,) = old.parts[table] or [{}], made or [{}]
            names = (was.keys() | is_.keys()) - {"message"}
            fields |= {name: (was.get(name), is_.get(name)) for name in names if was.get(name) != is_.get(name)}
        else:
            fields[f"{table.name}s"] = (old.parts[table], made)
    return fields


def _tell(
    changes: Changes, held: Held, fields: Mapping[str, tuple[Any, Any]], keys: Collection[tuple[int, str]]
) -> None:
    """Note how a mail reads otherwise. `keys`: the link keys it loses or gets."""
    change = changes.mail(held.id, held.list, held.key)
    for name, (old, new) in fields.items():
        change.add(name, *((old.hex(), new.hex()) if name == "raw_sha256" else (old, new)))
    for list_, key in keys:
        changes.tie(list_, (f"k:{key}",))
    diff = fields.get("diff", (None, None))
    if keys or not GROUPED_BY.isdisjoint(fields) or (diff[0] is None) != (diff[1] is None):
        changes.tie(-1, (f"t:{held.thread}",))
    if "message_id" in fields or "content_key" in fields:
        now = tuple(
            fields[name][1] if name in fields else was
            for name, was in zip(("message_id", "content_key"), held.identity, strict=True)
        )
        changes.tie(held.list, (f"i:{rows.identity(*identity).hex()}" for identity in (held.identity, now)))


async def _move_deliveries(
    connection: AsyncConnection, ids: Mapping[Identity, int], found: Mapping[Identity, Sequence[tuple[Held, bytes]]]
) -> None:
    """Let deliveries be those of the mail that they are now."""
    moved = [
        (one.id, digest, ids[identity])
        for identity, sources in found.items()
        for one, digest in sources
        if one.id != ids[identity]
    ]
    if not moved:
        return
    await connection.execute(
        text("""
            UPDATE ingestd.delivery d
            SET message = w.now
            FROM unnest(CAST(:messages AS bigint[]), CAST(:digests AS bytea[]), CAST(:now AS bigint[]))
                 AS w (message, digest, now)
            WHERE d.message = w.message AND d.raw_sha256 = w.digest
        """),
        dict(zip(("messages", "digests", "now"), map(list, zip(*moved, strict=True)), strict=True)),
    )
    # A mail came when the first of its deliveries did.
    await connection.execute(
        text("""
            UPDATE ingestd.message m
            SET received_at = first.at
            FROM (
                SELECT message, min(received_at) AS at
                FROM ingestd.delivery
                WHERE message = ANY (CAST(:messages AS bigint[]))
                GROUP BY message
            ) first
            WHERE m.id = first.message
        """),
        {"messages": sorted({id_ for was, _, now in moved for id_ in (was, now)})},
    )


async def _there(connection: AsyncConnection, threads: Collection[int]) -> set[int]:
    """Those of `threads` that were not bound into another one."""
    found = await connection.execute(select(schema.thread.c.id).where(schema.thread.c.id.in_(threads)))
    return set(found.scalars())


async def _mark(connection: AsyncConnection, messages: Collection[int]) -> None:
    """Say of mails that read as before that it is the parser of today that reads them so."""
    await connection.execute(
        text("""
            UPDATE ingestd.message
            SET parser_version = :ours
            WHERE id = ANY (CAST(:messages AS bigint[])) AND parser_version <> :ours
        """),
        {"messages": list(messages), "ours": PARSER_VERSION},
    )

"""Link: which thread a mail belongs to, and which threads it binds into one (architecture.md section 4)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.series.values import GROUPING_VERSION
from ingestd.store import rows, schema
from ingestd.store.changes import Changes

Key = tuple[int, str]  # (list, link key)
_Node = int | Key | tuple[str, int]  # a mail, a key, ("thread", id)


async def link(
    connection: AsyncConnection,
    keys: Mapping[int, Collection[Key]],
    loose: Collection[int],
    changes: Changes | None = None,
) -> dict[int, int]:
    """Say in which thread each mail is now; bind threads that share a key.

    `keys`: message id -> all its keys, for mails that are new or whose keys changed. Writing them to `link_key` is the
    caller's. `loose`: threads that lost keys: their mails are linked anew, since they may have come apart.
    Answers message id -> thread id for the mails of `keys` and of loose threads. New threads are stored, and what
    stands in a bound thread is moved. `changes` is told of the mails that were there and are in another thread now.
    """
    wanted = {message: set(own) for message, own in keys.items()}
    home = await _loosen(connection, loose, wanted)
    components = _join(wanted, await _sharing(connection, wanted, loose))
    return await _settle(connection, components, wanted, home, changes)


async def loosened(connection: AsyncConnection, keys: Mapping[int, Collection[Key]]) -> set[int]:
    """The threads that lose a key when the mails get these keys: message id -> all its keys."""
    found = await connection.execute(
        text("""
            SELECT k.message, k.list, k.key, m.thread
            FROM ingestd.link_key k
            JOIN ingestd.message m ON m.id = k.message
            WHERE k.message = ANY (CAST(:messages AS bigint[]))
        """),
        {"messages": list(keys)},
    )
    return {thread for message, list_, key, thread in found if (list_, key) not in keys[message]}


async def write_keys(connection: AsyncConnection, keys: Mapping[int, Collection[Key]]) -> None:
    """Write the keys of mails that have none stored."""
    await rows.add(
        connection,
        schema.link_key,
        [
            {"list": list_, "key": key, "message": message}
            for message, own in keys.items()
            for list_, key in sorted(own)
        ],
    )


async def _loosen(connection: AsyncConnection, loose: Collection[int], wanted: dict[int, set[Key]]) -> dict[int, int]:
    """Add the mails of loose threads to `wanted`; say which thread each was in."""
    if not loose:
        return {}
    found = await connection.execute(
        select(schema.message.c.id, schema.message.c.thread, schema.link_key.c.list, schema.link_key.c.key)
        .outerjoin(schema.link_key, schema.link_key.c.message == schema.message.c.id)
        .where(schema.message.c.thread.in_(loose))
    )
    home: dict[int, int] = {}
    stored: dict[int, set[Key]] = defaultdict(set)
    for message, thread, list_, key in found:
        home[message] = thread
        if key is not None:
            stored[message].add((list_, key))
    for message in home:
        wanted.setdefault(message, stored[message])
    return home


async def _sharing(
    connection: AsyncConnection, wanted: Mapping[int, set[Key]], loose: Collection[int]
) -> dict[Key, set[int]]:
    """Key -> threads, other than loose ones, with a mail that has it."""
    keys = sorted(set().union(*wanted.values())) if wanted else []
    if not keys:
        return {}
    found = await connection.execute(
        text("""
            SELECT DISTINCT k.list, k.key, m.thread
            FROM unnest(CAST(:lists AS bigint[]), CAST(:keys AS text[])) AS w (list, key)
            JOIN ingestd.link_key k ON k.list = w.list AND k.key = w.key
            JOIN ingestd.message m ON m.id = k.message
        """),
        {"lists": [key[0] for key in keys], "keys": [key[1] for key in keys]},
    )
    sharing: dict[Key, set[int]] = defaultdict(set)
    for list_, key, thread in found:
        if thread not in loose:
            sharing[list_, key].add(thread)
    return sharing


def _join(wanted: Mapping[int, set[Key]], sharing: Mapping[Key, set[int]]) -> list[tuple[set[int], set[int]]]:
    """Connected components over mails, keys and the threads that have these keys: (mails, threads) each."""
    above: dict[_Node, _Node] = {}

    def root(node: _Node) -> _Node:
        top = above.setdefault(node, node)
        while above[top] != top:
            top = above[top]
        while node != top:
            above[node], node = top, above[node]
        return top

    for message, keys in wanted.items():
        root(message)
        for key in keys:
            above[root(key)] = root(message)
    for key, threads in sharing.items():
        for thread in threads:
            above[root(("thread", thread))] = root(key)
    components: dict[_Node, tuple[set[int], set[int]]] = {root(message): (set(), set()) for message in wanted}
    for node in list(above):
        messages, threads = components[root(node)]
        if isinstance(node, int):
            messages.add(node)
        elif node[0] == "thread":
            threads.add(node[1])
    return list(components.values())


async def _settle(
    connection: AsyncConnection,
    components: Iterable[tuple[set[int], set[int]]],
    wanted: Mapping[int, set[Key]],
    home: Mapping[int, int],
    changes: Changes | None,
) -> dict[int, int]:
    """Give each component its thread: the smallest there is, else a new one.

    `home`: where the mails of loose threads were.
    """
    placed: dict[int, int] = {}
    fresh: list[set[int]] = []
    bound: dict[int, int] = {}  # thread -> the thread it is bound into
    used: set[int] = set()
    for messages, threads in sorted(components, key=lambda component: min(component[0])):
        candidates = threads | {home[message] for message in messages if message in home} - used
        if not candidates:
            fresh.append(messages)
            continue
        kept = min(candidates)
        used |= candidates
        bound |= dict.fromkeys(candidates - {kept}, kept)
        placed |= dict.fromkeys(messages, kept)
    ids = await rows.allocate(connection, schema.thread, len(fresh))
    for thread, messages in zip(ids, fresh, strict=True):
        placed |= dict.fromkeys(messages, thread)
    list_of = {message: next(iter(keys))[0] for message, keys in wanted.items()}
    versions = await _versions(connection, set(home.values()))
    await rows.add(
        connection,
        schema.thread,
        [
            {
                "id": thread,
                "list": list_of[min(messages)],
                "grouping_version": max([GROUPING_VERSION, *(versions[home[one]] for one in messages if one in home)]),
            }
            for thread, messages in zip(ids, fresh, strict=True)
        ],
    )
    await _bind(connection, bound, changes)
    moved = await _move(connection, {message: placed[message] for message in home})
    if changes is not None:
        for id_, list_, key, old, new in moved:
            changes.mail(id_, list_, key).add("thread", old, "a new one" if new in ids else new)
    return placed


async def _versions(connection: AsyncConnection, threads: Collection[int]) -> dict[int, int]:
    """Thread id -> the grouping version it is at."""
    if not threads:
        return {}
    table = schema.thread
    found = await connection.execute(select(table.c.id, table.c.grouping_version).where(table.c.id.in_(threads)))
    return {row.id: row.grouping_version for row in found}


async def _bind(connection: AsyncConnection, bound: Mapping[int, int], changes: Changes | None) -> None:
    """Move all that stands in a bound thread into the one that stays; the old id becomes an alias.

    The newest program that has grouped any of it is the one that may go on grouping it.
    """
    for thread, kept in sorted(bound.items()):
        await connection.execute(
            text("""
                UPDATE ingestd.thread k
                SET grouping_version = greatest(k.grouping_version, b.grouping_version), stale = k.stale OR b.stale
                FROM ingestd.thread b
                WHERE k.id = :kept AND b.id = :thread
            """),
            {"kept": kept, "thread": thread},
        )
        message = schema.message
        moved = await connection.execute(
            update(message)
            .where(message.c.thread == thread)
            .values(thread=kept)
            .returning(message.c.id, message.c.list, message.c.key)
        )
        if changes is not None:
            for id_, list_, key in moved:
                changes.mail(id_, list_, key).add("thread", thread, kept)
        for table in (schema.series, schema.thread_alias):
            await connection.execute(update(table).where(table.c.thread == thread).values(thread=kept))
        await connection.execute(insert(schema.thread_alias).values(id=thread, thread=kept))
        await connection.execute(delete(schema.thread).where(schema.thread.c.id == thread))


async def _move(connection: AsyncConnection, placed: Mapping[int, int]) -> list[tuple[int, int, str, int, int]]:
    """Move the mails of threads that came apart to where they are now; answer (id, list, key, old, new thread) each."""
    if not placed:
        return []
    moved = await connection.execute(
        text("""
            UPDATE ingestd.message m
            SET thread = w.thread
            FROM unnest(CAST(:messages AS bigint[]), CAST(:threads AS bigint[])) AS w (message, thread),
                 ingestd.message was
            WHERE m.id = w.message AND was.id = m.id AND m.thread <> w.thread
            RETURNING m.id, m.list, m.key, was.thread AS old, m.thread AS new
        """),
        {"messages": list(placed), "threads": list(placed.values())},
    )
    return [(row.id, row.list, row.key, row.old, row.new) for row in moved]

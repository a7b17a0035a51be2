"""Revise: which series supersedes which, and what a partial posting carries over from an older one."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.series import revise as revising
from ingestd.series.values import CARRIED, Revision, Series, Succession
from ingestd.store import heads, rows, schema, successions
from ingestd.store.changes import Changes, Member, Ref
from ingestd.store.events import Event
from ingestd.store.heads import Head, MemberRow

# A key that more series than this have, "Fix typo", says nothing, and would make each of them dearer than the last.
WIDELY_SHARED = 300

Key = tuple[int, str]  # (list, revision key)
State = tuple[int, Series]  # (list, series without members)


async def revise(
    connection: AsyncConnection,
    touched: Collection[int],
    past: Sequence[State],
    present: Sequence[State],
    changes: Changes | None = None,
) -> list[Event]:
    """Say anew what series supersede and carry: those that were touched, and those whose answer that may change.

    `touched`: ids of series that were made or changed. `past`, `present`: these and the removed ones as they were and
    as they are. `revise.revise` looks at a series and its direct neighbours only, so no other answer can change.
    `changes` is told what is different then.
    """
    if not (touched or past):  # most mails are replies, which change no series
        return []
    changed: dict[Key, list[Series]] = defaultdict(list)
    growth: Counter[Key] = Counter()
    for states, sign in ((past, -1), (present, 1)):
        for list_, state in states:
            for key in state.revision_keys:
                changed[list_, key].append(state)
                growth[list_, key] += sign
    counts = await _count(connection, list(changed))
    wide = {key for key in changed if counts[key] > WIDELY_SHARED}
    # One that has just become widely shared, or is no longer, changes the neighbours of all who have it.
    turned = {key for key in changed if (counts[key] - growth[key] > WIDELY_SHARED) != (key in wide)}
    # What humans spoke of is looked at whatever else it shares.
    any_said = await successions.any_said(connection)
    spoken = await successions.around(connection, touched) if any_said else set()
    sharing = await _sharing(connection, (set(changed) - wide) | turned)
    near = await heads.load(connection, set(touched) | spoken | sharing)
    concerned = {head.id for head in near.values() if _is_concerned(head, changed, wide, turned)} | spoken & near.keys()
    if changes is not None:
        changes.ties |= {(list_, f"r:{key}") for list_, key in changed} | {
            (near[id_].list, f"r:{key}") for id_ in concerned for key in near[id_].series.revision_keys
        }
    ids = concerned | (set(touched) & near.keys())
    keys = {(near[id_].list, key) for id_ in ids for key in near[id_].series.revision_keys}
    counts |= await _count(connection, list(keys - set(counts)))
    narrow = {key for key in keys if counts[key] <= WIDELY_SHARED}
    known = near | await heads.load(connection, await _sharing(connection, narrow) - set(near))
    holders: dict[Key, set[int]] = defaultdict(set)
    for head in known.values():
        for key in head.series.revision_keys:
            holders[head.list, key].add(head.id)
    said = await successions.standing(connection, ids) if any_said else {}
    known |= await heads.load(connection, {id_ for id_ in said.values() if id_ is not None} - known.keys())
    bare = {head.id: head.series.with_carried(()) for head in known.values()}
    revisions: dict[int, Revision] = {}
    for id_ in sorted(ids):
        own = {(known[id_].list, key) for key in known[id_].series.revision_keys} & narrow
        beside = set().union(*(holders[key] for key in own)) - {id_}
        word = None
        if id_ in said:
            target = said[id_]
            word = Succession(None if target is None else bare[target].key)
            beside |= set() if target is None else {target}
        newer = {bare[other].key for other, target in said.items() if target == id_ and other in bare}
        revisions[id_] = revising.revise(bare[id_], [bare[other] for other in sorted(beside)], word, newer)
    return await _write(connection, known, revisions, changes)


def _is_concerned(head: Head, changed: Mapping[Key, list[Series]], wide: set[Key], turned: set[Key]) -> bool:
    """Whether the answer for `head` may be another now."""
    own = {(head.list, key) for key in head.series.revision_keys}
    return bool(own & turned) or any(
        revising.concerns(state, head.series) for key in own - wide for state in changed.get(key, ())
    )


async def _count(connection: AsyncConnection, keys: Collection[Key]) -> Counter[Key]:
    """How many series have each key."""
    found = await connection.execute(
        text("""
            SELECT k.list, k.key, count(*)
            FROM unnest(CAST(:lists AS bigint[]), CAST(:keys AS text[])) AS w (list, key)
            JOIN ingestd.revision_key k ON k.list = w.list AND k.key = w.key
            GROUP BY k.list, k.key
        """),
        {"lists": [list_ for list_, _ in keys], "keys": [key for _, key in keys]},
    )
    return Counter({(list_, key): count for list_, key, count in found})


async def _sharing(connection: AsyncConnection, keys: Collection[Key]) -> set[int]:
    """The series that have one of these keys."""
    found = await connection.execute(
        text("""
            SELECT DISTINCT k.series
            FROM unnest(CAST(:lists AS bigint[]), CAST(:keys AS text[])) AS w (list, key)
            JOIN ingestd.revision_key k ON k.list = w.list AND k.key = w.key
        """),
        {"lists": [list_ for list_, _ in keys], "keys": [key for _, key in keys]},
    )
    return set(found.scalars())


async def _write(
    connection: AsyncConnection,
    known: Mapping[int, Head],
    revisions: Mapping[int, Revision],
    changes: Changes | None,
) -> list[Event]:
    """Write what differs; answer the events of it."""
    series_id = {(head.list, head.series.key): head.id for head in known.values()}
    message_id = await _messages(
        connection, {(known[id_].list, member.key) for id_, one in revisions.items() for member in one.carried}
    )
    log: list[Event] = []
    changed: list[rows.Row] = []
    gone: list[tuple[int, MemberRow]] = []
    new: list[tuple[int, MemberRow]] = []
    for id_, revision in revisions.items():
        head = known[id_]
        older = None if revision.supersedes is None else series_id[head.list, revision.supersedes]
        whole = head.series.with_carried(revision.carried)
        carried = {
            (member.number, message_id[head.list, member.key], CARRIED, series_id[head.list, member.posted_in])
            for member in revision.carried
        }
        gone += [(id_, member) for member in sorted(head.carried - carried)]
        new += [(id_, member) for member in sorted(carried - head.carried)]
        row = {
            "id": id_,
            "complete": whole.complete,
            "announced": head.row["announced"] or whole.complete,
            "supersedes": older,
            "evidence": revision.evidence,
        }
        if any(head.row[name] != row[name] for name in row):
            changed.append(row)
        if changes is not None:
            key_of = {id_: key for (_, key), id_ in message_id.items()}
            _tell(changes, head, row, carried, known, key_of)
        if whole.complete and not head.row["announced"]:
            log.append(Event("series-completed", list=head.list, series=id_))
        if older is not None and head.row["supersedes"] != older:
            log.append(Event("series-superseded", list=head.list, series=older, payload={"by": id_}))
    await drop_members(connection, gone)
    await add_members(connection, new)
    await _update(connection, changed)
    return log


def _tell(
    changes: Changes,
    head: Head,
    row: rows.Row,
    carried: Iterable[MemberRow],
    known: Mapping[int, Head],
    key_of: Mapping[int, str],
) -> None:
    """Note what is different."""

    def named(series: int | None) -> Ref | None:
        if series is None:
            return None
        return Ref(series, known[series].series.key if series in known else f"series {series}", series=True)

    before = head.row
    change = changes.one_series(head.id, head.list, head.series.key)
    change.add("complete", before["complete"], row["complete"])
    change.add("evidence", before["evidence"], row["evidence"])
    change.add("supersedes", named(before["supersedes"]), named(row["supersedes"]))
    change.add("carries", _members(head.carried, key_of), _members(carried, key_of))


def _members(rows_: Iterable[MemberRow], key_of: Mapping[int, str]) -> frozenset[Member]:
    """Carried members, as a field. `key_of`: message id -> key."""
    return frozenset(
        Member(number, Ref(message, key_of.get(message, f"message {message}"))) for number, message, _, _ in rows_
    )


async def tell_of_loss(connection: AsyncConnection, changes: Changes, gone: Collection[int]) -> None:
    """Note what others superseded and carried of series that are about to go: with these it goes as well."""
    found = await connection.execute(
        text("""
            SELECT id FROM ingestd.series WHERE supersedes = ANY (CAST(:gone AS bigint[]))
            UNION
            SELECT series FROM ingestd.series_patch WHERE posted_in = ANY (CAST(:gone AS bigint[]))
        """),
        {"gone": list(gone)},
    )
    beside = await heads.load(connection, set(found.scalars()) - set(gone))
    lost = await heads.load(connection, gone)
    for head in beside.values():
        change = changes.one_series(head.id, head.list, head.series.key)
        if head.row["supersedes"] in lost:
            older = lost[head.row["supersedes"]]
            change.add("supersedes", Ref(older.id, older.series.key, series=True), None)
        kept = [member for member in head.carried if member[3] not in lost]
        change.add("carries", _members(head.carried, {}), _members(kept, {}))


async def _messages(connection: AsyncConnection, keys: Collection[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """(list, key) -> id of the mail."""
    if not keys:
        return {}
    found = await connection.execute(
        text("""
            SELECT m.list, m.key, m.id
            FROM unnest(CAST(:lists AS bigint[]), CAST(:keys AS text[])) AS w (list, key)
            JOIN ingestd.message m ON m.key = w.key AND m.list = w.list
        """),
        {"lists": [list_ for list_, _ in keys], "keys": [key for _, key in keys]},
    )
    return {(list_, key): id_ for list_, key, id_ in found}


async def _update(connection: AsyncConnection, changed: Collection[rows.Row]) -> None:
    if changed:
        await connection.execute(
            text("""
                UPDATE ingestd.series s
                SET complete = w.complete, announced = w.announced, supersedes = w.supersedes, evidence = w.evidence
                FROM unnest(CAST(:id AS bigint[]), CAST(:complete AS boolean[]), CAST(:announced AS boolean[]),
                            CAST(:supersedes AS bigint[]), CAST(:evidence AS text[]))
                    AS w (id, complete, announced, supersedes, evidence)
                WHERE s.id = w.id
            """),
            {
                name: [row[name] for row in changed]
                for name in ("id", "complete", "announced", "supersedes", "evidence")
            },
        )


async def drop_members(connection: AsyncConnection, members: Iterable[tuple[int, MemberRow]]) -> None:
    """Delete rows of `series_patch`: (series, row) each."""
    made = [
        {"series": series, "number": number, "message": message, "role": role}
        for series, (number, message, role, _) in members
    ]
    if made:
        await connection.execute(
            text("""
                DELETE FROM ingestd.series_patch
                WHERE series = :series AND number = :number AND message = :message AND role = :role
            """),
            made,
        )


async def add_members(connection: AsyncConnection, members: Iterable[tuple[int, MemberRow]]) -> None:
    """Insert rows of `series_patch`: (series, row) each."""
    await rows.add(
        connection,
        schema.series_patch,
        [
            {"series": series, "number": number, "message": message, "role": role, "posted_in": posted_in}
            for series, (number, message, role, posted_in) in members
        ],
    )

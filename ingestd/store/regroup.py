"""Regroup threads and write the difference: `series.group` says what is right, this makes the rows say so."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.series import group
from ingestd.series.values import GROUPING_VERSION, POSTED, Series, Thread
from ingestd.store import announce, facts, heads, revisions, rows, schema
from ingestd.store.changes import Changes, Member, Ref
from ingestd.store.events import Event
from ingestd.store.facts import Stored
from ingestd.store.heads import MemberRow
from ingestd.store.rows import Row

Place = tuple[int, str, int | None, int | None]  # of a mail: id, key, parent, about

SUBJECTS = {"patch", "cover", "pull"}  # what a reply's trailers can be about


@dataclass(slots=True)
class _Old:
    """A stored series: its columns, its members, its revision keys."""

    id: int
    row: Row
    members: set[MemberRow] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    @property
    def mails(self) -> set[int]:
        own = {message for _, message, role, _ in self.members if role != "carried"}
        return own | {self.row["cover"]} if self.row["cover"] is not None else own

    @property
    def state(self) -> revisions.State:
        """(list, the series as it was, without members and cover): enough for `revise.concerns`."""
        return self.row["list"], heads.value({**self.row, "cover_key": None}, (), self.keys)


@dataclass(frozen=True, slots=True)
class _New:
    """A series as it should be, with ids for keys."""

    list: int
    thread: int
    series: Series
    ids: Mapping[str, int]  # key -> message id, of its thread

    @property
    def cover(self) -> int | None:
        return None if self.series.cover is None else self.ids[self.series.cover]

    @property
    def mails(self) -> set[int]:
        own = {self.ids[member.key] for member in self.series.members}
        return own if self.cover is None else own | {self.cover}

    def row(self) -> Row:
        """The columns of `series` that the thread alone decides."""
        series = self.series
        return {
            "list": self.list,
            "thread": self.thread,
            "key": series.key,
            "name": series.name,
            "kind": series.kind,
            "version": series.version,
            "version_inferred": series.version_inferred,
            "total": series.total,
            "received": len(series.posted),
            "cover": self.cover,
            "author_name": series.author_name,
            "author_email": series.author_email,
            "date": series.date,
            "change_id": series.change_id,
            "reroll": series.reroll,
            "supersedes_ids": list(series.supersedes),
        }

    def members(self, id_of_key: Mapping[tuple[int, str], int]) -> set[MemberRow]:
        """The rows of `series_patch` that the thread alone decides. `id_of_key`: (list, series key) -> series id."""
        return {
            (member.number, self.ids[member.key], member.role, id_of_key[self.list, member.posted_in])
            for member in self.series.members
        }


async def regroup(
    connection: AsyncConnection, threads: Collection[int], *, anew: bool = False, changes: Changes | None = None
) -> list[Event]:
    """Group the mails of `threads` anew, store what differs, and say what changed.

    Idempotent: the rows depend on the set of mails in the threads alone. Ids stay with the series that keeps most of
    its members (ties: the smallest id). Threads that a newer program has grouped are left to it, and marked.
    `anew`: what their series supersede and carry is asked again even where nothing about them changed, since the rules
    may have. `changes` is told what is different then.
    """
    threads = await _ours(connection, threads)
    if not threads:
        return []
    mails = await facts.load(connection, threads)
    old = await _load_series(connection, threads)
    new: list[_New] = []
    moved: list[Place] = []
    log: list[Event] = []
    for (list_, thread), members in sorted(mails.items()):
        grouped = group.group([mail.fact for mail in members])
        ids = {grouped.keys[mail.fact.identity]: mail.id for mail in members}
        here = _moved(members, grouped, ids, changes)
        log += _commented(members, here)
        moved += here
        new += [_New(list_, thread, series, ids) for series in grouped.series]
    await _write_mails(connection, moved)
    return log + await _write_series(connection, old, new, anew=anew, changes=changes)


async def stale(connection: AsyncConnection, most: int, after: int) -> list[int]:
    """Up to `most` threads that an older program left to us, with ids above `after`, in order."""
    found = await connection.execute(
        select(schema.thread.c.id)
        .where(schema.thread.c.stale, schema.thread.c.grouping_version <= GROUPING_VERSION, schema.thread.c.id > after)
        .order_by(schema.thread.c.id)
        .limit(most)
    )
    return list(found.scalars())


async def _ours(connection: AsyncConnection, threads: Collection[int]) -> set[int]:
    """Those of `threads` that no newer program has grouped, marked as grouped by us; the others are marked as stale."""
    found = await connection.execute(
        text("""
            UPDATE ingestd.thread
            SET stale = grouping_version > :ours, grouping_version = greatest(grouping_version, :ours)
            WHERE id = ANY (CAST(:threads AS bigint[])) AND (stale OR grouping_version <> :ours)
            RETURNING id, stale
        """),
        {"threads": list(threads), "ours": GROUPING_VERSION},
    )
    return set(threads) - {row.id for row in found if row.stale}


async def reasons(connection: AsyncConnection, thread: int) -> dict[str, str]:
    """Key of a mail in a series of `thread` -> why it is there."""
    mails = await facts.load(connection, [thread])
    return {
        key: reason
        for members in mails.values()
        for key, reason in group.group([mail.fact for mail in members]).reasons.items()
    }


def _moved(
    members: Collection[Stored], grouped: Thread, ids: Mapping[str, int], changes: Changes | None
) -> list[Place]:
    """The mails of a thread whose key, parent or about are others now."""
    # All that stands in a series, too: covers without a number, and what a human put there.
    subjects = {grouped.keys[mail.fact.identity] for mail in members if mail.fact.kind in SUBJECTS} | set(
        grouped.reasons
    )
    abouts = _abouts(subjects, grouped.parents)
    keys = {id_: key for key, id_ in ids.items()}
    moved = []
    for mail in members:
        key = grouped.keys[mail.fact.identity]
        parent = grouped.parents.get(key)
        about = abouts[key]
        row = (key, None if parent is None else ids[parent], None if about is None else ids[about])
        if row != (mail.key, mail.parent, mail.about):
            moved.append((mail.id, *row))
            if changes is not None:
                change = changes.mail(mail.id, mail.list, mail.key)
                change.add("key", mail.key, key)
                for name, was, now in (("parent", mail.parent, row[1]), ("about", mail.about, row[2])):
                    change.add(
                        name,
                        *(None if id_ is None else Ref(id_, keys.get(id_, f"message {id_}")) for id_ in (was, now)),
                    )
    return moved


def _commented(members: Collection[Stored], moved: Collection[Place]) -> list[Event]:
    """What is said of the mails that answer a patch or a cover now, and did not before."""
    of = {mail.id: mail for mail in members}
    log: list[Event] = []
    for id_, _, _, about in moved:
        if about is None or about in (of[id_].about, id_):
            continue
        category = announce.of_comment(of[about].fact, pulls=of[about].pulls)
        if category is not None:
            log.append(Event(category, list=of[id_].list, message=about, payload={"comment": id_}))
    return log


async def _write_mails(connection: AsyncConnection, moved: Sequence[Place]) -> None:
    """Bring key, parent and about of mails up to date."""
    if moved:
        await connection.execute(
            text("""
                UPDATE ingestd.message m
                SET key = w.key, parent = w.parent, about = w.about
                FROM unnest(CAST(:ids AS bigint[]), CAST(:keys AS text[]), CAST(:parents AS bigint[]),
                            CAST(:abouts AS bigint[])) AS w (id, key, parent, about)
                WHERE m.id = w.id
            """),
            dict(zip(("ids", "keys", "parents", "abouts"), map(list, zip(*moved, strict=True)), strict=True)),
        )


def _abouts(subjects: Collection[str], parents: Mapping[str, str | None]) -> dict[str, str | None]:
    """Key -> key of the patch, cover or pull request that the mail is or answers, however far up.

    `subjects`: keys of patches, covers and pull requests; `parents`: of all mails, without cycles. Each mail is
    visited once, however long a chain is.
    """
    abouts: dict[str, str | None] = {key: key for key in subjects}
    for key in parents:
        chain = []
        at: str | None = key
        while at is not None and at not in abouts:
            chain.append(at)
            at = parents.get(at)
        found = None if at is None else abouts[at]
        abouts |= dict.fromkeys(chain, found)
    return abouts


async def _load_series(connection: AsyncConnection, threads: Collection[int]) -> dict[int, _Old]:
    """The stored series of `threads`, by id."""
    found = await connection.execute(select(schema.series).where(schema.series.c.thread.in_(threads)))
    old = {row["id"]: _Old(row["id"], dict(row)) for row in found.mappings()}
    if not old:
        return {}
    wanted = {"ids": list(old)}
    for series, number, message, role, posted_in in await connection.execute(
        text("""
            SELECT series, number, message, role, posted_in
            FROM ingestd.series_patch
            WHERE series = ANY (CAST(:ids AS bigint[]))
        """),
        wanted,
    ):
        old[series].members.add((number, message, role, posted_in))
    for series, keys in await connection.execute(
        text("""
            SELECT series, array_agg(key)
            FROM ingestd.revision_key
            WHERE series = ANY (CAST(:ids AS bigint[]))
            GROUP BY series
        """),
        wanted,
    ):
        old[series].keys.update(keys)
    return old


async def _write_series(
    connection: AsyncConnection, old: Mapping[int, _Old], new: Sequence[_New], *, anew: bool, changes: Changes | None
) -> list[Event]:
    """Make the stored series be `new`; answer the events of the difference."""
    id_of = _match(old, new)
    fresh = [index for index in range(len(new)) if index not in id_of]
    id_of |= dict(zip(fresh, await rows.allocate(connection, schema.series, len(fresh)), strict=True))
    id_of_key = {(one.list, one.series.key): id_of[index] for index, one in enumerate(new)}
    kept = set(id_of.values())
    difference = _Difference(gone=[one for one in old.values() if one.id not in kept])
    for index, one in enumerate(new):
        difference.weigh(id_of[index], old.get(id_of[index]), one, id_of_key)
    if changes is not None and difference.gone:
        await revisions.tell_of_loss(connection, changes, {one.id for one in difference.gone})
    await difference.write(connection)
    if changes is not None:
        difference.tell(changes, old, {id_: key for one in new for key, id_ in one.ids.items()})
    touched = kept if anew else difference.touched
    return difference.events() + await revisions.revise(
        connection, touched, difference.past, difference.present, changes
    )


def _match(old: Mapping[int, _Old], new: Sequence[_New]) -> dict[int, int]:
    """Index in `new` -> id of the stored series it goes on as: the one it shares most mails with."""
    holders: dict[int, list[int]] = defaultdict(list)
    for one in old.values():
        for mail in one.mails:
            holders[mail].append(one.id)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for index, made in enumerate(new):
        for mail in made.mails:
            for id_ in holders[mail]:
                shared[id_, index] += 1
    id_of: dict[int, int] = {}
    taken: set[int] = set()
    for (id_, index), _count in sorted(
        shared.items(), key=lambda pair: (-pair[1], pair[0][0], new[pair[0][1]].series.key)
    ):
        if id_ not in taken and index not in id_of:
            id_of[index] = id_
            taken.add(id_)
    return id_of


@dataclass(slots=True)
class _Difference:
    """What must be written so that the stored series are the right ones."""

    gone: list[_Old]
    created: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    members_gone: list[tuple[int, MemberRow]] = field(default_factory=list)
    members_new: list[tuple[int, MemberRow]] = field(default_factory=list)
    keys_gone: list[tuple[int, str]] = field(default_factory=list)
    keys_new: list[tuple[int, int, str]] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)  # series created or changed
    reached: list[Event] = field(default_factory=list)  # patches that have all before them now
    past: list[revisions.State] = field(default_factory=list)  # of series that are changed or gone
    present: list[revisions.State] = field(default_factory=list)  # of series that are created or changed

    def weigh(self, id_: int, old: _Old | None, new: _New, id_of_key: Mapping[tuple[int, str], int]) -> None:
        """Add what differs between a stored series and the same one as it should be."""
        row = new.row()
        members = new.members(id_of_key)
        keys = set(new.series.revision_keys)
        old_keys = set() if old is None else old.keys
        old_members = set() if old is None else {member for member in old.members if member[2] != "carried"}
        if old is None:
            # What is complete is known when revisions are: a partial posting carries patches of an older one.
            self.created.append({"id": id_, "complete": False, "announced": False, **row})
        elif old_members == members and old_keys == keys and all(old.row[name] == row[name] for name in row):
            return
        else:
            self.changed.append({"id_": id_, **row})
        self.touched.add(id_)
        self.members_gone += [(id_, member) for member in sorted(old_members - members)]
        self.members_new += [(id_, member) for member in sorted(members - old_members)]
        self.keys_gone += [(id_, key) for key in sorted(old_keys - keys)]
        self.keys_new += [(new.list, id_, key) for key in sorted(keys - old_keys)]
        self.present.append((new.list, new.series))
        self.reached += announce.completed(new.list, id_, old_members, members)
        if old is not None:
            self.past.append(old.state)

    async def write(self, connection: AsyncConnection) -> None:
        """Write it, series before what names them."""
        if self.gone:
            await connection.execute(delete(schema.series).where(schema.series.c.id.in_([one.id for one in self.gone])))
            self.past += [one.state for one in self.gone]
        await rows.add(connection, schema.series, self.created)
        if self.changed:
            columns: dict[str, Any] = {name: bindparam(name) for name in self.changed[0] if name != "id_"}
            await connection.execute(
                update(schema.series).where(schema.series.c.id == bindparam("id_")).values(columns),
                self.changed,
            )
        await revisions.drop_members(connection, self.members_gone)
        await revisions.add_members(connection, self.members_new)
        if self.keys_gone:
            await connection.execute(
                text("DELETE FROM ingestd.revision_key WHERE series = :series AND key = :key"),
                [{"series": id_, "key": key} for id_, key in self.keys_gone],
            )
        await rows.add(
            connection,
            schema.revision_key,
            [{"list": list_, "series": id_, "key": key} for list_, id_, key in self.keys_new],
        )

    def tell(self, changes: Changes, old: Mapping[int, _Old], key_of: Mapping[int, str]) -> None:
        """Note what was different. `key_of`: message id -> key."""

        def named(message: int | None) -> Ref | None:
            return None if message is None else Ref(message, key_of.get(message, f"message {message}"))

        def members(rows_: Collection[MemberRow]) -> frozenset[Member]:
            return frozenset(
                Member(number, Ref(message, key_of.get(message, f"message {message}")), "" if role == POSTED else role)
                for number, message, role, _ in rows_
            )

        for one in self.gone:
            changes.one_series(one.id, one.row["list"], one.row["key"]).gone = "gone"
        for row in self.created:
            changes.one_series(row["id"], row["list"], row["key"]).born = True
        for row in self.changed:
            was = old[row["id_"]].row
            change = changes.one_series(was["id"], was["list"], was["key"])
            for name in row.keys() - {"id_", "list", "thread"}:  # of threads the mails tell
                values = (was[name], row[name])
                change.add(name, *(map(named, values) if name == "cover" else values))
            own = {member for member in old[was["id"]].members if member[2] != "carried"}
            gone = {member for id_, member in self.members_gone if id_ == was["id"]}
            new = {member for id_, member in self.members_new if id_ == was["id"]}
            change.add("members", members(own), members((own - gone) | new))

    def events(self) -> list[Event]:
        """What others may want to know of it."""
        return [
            *(Event("series-removed", list=one.row["list"], series=one.id) for one in self.gone),
            *(Event("series-created", list=row["list"], series=row["id"]) for row in self.created),
            *(Event("series-changed", list=row["list"], series=row["id_"]) for row in self.changed),
            *self.reached,
        ]

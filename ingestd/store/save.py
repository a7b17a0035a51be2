"""Store a batch of mails in one transaction: raw bytes, rows, deliveries, threads, series, events."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.mail import Mail
from ingestd.store import announce, events, place, quarantine, regroup, rows, schema, tombstones
from ingestd.store.events import Event
from ingestd.store.place import Reading
from ingestd.store.values import Arrival, Stored

Identity = tuple[int, str, str]  # (list, Message-ID, content key)

# Which delivery of a mail its row is parsed from: un-munged From first, then the smallest digests.
Rank = tuple[bool, str, bytes]


def rank(mail: Mail, raw_sha256: bytes) -> Rank:
    """The delivery with the least rank is the one that a mail's row is read from."""
    return mail.munged, mail.mail_sha256, raw_sha256


def _rank(arrival: Arrival) -> Rank:
    return rank(arrival.mail, arrival.raw_sha256)


@dataclass(slots=True)
class _Wanted:
    """One mail of the batch on one list: its best delivery here, and when the first one came."""

    best: Arrival
    received_at: datetime

    def reading(self, list_: int) -> Reading:
        """As its best delivery here says it."""
        return Reading(list_, self.best.mail, self.best.raw_sha256, self.received_at)


@dataclass(frozen=True, slots=True)
class _There:
    """One mail of the batch that is stored already."""

    id: int
    rank: Rank


async def batch(connection: AsyncConnection, arrivals: Sequence[Arrival]) -> list[list[Stored]]:
    """Store `arrivals`; answer for each what became of it on each of its lists, in the order of its lists.

    The caller holds the ingest lock. Nothing here looks at the order of the arrivals but the surrogate ids.
    """
    lists = await _lists(connection, sorted({list_id for arrival in arrivals for list_id in arrival.lists}))
    stones = await _forgotten(connection, arrivals, lists)
    kept = [_without(arrival, index, stones) for index, arrival in enumerate(arrivals)] if stones else arrivals
    await rows.keep_raw(connection, {arrival.raw_sha256: arrival.raw for arrival in kept if arrival.lists})
    wanted = _gather(kept, lists)
    there = await _find(connection, list(wanted))
    fresh = [identity for identity in wanted if identity not in there]
    ids = await rows.allocate(connection, schema.message, len(fresh))
    id_of = dict(zip(fresh, ids, strict=True)) | {identity: found.id for identity, found in there.items()}
    better = [identity for identity, found in there.items() if _rank(wanted[identity].best) < found.rank]
    log: list[Event] = []
    readings = {identity: found.reading(identity[0]) for identity, found in wanted.items()}
    touched = await place.place(
        connection,
        {id_of[identity]: readings[identity] for identity in fresh},
        {id_of[identity]: readings[identity] for identity in better},
    )
    stored = _outcomes(arrivals, lists, id_of, set(fresh), stones)
    await _deliver(connection, arrivals, lists, stored)
    for identity in fresh:
        log += announce.created(wanted[identity].best.mail, identity[0], id_of[identity])
    log += [Event("message-changed", list=identity[0], message=id_of[identity]) for identity in better]
    log += await regroup.regroup(connection, touched)
    replayed = {arrival.envelope.entry: outcome for arrival, outcome in zip(arrivals, stored, strict=True)}
    log += await quarantine.leave(connection, replayed, lists)
    await tombstones.count(connection, ((stone, arrivals[index].mail.queue_id) for (index, _), stone in stones.items()))
    if stones:  # one may have come out of quarantine, where its bytes were
        gone = await rows.unused(connection, {arrivals[index].raw_sha256 for index, _ in stones})
        await rows.drop_raw(connection, gone)
        await quarantine.hush(connection, gone)
    await events.write(connection, log)
    return stored


def _identity(mail: Mail, list_: int) -> Identity:
    return list_, mail.message_id, mail.content_key


async def _forgotten(
    connection: AsyncConnection, arrivals: Sequence[Arrival], lists: Mapping[str, int]
) -> dict[tuple[int, str], int]:
    """(place in `arrivals`, list id) -> tombstone, of copies of mails that were forgotten there."""
    copies = {
        (index, list_id): tombstones.copy(arrival.mail, lists[list_id])
        for index, arrival in enumerate(arrivals)
        for list_id in arrival.lists
    }
    met = await tombstones.met(connection, set(copies.values()))
    return {where: met[copy] for where, copy in copies.items() if copy in met}


def _without(arrival: Arrival, index: int, stones: Collection[tuple[int, str]]) -> Arrival:
    """An arrival without the lists where it is forgotten."""
    lists = {list_id: recipients for list_id, recipients in arrival.lists.items() if (index, list_id) not in stones}
    return replace(arrival, lists=lists)


async def _lists(connection: AsyncConnection, list_ids: Sequence[str]) -> dict[str, int]:
    """List id -> id; lists not seen before are added."""
    await connection.execute(
        text("""
            INSERT INTO ingestd.list (list_id)
            SELECT w.list_id
            FROM unnest(CAST(:list_ids AS text[])) AS w (list_id)
            WHERE NOT EXISTS (SELECT FROM ingestd.list l WHERE l.list_id = w.list_id)
        """),
        {"list_ids": list_ids},
    )
    found = await connection.execute(
        text("SELECT list_id, id FROM ingestd.list WHERE list_id = ANY (CAST(:list_ids AS text[]))"),
        {"list_ids": list_ids},
    )
    return {row.list_id: row.id for row in found}


def _gather(arrivals: Iterable[Arrival], lists: Mapping[str, int]) -> dict[Identity, _Wanted]:
    """The distinct mails of the batch, each with its best delivery."""
    wanted: dict[Identity, _Wanted] = {}
    for arrival in arrivals:
        for list_id in arrival.lists:
            found = wanted.setdefault(
                _identity(arrival.mail, lists[list_id]), _Wanted(arrival, arrival.envelope.received_at)
            )
            found.best = min(found.best, arrival, key=_rank)
            found.received_at = min(found.received_at, arrival.envelope.received_at)
    return wanted


async def _find(connection: AsyncConnection, identities: Sequence[Identity]) -> dict[Identity, _There]:
    """Which of `identities` are stored already."""
    found = await connection.execute(
        text("""
            SELECT m.list, m.message_id, m.content_key, m.id, m.munged, m.mail_sha256, m.raw_sha256
            FROM unnest(CAST(:lists AS bigint[]), CAST(:identities AS bytea[])) AS w (list, identity)
            JOIN ingestd.message m ON m.list = w.list AND m.identity = w.identity
        """),
        {
            "lists": [identity[0] for identity in identities],
            "identities": [rows.identity(identity[1], identity[2]) for identity in identities],
        },
    )
    return {
        (list_, message_id, content_key): _There(id_, (munged, mail_sha256, raw_sha256))
        for list_, message_id, content_key, id_, munged, mail_sha256, raw_sha256 in found
    }


def _outcomes(
    arrivals: Iterable[Arrival],
    lists: Mapping[str, int],
    id_of: Mapping[Identity, int],
    fresh: set[Identity],
    stones: Collection[tuple[int, str]],
) -> list[list[Stored]]:
    """What becomes of each arrival on each of its lists; the second of two equal mails in a batch is a repeat."""
    first = set(fresh)
    outcomes: list[list[Stored]] = []
    for index, arrival in enumerate(arrivals):
        outcomes.append([])
        for list_id in arrival.lists:
            if (index, list_id) in stones:
                outcomes[-1].append(Stored(list_id, None, repeat=True))
                continue
            identity = _identity(arrival.mail, lists[list_id])
            outcomes[-1].append(Stored(list_id, id_of[identity], repeat=identity not in first))
            first.discard(identity)
    return outcomes


async def _deliver(
    connection: AsyncConnection,
    arrivals: Sequence[Arrival],
    lists: Mapping[str, int],
    outcomes: Sequence[Sequence[Stored]],
) -> None:
    """A row for every acknowledgement, repeats too: a commit that wrote nothing would wait for nobody.

    Copies of forgotten mails are counted on their tombstone instead.
    """
    await rows.add(
        connection,
        schema.delivery,
        [
            {
                "message": stored.message,
                "list": lists[stored.list_id],
                "received_at": arrival.envelope.received_at,
                "envelope_from": arrival.envelope.envelope_from,
                "recipients": list(arrival.lists[stored.list_id]),
                "queue_id": arrival.mail.queue_id,
                "peer": arrival.envelope.peer,
                "raw_sha256": arrival.raw_sha256,
                "raw_size": len(arrival.raw),
                "repeat": stored.repeat,
                "authentication": list(arrival.authentication),
            }
            for arrival, outcome in zip(arrivals, outcomes, strict=True)
            for stored in outcome
            if stored.message is not None
        ],
    )


async def configure_lists(connection: AsyncConnection, lists: Iterable[tuple[str, str | None, str | None]]) -> None:
    """Write the configured lists: (list id, name, address) each."""
    for list_id, name, address in lists:
        row = {"list_id": list_id, "name": name, "address": address}
        await connection.execute(
            upsert(schema.list_)
            .values(row)
            .on_conflict_do_update(constraint="list_list_id_key", set_={"name": name, "address": address})
        )


async def name_projects(connection: AsyncConnection, names: Mapping[str, str]) -> None:
    """Write how the API calls the configured lists: list id -> link name, empty for the one it has.

    A list that was called so by itself is called by its whole id from now on.
    """
    wanted = {list_id: name for list_id, name in names.items() if name}
    for statement in (
        """
        UPDATE ingestd.project j SET link_name = l.list_id
        FROM ingestd.list l, unnest(CAST(:ids AS text[]), CAST(:names AS text[])) AS w (list_id, link_name)
        WHERE l.id = j.list AND j.link_name = w.link_name AND l.list_id <> w.list_id
        """,
        """
        UPDATE ingestd.project j SET link_name = w.link_name
        FROM ingestd.list l, unnest(CAST(:ids AS text[]), CAST(:names AS text[])) AS w (list_id, link_name)
        WHERE l.id = j.list AND l.list_id = w.list_id AND j.link_name <> w.link_name
        """,
    ):
        await connection.execute(text(statement), {"ids": list(wanted), "names": list(wanted.values())})

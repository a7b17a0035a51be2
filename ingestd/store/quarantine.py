"""Mails that our code failed on: kept raw with the error, until they are replayed or a person drops them.

Who changes anything here holds the ingest lock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import InputError, Temporary
from ingestd.store import events, rows, schema
from ingestd.store.events import Event
from ingestd.store.values import Poison, Stored


@dataclass(frozen=True, slots=True)
class Entry:
    """One mail in quarantine, without its bytes."""

    id: int
    received_at: datetime
    error: str
    raw_sha256: bytes
    raw_size: int  # octets
    envelope_from: str | None
    recipients: tuple[str, ...]
    peer: str | None
    lists: tuple[str, ...]  # where it was to go, as far as that was known


@dataclass(frozen=True, slots=True)
class Ended:
    """A mail that is no longer in quarantine."""

    id: int
    received_at: datetime
    error: str
    raw_sha256: bytes
    raw_size: int  # octets
    ended_at: datetime
    outcome: str  # replayed or dropped
    reason: str | None  # a person's word, of dropped ones


async def keep(connection: AsyncConnection, poison: Poison) -> None:
    """Keep a mail that could not be stored; one that came from here stays the same entry, with its new error."""
    if poison.envelope.entry is not None:
        changed = await connection.execute(
            text("UPDATE ingestd.quarantine SET error = :error WHERE id = :id RETURNING id"),
            {"id": poison.envelope.entry, "error": poison.error},
        )
        _all_there([poison.envelope.entry], set(changed.scalars()))
        return
    await rows.keep_raw(connection, {poison.raw_sha256: poison.raw})
    (id_,) = await rows.allocate(connection, schema.quarantine, 1)
    await rows.add(
        connection,
        schema.quarantine,
        [
            {
                "id": id_,
                "received_at": poison.envelope.received_at,
                "error": poison.error,
                "raw_sha256": poison.raw_sha256,
                "raw_size": len(poison.raw),
                "envelope_from": poison.envelope.envelope_from,
                "recipients": list(poison.recipients),
                "peer": poison.envelope.peer,
                "lists": list(poison.lists),
            }
        ],
    )
    await events.write(connection, [Event("mail-quarantined", payload={"quarantine": id_})])


async def leave(
    connection: AsyncConnection, stored: Mapping[int | None, Sequence[Stored]], lists: Mapping[str, int]
) -> list[Event]:
    """End the entries whose mails this transaction stored: id -> what became of it; None is mail from elsewhere.

    `lists`: list id -> id. Temporary when one is not there any more: somebody else replayed or dropped it, and the
    transaction must not stand.
    """
    ids = [id_ for id_ in stored if id_ is not None]
    if not ids:
        return []
    _all_there(ids, await _end(connection, ids, "replayed", None))
    return [
        Event("mail-replayed", list=lists[one.list_id], message=one.message, payload={"quarantine": id_})
        for id_ in ids
        for one in stored[id_]
    ]


async def drop(connection: AsyncConnection, ids: Sequence[int], reason: str) -> None:
    """Give up mails for good, for a reason that stays. InputError when one is not there: then none is dropped."""
    digests = {entry.id: entry.raw_sha256 for entry in await entries(connection, ids)}
    await _end(connection, list(digests), "dropped", reason)
    await rows.drop_raw(connection, await rows.unused(connection, list(digests.values())))
    await events.write(
        connection,
        [
            Event("mail-dropped", payload={"quarantine": id_, "raw_sha256": digest.hex()})
            for id_, digest in digests.items()
        ],
    )


async def forget(connection: AsyncConnection, digests: Sequence[bytes], reason: str) -> None:
    """Drop all that has these bytes, and what was said of it."""
    found = await connection.execute(
        text("SELECT id FROM ingestd.quarantine WHERE raw_sha256 = ANY (CAST(:digests AS bytea[]))"),
        {"digests": list(digests)},
    )
    ids = list(found.scalars())
    if ids:
        await drop(connection, ids, reason)
    await hush(connection, digests)


async def hush(connection: AsyncConnection, digests: Sequence[bytes]) -> None:
    """Say of what was here with these bytes no more than that: its error may quote the mail."""
    await connection.execute(
        text("""
            UPDATE ingestd.quarantine_ended
            SET error = 'forgotten'
            WHERE raw_sha256 = ANY (CAST(:digests AS bytea[]))
        """),
        {"digests": list(digests)},
    )


async def _end(connection: AsyncConnection, ids: Sequence[int], outcome: str, reason: str | None) -> set[int]:
    """Move entries to those that ended; answer which of `ids` were there."""
    moved = await connection.execute(
        text("""
            WITH gone AS (
                DELETE FROM ingestd.quarantine
                WHERE id = ANY (CAST(:ids AS bigint[]))
                RETURNING id, received_at, error, raw_sha256, raw_size
            )
            INSERT INTO ingestd.quarantine_ended
                (id, received_at, error, raw_sha256, raw_size, outcome, reason)
            SELECT id, received_at, error, raw_sha256, raw_size, CAST(:outcome AS text), CAST(:reason AS text)
            FROM gone
            RETURNING id
        """),
        {"ids": list(ids), "outcome": outcome, "reason": reason},
    )
    return set(moved.scalars())


def _all_there(ids: Iterable[int], found: set[int]) -> None:
    missing = [str(id_) for id_ in ids if id_ not in found]
    if missing:
        raise Temporary(f"no longer in quarantine: {', '.join(missing)}")


async def entries(connection: AsyncConnection, ids: Sequence[int] | None = None) -> list[Entry]:
    """What is in quarantine, oldest first: these entries, or all. InputError when one of `ids` is not there."""
    found = await connection.execute(
        text("""
            SELECT id, received_at, error, raw_sha256, raw_size, envelope_from, recipients, peer, lists
            FROM ingestd.quarantine
            WHERE CAST(:ids AS bigint[]) IS NULL OR id = ANY (CAST(:ids AS bigint[]))
            ORDER BY id
        """),
        {"ids": None if ids is None else list(ids)},
    )
    there = [
        Entry(**{**row, "recipients": tuple(row["recipients"]), "lists": tuple(row["lists"])})
        for row in found.mappings()
    ]
    missing = sorted(set(ids or ()) - {entry.id for entry in there})
    if missing:
        raise InputError(f"not in quarantine: {', '.join(map(str, missing))}")
    return there


async def ended(connection: AsyncConnection) -> list[Ended]:
    """What was in quarantine, in the order in which it left."""
    found = await connection.execute(
        text("""
            SELECT id, received_at, error, raw_sha256, raw_size, ended_at, outcome, reason
            FROM ingestd.quarantine_ended
            ORDER BY ended_at, id
        """)
    )
    return [Ended(**row) for row in found.mappings()]


async def raw(connection: AsyncConnection, entry: Entry) -> bytes:
    """The bytes of a mail in quarantine, as they came."""
    found = await connection.scalar(
        text("SELECT bytes FROM ingestd.raw WHERE sha256 = :digest"), {"digest": entry.raw_sha256}
    )
    if found is None:  # dropped since `entry` was read
        raise InputError(f"not in quarantine: {entry.id}")
    return bytes(found)

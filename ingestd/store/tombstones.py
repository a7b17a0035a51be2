"""Tombstones say that a mail was here and why it went, and keep its copies out.

Who changes anything here holds the ingest lock.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import InputError
from ingestd.mail import Mail
from ingestd.store import rows


@dataclass(frozen=True, slots=True)
class Copy:
    """A mail on a list, as far as tombstones ask."""

    list: int
    digests: frozenset[bytes]
    queue_id: str | None


def digests(mail: Mail) -> frozenset[bytes]:
    """What a mail is known by: what it is on its list, and all of it without trace headers, which no parser changes."""
    return frozenset((rows.identity(mail.message_id, mail.content_key), bytes.fromhex(mail.mail_sha256)))


def copy(mail: Mail, list_: int) -> Copy:
    """A mail that comes to a list."""
    return Copy(list_, digests(mail), mail.queue_id)


async def met(connection: AsyncConnection, copies: Collection[Copy]) -> dict[Copy, int]:
    """Those of `copies` that are of a forgotten mail, each with its tombstone."""
    pairs = [(one.list, digest, one) for one in copies for digest in one.digests]
    found = await connection.execute(
        text("""
            SELECT d.list, d.digest, d.tombstone
            FROM unnest(CAST(:lists AS bigint[]), CAST(:digests AS bytea[])) AS w (list, digest)
            JOIN ingestd.tombstone_digest d ON d.list = w.list AND d.digest = w.digest
        """),
        {"lists": [list_ for list_, _, _ in pairs], "digests": [digest for _, digest, _ in pairs]},
    )
    stones = {(row.list, row.digest): row.tombstone for row in found}
    return {one: stones[list_, digest] for list_, digest, one in pairs if (list_, digest) in stones}


async def count(connection: AsyncConnection, stones: Iterable[tuple[int, str | None]]) -> None:
    """Note copies that came: (tombstone, queue id) each. It writes, so that their 250 waits for the commit."""
    came: Counter[int] = Counter()
    queue_ids: dict[int, list[str]] = defaultdict(list)
    for stone, queue_id in stones:
        came[stone] += 1
        queue_ids[stone] += [queue_id] if queue_id is not None else []
    for stone, number in sorted(came.items()):
        await connection.execute(
            text("""
                UPDATE ingestd.tombstone
                SET copies = copies + :number, last_copy = transaction_timestamp(),
                    queue_ids = queue_ids || CAST(:queue_ids AS text[])
                WHERE id = :stone
            """),
            {"stone": stone, "number": number, "queue_ids": queue_ids[stone]},
        )


async def lift(connection: AsyncConnection, message_id: str, list_id: str | None) -> int:
    """Let copies of forgotten mails with this Message-ID come in again; say of how many mails. InputError for none.

    What was forgotten stays away: it is gone.
    """
    lifted = await connection.execute(
        text("""
            UPDATE ingestd.tombstone t
            SET lifted_at = transaction_timestamp()
            FROM ingestd.list l
            WHERE l.id = t.list AND t.lifted_at IS NULL AND (CAST(:list_id AS text) IS NULL OR l.list_id = :list_id)
              AND EXISTS (
                  SELECT
                  FROM ingestd.tombstone_digest d
                  WHERE d.tombstone = t.id
                    AND d.digest = sha256(convert_to(CAST(:message_id AS text) || chr(10) || t.content_key, 'UTF8'))
              )
            RETURNING t.id
        """),
        {"message_id": message_id, "list_id": list_id},
    )
    ids = list(lifted.scalars())
    if not ids:
        raise InputError(f"{message_id}: no such mail was forgotten" + (f" on {list_id}" if list_id else ""))
    await connection.execute(
        text("DELETE FROM ingestd.tombstone_digest WHERE tombstone = ANY (CAST(:ids AS bigint[]))"), {"ids": ids}
    )
    return len(ids)

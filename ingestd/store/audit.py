"""Which mails are here: asked by those who compare us with an archive or with a mail server's log."""

import re
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store import rows

_RECEIVED_ID = re.compile(rb"\bid[ \t\r\n]+([^\s;()]+)", re.IGNORECASE)
_HEAD = 8192  # octets of a mail in quarantine in which its Received is looked for


async def stored(connection: AsyncConnection, mails: Sequence[tuple[str, str]], list_id: str | None) -> list[bool]:
    """Whether each (Message-ID, content key) is on that list, or on any, or was forgotten there."""
    found = await connection.execute(
        text("""
            SELECT EXISTS (
                SELECT
                FROM ingestd.list l
                JOIN ingestd.message m ON m.list = l.id AND m.identity = w.identity
                WHERE CAST(:list_id AS text) IS NULL OR l.list_id = :list_id
            ) OR EXISTS (
                SELECT
                FROM ingestd.tombstone_digest d
                JOIN ingestd.list l ON l.id = d.list
                WHERE d.digest = w.identity AND (CAST(:list_id AS text) IS NULL OR l.list_id = :list_id)
            )
            FROM unnest(CAST(:identities AS bytea[])) WITH ORDINALITY AS w (identity, position)
            ORDER BY w.position
        """),
        {"identities": [rows.identity(*mail) for mail in mails], "list_id": list_id},
    )
    return list(found.scalars())


async def known(connection: AsyncConnection, message_ids: Sequence[str]) -> set[str]:
    """Which of these Message-IDs some mail here has."""
    found = await connection.execute(
        text("SELECT DISTINCT key FROM ingestd.message WHERE key = ANY (CAST(:ids AS text[]))"),
        {"ids": list(message_ids)},
    )
    return set(found.scalars())


async def quarantined(connection: AsyncConnection, digests: Sequence[bytes]) -> set[bytes]:
    """Which of these sha256 are of mails in quarantine."""
    found = await connection.execute(
        text("SELECT raw_sha256 FROM ingestd.quarantine WHERE raw_sha256 = ANY (CAST(:digests AS bytea[]))"),
        {"digests": list(digests)},
    )
    return {bytes(digest) for digest in found.scalars()}


async def delivered(connection: AsyncConnection, queue_ids: Sequence[str]) -> set[tuple[str, str, int]]:
    """The (queue id, Message-ID, message id) of the deliveries with these queue ids."""
    found = await connection.execute(
        text("""
            SELECT DISTINCT d.queue_id, m.message_id, m.id
            FROM ingestd.delivery d
            JOIN ingestd.message m ON m.id = d.message
            WHERE d.queue_id = ANY (CAST(:ids AS text[]))
        """),
        {"ids": list(queue_ids)},
    )
    return {(queue_id, message_id, id_) for queue_id, message_id, id_ in found}


async def forgotten(connection: AsyncConnection, queue_ids: Sequence[str]) -> set[tuple[str, int]]:
    """The (queue id, message id that was) of forgotten mails, and of copies of them, with these queue ids."""
    found = await connection.execute(
        text("""
            SELECT q.id, t.message
            FROM ingestd.tombstone t
            CROSS JOIN unnest(t.queue_ids) AS q (id)
            WHERE q.id = ANY (CAST(:ids AS text[]))
        """),
        {"ids": list(queue_ids)},
    )
    return {(queue_id, message) for queue_id, message in found}


async def queue_ids_in_quarantine(connection: AsyncConnection) -> set[str]:
    """The queue ids that stand in the mails in quarantine. Not by our parser: that may be what failed on them."""
    found = await connection.execute(
        text("""
            SELECT substring(r.bytes FOR :head)
            FROM ingestd.quarantine q
            JOIN ingestd.raw r ON r.sha256 = q.raw_sha256
        """),
        {"head": _HEAD},
    )
    return {
        match[1].decode("ascii", "replace") for head in found.scalars() for match in _RECEIVED_ID.finditer(bytes(head))
    }

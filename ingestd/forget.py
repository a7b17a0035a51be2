"""Forget: remove a mail for good, as the law or a person may demand, and keep its copies out."""

import contextlib
from collections.abc import Collection

from ingestd.mail.parse import parse
from ingestd.store import forget as store
from ingestd.store import reparse, tombstones
from ingestd.store.engine import Database


async def forget(database: Database, key: str, list_id: str | None, reason: str) -> int:
    """Remove the mail with this key from that list, or from all; say from how many. InputError where there is none."""
    async with database.ingest() as connection:
        held = await store.find(connection, key, list_id)
        raws = await reparse.raws(connection, {digest for one in held.values() for digest in one.deliveries})
        known = {digest: _known_by(raw) for digest, raw in raws.items()}
        await store.forget(connection, held, known, reason)
    return len(held)


def _known_by(raw: bytes) -> Collection[bytes]:
    """What copies of these bytes are known by; nothing more than the mail itself is where our code fails on them."""
    with contextlib.suppress(Exception):
        return tombstones.digests(parse(raw))
    return ()

"""Write what mails say as rows, and put the mails into their threads: for mails that come and for mails read anew."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.mail import Mail
from ingestd.series import fact, link
from ingestd.store import relinks, rows, schema, threads
from ingestd.store.changes import Changes

PARTS = (schema.patch, schema.file, schema.trailer, schema.link)  # what hangs on `message`


@dataclass(frozen=True, slots=True)
class Reading:
    """A mail on a list, as the best of its deliveries says it."""

    list: int
    mail: Mail
    raw_sha256: bytes  # of that delivery
    received_at: datetime  # when the first delivery came


def keys(reading: Reading, belongs: tuple[str, str] | None) -> set[threads.Key]:
    """The link keys of a mail. `belongs`: a human's word, the identity of a mail whose series it belongs to."""
    said = replace(fact.of(reading.mail), belongs=belongs)
    return {(reading.list, key) for key in link.keys(said)}


async def place(
    connection: AsyncConnection,
    fresh: Mapping[int, Reading],
    changed: Mapping[int, Reading],
    changes: Changes | None = None,
) -> set[int]:
    """Write the rows of new mails and of mails that read otherwise now; answer the threads to regroup.

    Message id -> reading, both. Of `changed` ones the identity may be another, and when they came stays as it is.
    What a human said of a mail stays when it is read anew.
    """
    words = await relinks.words(connection, list(changed)) if changed else {}
    readings = {**fresh, **changed}
    wanted = {message: keys(reading, words.get(message)) for message, reading in readings.items()}
    loose = await threads.loosened(connection, {message: wanted[message] for message in changed}) if changed else set()
    placed = await threads.link(connection, wanted, loose, changes)
    if changed:
        # Only now: linking finds the thread of a mail by the keys it had.
        for table in (*PARTS, schema.link_key):
            await connection.execute(delete(table).where(table.c.message.in_(list(changed))))
    await rows.add(
        connection,
        schema.message,
        [
            {
                "id": message,
                "list": reading.list,
                "key": reading.mail.message_id,
                "received_at": reading.received_at,
                "thread": placed[message],
                **_columns(reading),
            }
            for message, reading in fresh.items()
        ],
    )
    for message, reading in changed.items():
        await connection.execute(
            update(schema.message).where(schema.message.c.id == message).values(**_columns(reading))
        )
    for table, made in rows.parts({message: reading.mail for message, reading in readings.items()}).items():
        await rows.add(connection, table, made)
    await threads.write_keys(connection, wanted)
    return set(placed.values())


def _columns(reading: Reading) -> rows.Row:
    """The columns of `message` that its best delivery decides."""
    mail = reading.mail
    return {
        "message_id": mail.message_id,
        "content_key": mail.content_key,
        "identity": rows.identity(mail.message_id, mail.content_key),
        "raw_sha256": reading.raw_sha256,
        **rows.message(mail),
    }

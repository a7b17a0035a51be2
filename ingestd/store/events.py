"""The event log: what changed, numbered under the ingest lock so that a reader's cursor cannot skip."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store import schema

# Every category, with what it says. docs/schema.md lists them; a test compares.
CATEGORIES = {
    "message-created": "a mail that was not there before",
    "message-changed": "a mail reads otherwise: a better delivery of it came, or a newer parser has read it",
    "message-removed": "a mail is there no more: forgotten, or another one by a newer parser; the payload has ids",
    "series-created": "a series, single patch or pull request",
    "series-changed": "a series has other members, numbers or facts than before",
    "series-completed": "every patch of a series is there; once a series",
    "series-removed": "a later mail showed that its mails belong to other series",
    "series-superseded": "a newer version of the series is there; the payload names it",
    "series-stalled": "patches of a series are missing, and none came for `series.stalled_after`; once a series, and"
    " not for one whose mails all came more than 7 days after their Date, or that is older than 90 days: that is an"
    " archive",
    "mail-relinked": "a human said to which series a mail belongs, or took that back",
    "mail-quarantined": "a mail our code failed on is kept raw in quarantine; the payload names the entry",
    "mail-replayed": "a mail came out of quarantine and is stored now; the payload names the entry",
    "mail-dropped": "a person gave up a mail in quarantine; the payload names the entry and the digest of its bytes",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. Payloads carry ids, never text."""

    category: str
    list: int | None = None
    message: int | None = None
    series: int | None = None
    payload: dict[str, Any] = field(default_factory=dict)


async def write(connection: AsyncConnection, events: Iterable[Event]) -> None:
    """Number and write `events`, and ring for those who listen. The caller holds the ingest lock."""
    events = list(events)
    if not events:
        return
    last = await connection.scalar(
        text("UPDATE ingestd.counter SET value = value + :count WHERE name = 'event' RETURNING value"),
        {"count": len(events)},
    )
    first = last - len(events) + 1
    await connection.execute(
        insert(schema.event),
        [
            {
                "cursor": first + offset,
                "category": event.category,
                "list": event.list,
                "message": event.message,
                "series": event.series,
                "payload": event.payload,
            }
            for offset, event in enumerate(events)
        ],
    )
    # Empty: it only rings. Readers go by the cursor.
    await connection.execute(text("NOTIFY ingestd"))

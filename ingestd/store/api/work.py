"""Checks, bundles and events, as the API shows them."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store import events as events_
from ingestd.store.api.listing import ANY, Listing
from ingestd.store.api.patches import USER

Row = dict[str, Any]

CHECKS = Listing(
    "checks",
    "ingestd.patch_check c",
    "c.id",
    {
        "patch": "c.message = CAST(:{0} AS bigint)",
        "user": ANY.format("{0}", column="c.account", type="bigint"),
        "state": ANY.format("{0}", column="c.state", type="text"),
        "context": ANY.format("{0}", column="c.context", type="text"),
        "since": "c.date >= CAST(:{0} AS timestamptz)",
        "before": "c.date < CAST(:{0} AS timestamptz)",
    },
    {"id": "c.id", "date": "c.date", "context": "c.context", "state": "c.state", "user": "c.account"},
)

BUNDLES = Listing(
    "bundles",
    "ingestd.bundle b",
    "b.id",
    {
        "seen_by": "(b.public OR b.account = CAST(:{0} AS bigint))",
        "project": ANY.format("{0}", column="b.list", type="bigint"),
        "one_project": "b.list = CAST(:{0} AS bigint)",
        "owner": ANY.format("{0}", column="b.account", type="bigint"),
        "public": "b.public = CAST(:{0} AS boolean)",
    },
    {"id": "b.id", "name": "b.name", "project": "b.list", "owner": "b.account"},
    search=("b.name",),
)

# What Patchwork's readers know. The rest of the log is for those who read `ingestd_v1.event`.
CATEGORIES = (
    "cover-created",
    "patch-created",
    "patch-completed",
    "patch-state-changed",
    "patch-delegated",
    "patch-relation-changed",
    "check-created",
    "series-created",
    "series-completed",
    "cover-comment-created",
    "patch-comment-created",
)

EVENTS = Listing(
    "events",
    "ingestd.event e",
    "e.cursor",
    {
        "project": ANY.format("{0}", column="e.list", type="bigint"),
        "one_project": "e.list = CAST(:{0} AS bigint)",
        "category": ANY.format("{0}", column="e.category", type="text"),
        "series": ANY.format("{0}", column="e.series", type="bigint"),
        "mail": ANY.format("{0}", column="e.message", type="bigint"),
        "actor": ANY.format("{0}", column="e.actor", type="bigint"),
        "since": "e.at >= CAST(:{0} AS timestamptz)",
        "before": "e.at < CAST(:{0} AS timestamptz)",
        "after": "e.cursor > CAST(:{0} AS bigint)",
    },
    {"date": "e.cursor", "id": "e.cursor"},
    growth=frozenset(events_.CATEGORIES),  # whatever happens is one more
    top="SELECT max(cursor) FROM ingestd.event",
)


async def checks(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Row]:
    """The checks with these ids."""
    if not ids:
        return {}
    found = await connection.execute(
        text(f"""
            SELECT c.id, c.message, c.date, c.state, c.context, c.target_url, c.description, {USER}
            FROM ingestd.patch_check c
            JOIN ingestd.account account ON account.id = c.account
            WHERE c.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def bundles(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Row]:
    """The bundles with these ids, each with the ids of its patches in order."""
    found = await connection.execute(
        text(f"""
            SELECT b.id, b.list, b.name, b.public, {USER},
                   ARRAY(
                       SELECT p.message FROM ingestd.bundle_patch p WHERE p.bundle = b.id ORDER BY p.position
                   ) AS patches
            FROM ingestd.bundle b
            JOIN ingestd.account account ON account.id = b.account
            WHERE b.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def bundle_of(connection: AsyncConnection, username: str, name: str) -> int | None:
    """The id of somebody's bundle."""
    found = await connection.scalar(
        text("""
            SELECT b.id
            FROM ingestd.bundle b
            JOIN ingestd.account a ON a.id = b.account
            WHERE a.username = :username AND b.name = :name
        """),
        {"username": username, "name": name},
    )
    return None if found is None else int(found)


async def events(connection: AsyncConnection, cursors: Collection[int]) -> dict[int, Row]:
    """The events with these cursors."""
    found = await connection.execute(
        text("""
            SELECT cursor AS id, at, category, list, message, series, payload, actor
            FROM ingestd.event
            WHERE cursor = ANY (CAST(:cursors AS bigint[]))
        """),
        {"cursors": list(cursors)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def worst(connection: AsyncConnection, messages: Collection[int]) -> dict[int, str]:
    """Patch -> the worst of the newest checks of each user and context."""
    found = await connection.execute(
        text("""
            SELECT message,
                   (array_agg(state ORDER BY array_position(
                       ARRAY['fail', 'warning', 'pending', 'success'], state
                   )))[1]
            FROM (
                SELECT DISTINCT ON (message, account, context) message, state
                FROM ingestd.patch_check
                WHERE message = ANY (CAST(:messages AS bigint[]))
                ORDER BY message, account, context, date DESC, id DESC
            ) newest
            GROUP BY message
        """),
        {"messages": list(messages)},
    )
    return {message: state for message, state in found}  # noqa: C416 - a row is no pair to mypy

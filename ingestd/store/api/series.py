"""Series and comments, as the API shows them."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store.api.listing import ANY, GROWTH, Listing
from ingestd.store.api.patches import SUBMITTER

Row = dict[str, Any]

SERIES = Listing(
    "series",
    "ingestd.series s",
    "s.id",
    {
        "project": ANY.format("{0}", column="s.list", type="bigint"),
        "one_project": "s.list = CAST(:{0} AS bigint)",
        "submitter": ANY.format("{0}", column="s.submitter", type="bigint"),
        "since": "s.date >= CAST(:{0} AS timestamptz)",
        "before": "s.date < CAST(:{0} AS timestamptz)",
    },
    {"id": "s.id", "name": "s.name", "date": "s.date", "submitter": "s.submitter"},
    search=("s.name",),
    growth=GROWTH - {"series-changed"},  # it may have another name, date, or submitter then
    top="SELECT max(id) FROM ingestd.series",
)

# A mail below a patch or cover is a comment on it.
COMMENTS = Listing(
    "comments",
    "ingestd.message m",
    "m.id",
    {"about": "m.about = CAST(:{0} AS bigint) AND m.id <> CAST(:{0} AS bigint)"},
    {
        "id": "m.id",
        "date": "coalesce(m.date, m.received_at)",
        "submitter": "m.submitter",
        "subject": "m.subject",
    },
    search=("m.subject", "m.content"),
)

# The mail to apply at each number: the re-roll, else what was posted, else what an older series left.
EFFECTIVE = """
    SELECT DISTINCT ON (sp.series, sp.number) sp.series, sp.number, sp.message
    FROM ingestd.series_patch sp
    JOIN ingestd.message m ON m.id = sp.message
    WHERE sp.series = ANY (CAST(:ids AS bigint[])) AND sp.number > 0
    ORDER BY sp.series, sp.number, array_position(ARRAY['reroll', 'posted', 'carried'], sp.role), m.key COLLATE "C"
"""


async def series(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Row]:
    """The series with these ids: their columns, and the ids of their cover and patches."""
    found = await connection.execute(
        text(f"""
            SELECT s.id, s.list, s.name, coalesce(s.date, m.received_at, 'epoch') AS date, s.version, s.total,
                   s.complete, s.cover, {SUBMITTER}
            FROM ingestd.series s
            JOIN ingestd.person person ON person.id = s.submitter
            LEFT JOIN ingestd.message m ON m.list = s.list AND m.key = s.key AND s.date IS NULL
            WHERE s.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    rows = {row["id"]: {**row, "patches": []} for row in found.mappings()}
    for one, number, message in await connection.execute(text(EFFECTIVE), {"ids": list(rows)}):
        rows[one]["patches"].append((number, message))
    return rows


async def dependencies(connection: AsyncConnection, ids: Collection[int]) -> tuple[dict[int, list[int]], ...]:
    """What series depend on, and what depends on them: id -> ids of series, ascending, each."""
    needs: dict[int, list[int]] = defaultdict(list)
    needed: dict[int, list[int]] = defaultdict(list)
    for one, other in await connection.execute(
        text("""
            WITH near AS (
                SELECT m.message_id
                FROM (
                    SELECT sp.series, sp.message FROM ingestd.series_patch sp WHERE sp.role <> 'carried'
                    UNION ALL
                    SELECT s.id, s.cover FROM ingestd.series s WHERE s.cover IS NOT NULL
                ) own (series, message)
                JOIN ingestd.message m ON m.id = own.message
                WHERE own.series = ANY (CAST(:ids AS bigint[]))
            ), said AS (
                SELECT k.message, k.type, k.target
                FROM ingestd.link k
                WHERE k.type IN ('based-on', 'depends-on')
                  AND (k.target IN (SELECT message_id FROM near)
                       OR k.message IN (SELECT m.id FROM near JOIN ingestd.message m USING (message_id)))
            )
            SELECT DISTINCT v.series_id, v.resolved_series_id
            FROM said
            JOIN ingestd.message m ON m.id = said.message
            JOIN ingestd.list l ON l.id = m.list
            JOIN ingestd_v1.link v ON v.message_id = m.message_id AND v.list_id = l.list_id
                AND v.type = said.type AND v.target_message_id = said.target
            WHERE v.current AND v.series_id IS NOT NULL AND v.resolved_series_id IS NOT NULL
              AND v.series_id <> v.resolved_series_id
            ORDER BY 1, 2
        """),
        {"ids": list(ids)},
    ):
        needs[one].append(other)
        needed[other].append(one)
    return needs, needed


async def comments(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Row]:
    """The comments with these ids."""
    found = await connection.execute(
        text(f"""
            SELECT m.id, m.list, m.about, m.message_id, m.key, coalesce(m.date, m.received_at) AS date, m.headers,
                   m.content, {SUBMITTER}, c.message IS NOT NULL AS judged, c.addressed,
                   t.listed IS TRUE AS of_patch
            FROM ingestd.message m
            JOIN ingestd.person person ON person.id = m.submitter
            LEFT JOIN ingestd.comment_triage c ON c.message = m.id
            LEFT JOIN ingestd.triage t ON t.message = m.about
            WHERE m.id = ANY (CAST(:ids AS bigint[])) AND m.about <> m.id
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def short(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Row]:
    """The series with these ids as they stand in other answers."""
    if not ids:
        return {}
    found = await connection.execute(
        text("""
            SELECT s.id, s.list, s.name, coalesce(s.date, m.received_at, 'epoch') AS date, s.version
            FROM ingestd.series s
            LEFT JOIN ingestd.message m ON m.list = s.list AND m.key = s.key AND s.date IS NULL
            WHERE s.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}

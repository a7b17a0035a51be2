"""Patches and covers, as the API shows them: lists, whole mails, and short forms to stand in other answers."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store.api.listing import ANY, GROWTH, Listing

Row = dict[str, Any]

SERIES_MOVES = frozenset({"series-created", "series-changed", "series-removed"})

PATCHES = Listing(
    "patches",
    "ingestd.triage t",
    "t.message",
    {
        "project": ANY.format("{0}", column="t.list", type="bigint"),
        "one_project": "t.list = CAST(:{0} AS bigint)",
        "submitter": ANY.format("{0}", column="t.submitter", type="bigint"),
        "delegate": ANY.format("{0}", column="t.delegate", type="bigint"),
        "state": ANY.format("{0}", column="t.state", type="text"),
        "archived": "t.archived = CAST(:{0} AS boolean)",
        "since": "t.date >= CAST(:{0} AS timestamptz)",
        "before": "t.date < CAST(:{0} AS timestamptz)",
        "series": (
            "t.message IN (SELECT sp.message FROM ingestd.series_patch sp"
            " WHERE sp.series = ANY (CAST(:{0} AS bigint[])) AND sp.role <> 'carried'"
            " UNION ALL SELECT s.cover FROM ingestd.series s WHERE s.id = ANY (CAST(:{0} AS bigint[])))"
        ),
        "hash": "t.message IN (SELECT p.message FROM ingestd.patch p WHERE p.hash = ANY (CAST(:{0} AS text[])))",
        "msgid": ("t.message IN (SELECT m.id FROM ingestd.message m WHERE m.message_id = ANY (CAST(:{0} AS text[])))"),
    },
    {
        "id": "t.message",
        "name": "t.name",
        "project": "t.list",
        "date": "t.date",
        "state": (
            "array_position(ARRAY['new', 'under-review', 'accepted', 'rejected', 'rfc', 'not-applicable',"
            " 'changes-requested', 'awaiting-upstream', 'superseded', 'deferred'], t.state)"
        ),
        "archived": "t.archived",
        "submitter": "t.submitter",
        "delegate": "t.delegate",
        "check": "array_position(ARRAY['pending', 'success', 'warning', 'fail'], coalesce(t.verdict, 'pending'))",
    },
    base=("t.listed",),
    search=("t.name",),
    grams="t.name",
    growth=GROWTH | {"series-removed"},
    moves={
        "state": frozenset({"patch-state-changed"}),
        "archived": frozenset({"patch-changed"}),
        "delegate": frozenset({"patch-delegated"}),
        "series": SERIES_MOVES,
    },
)

# A cover that has a diff, or asks to pull, is among the patches.
COVERS = Listing(
    "covers",
    "ingestd.message m",
    "m.id",
    {
        "project": ANY.format("{0}", column="m.list", type="bigint"),
        "one_project": "m.list = CAST(:{0} AS bigint)",
        "submitter": ANY.format("{0}", column="m.submitter", type="bigint"),
        "since": "m.date >= CAST(:{0} AS timestamptz)",
        "before": "m.date < CAST(:{0} AS timestamptz)",
        "series": "m.id IN (SELECT s.cover FROM ingestd.series s WHERE s.id = ANY (CAST(:{0} AS bigint[])))",
        "msgid": "m.message_id = ANY (CAST(:{0} AS text[]))",
    },
    {"id": "m.id", "name": "m.name", "date": "m.date", "submitter": "m.submitter"},
    base=("m.kind = 'cover'", "NOT EXISTS (SELECT FROM ingestd.triage t WHERE t.message = m.id AND t.listed)"),
    search=("m.name",),
    growth=GROWTH | {"series-removed"},
    moves={"series": SERIES_MOVES},
)

SUBMITTER = "person.id AS submitter_id, person.name AS submitter_name, person.email AS submitter_email"
USER = """
    account.id AS user_id, account.username, account.first_name, account.last_name, account.email AS user_email
"""
WHOLE = ", m.headers, m.content, m.prefixes"


async def patches(connection: AsyncConnection, ids: Collection[int], *, whole: bool = False) -> dict[int, Row]:
    """The patches with these ids; `whole`: with headers, text and diff."""
    found = await connection.execute(
        text(f"""
            SELECT t.message AS id, t.list, m.message_id, m.key, t.date, t.name, t.commit_ref,
                   coalesce(t.pull_url, p.pull_url) AS pull_url, t.state, t.archived, p.hash, t.relation,
                   coalesce(t.verdict, 'pending') AS verdict, {SUBMITTER}, {USER},
                   s.id AS series_id, s.name AS series_name, s.date AS series_date, s.version AS series_version
                   {f"{WHOLE}, p.diff" if whole else ""}
            FROM ingestd.triage t
            JOIN ingestd.message m ON m.id = t.message
            JOIN ingestd.person person ON person.id = t.submitter
            LEFT JOIN ingestd.patch p ON p.message = t.message
            LEFT JOIN ingestd.account account ON account.id = t.delegate
            LEFT JOIN LATERAL (
                SELECT one.id, one.name, coalesce(one.date, m.received_at) AS date, one.version
                FROM (
                    SELECT sp.posted_in AS id, 0 AS rank
                    FROM ingestd.series_patch sp
                    WHERE sp.message = t.message AND sp.role <> 'carried'
                    UNION ALL
                    SELECT c.id, 1 FROM ingestd.series c WHERE c.cover = t.message
                ) near
                JOIN ingestd.series one ON one.id = near.id
                ORDER BY near.rank, near.id
                LIMIT 1
            ) s ON true
            WHERE t.message = ANY (CAST(:ids AS bigint[])) AND t.listed
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def covers(connection: AsyncConnection, ids: Collection[int], *, whole: bool = False) -> dict[int, Row]:
    """The covers with these ids; `whole`: with headers and text."""
    found = await connection.execute(
        text(f"""
            SELECT m.id, m.list, m.message_id, m.key, coalesce(m.date, m.received_at) AS date, m.name, {SUBMITTER},
                   s.id AS series_id, s.name AS series_name, coalesce(s.date, m.received_at) AS series_date,
                   s.version AS series_version
                   {WHOLE if whole else ""}
            FROM ingestd.message m
            JOIN ingestd.person person ON person.id = m.submitter
            LEFT JOIN LATERAL (
                SELECT c.id, c.name, c.date, c.version FROM ingestd.series c WHERE c.cover = m.id ORDER BY c.id LIMIT 1
            ) s ON true
            WHERE m.id = ANY (CAST(:ids AS bigint[])) AND {" AND ".join(COVERS.base)}
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def short(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Row]:
    """Mails with these ids as they stand in other answers: patches (`is_patch`), covers and comments."""
    if not ids:
        return {}
    found = await connection.execute(
        text("""
            SELECT m.id, m.list, j.link_name, j.list_archive_url_format, m.message_id, m.key,
                   coalesce(m.date, m.received_at) AS date, m.name, m.kind, m.about, t.listed IS TRUE AS is_patch
            FROM ingestd.message m
            JOIN ingestd.project j ON j.list = m.list
            LEFT JOIN ingestd.triage t ON t.message = m.id
            WHERE m.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def related(connection: AsyncConnection, relations: Collection[int]) -> dict[int, list[int]]:
    """Relation -> ids of its patches, ascending."""
    if not relations:
        return {}
    found = await connection.execute(
        text("""
            SELECT relation, message
            FROM ingestd.triage
            WHERE relation = ANY (CAST(:relations AS bigint[])) AND listed
            ORDER BY message
        """),
        {"relations": list(relations)},
    )
    members: dict[int, list[int]] = defaultdict(list)
    for relation, message in found:
        members[relation].append(message)
    return members


async def tags(connection: AsyncConnection, ids: Collection[int]) -> dict[int, dict[str, int]]:
    """Patch -> how many people gave it each trailer that names a person, in the patch or on the list."""
    found = await connection.execute(
        text("""
            SELECT g.subject, upper(left(t.name, 1)) || lower(substr(t.name, 2)) AS name,
                   count(DISTINCT lower(t.person_email)) AS people
            FROM ingestd.given g
            JOIN ingestd.trailer t ON t.message = g.source AND t.position = g.position
            JOIN ingestd.message m ON m.id = g.source
            WHERE g.subject = ANY (CAST(:ids AS bigint[]))
              AND lower(t.name) IN ('acked-by', 'reviewed-by', 'tested-by')
              AND t.person_email IS NOT NULL
              AND (
                  g.reason = 'own'
                  OR ingestd.same_person(t.person_name, t.person_email, m.author_name, m.author_email)
              )
            GROUP BY 1, 2
            ORDER BY 1, 2
        """),
        {"ids": list(ids)},
    )
    counted: dict[int, dict[str, int]] = defaultdict(dict)
    for subject, name, people in found:
        counted[subject][name] = people
    return counted


async def find(connection: AsyncConnection, key: str, link_name: str | None = None) -> int | None:
    """The id of a mail by its key (its Message-ID, mostly), of the project with this link name or list id."""
    found = await connection.scalar(
        text("""
            SELECT m.id
            FROM ingestd.message m
            JOIN ingestd.list l ON l.id = m.list
            JOIN ingestd.project j ON j.list = m.list
            WHERE m.key = :key
              AND (CAST(:name AS text) IS NULL OR j.link_name = :name OR l.list_id = :name)
            ORDER BY l.list_id COLLATE "C"
            LIMIT 1
        """),
        {"key": key, "name": link_name},
    )
    return None if found is None else int(found)

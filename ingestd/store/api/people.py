"""Projects, people and users, as the API shows them."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.store.api.listing import ANY, Listing

Row = dict[str, Any]

PROJECTS = Listing(
    "projects",
    "ingestd.list l JOIN ingestd.project j ON j.list = l.id",
    "l.id",
    {},
    {"id": "l.id", "name": "coalesce(l.name, l.list_id)", "link_name": "j.link_name", "list_id": "l.list_id"},
    search=("coalesce(l.name, l.list_id)", "j.link_name", "l.list_id"),
)

PEOPLE = Listing(
    "people",
    "ingestd.person p",
    "p.id",
    {},
    {"id": "p.id", "name": "p.name"},
    search=("p.name", "p.email"),
)

USERS = Listing(
    "users",
    "ingestd.account a",
    "a.id",
    {"id": ANY.format("{0}", column="a.id", type="bigint")},
    {"id": "a.id"},
    base=("a.active",),
    search=("a.username", "a.first_name", "a.last_name", "a.email"),
)

PROJECT_COLUMNS = """
    l.id, coalesce(nullif(l.name, ''), l.list_id) AS name, l.list_id, coalesce(l.address, '') AS address, j.link_name,
    j.web_url, j.scm_url, j.webscm_url, j.list_archive_url, j.list_archive_url_format, j.commit_url_format,
    j.show_dependencies
"""


async def projects(connection: AsyncConnection, ids: Collection[int] | None = None) -> dict[int, Row]:
    """The projects with these ids, or all, each with its maintainers."""
    found = await connection.execute(
        text(f"""
            SELECT {PROJECT_COLUMNS},
                   (
                       SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'id', a.id, 'username', a.username, 'first_name', a.first_name,
                           'last_name', a.last_name, 'email', a.email
                       ) ORDER BY a.id), '[]')
                       FROM ingestd.maintainer m
                       JOIN ingestd.account a ON a.id = m.account
                       WHERE m.list = l.id AND a.active
                   ) AS maintainers
            FROM ingestd.list l
            JOIN ingestd.project j ON j.list = l.id
            WHERE CAST(:ids AS bigint[]) IS NULL OR l.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": None if ids is None else list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def people(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Row]:
    """The people with these ids, each with the user of the same address."""
    found = await connection.execute(
        text("""
            SELECT p.id, p.name, p.email, a.id AS user_id, a.username, a.first_name, a.last_name, a.email AS user_email
            FROM ingestd.person p
            LEFT JOIN LATERAL (
                SELECT * FROM ingestd.account a
                WHERE lower(a.email) = lower(p.email) AND a.email <> '' AND a.active
                ORDER BY a.id
                LIMIT 1
            ) a ON true
            WHERE p.id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def users(connection: AsyncConnection, ids: Collection[int]) -> dict[int, Row]:
    """The users with these ids."""
    found = await connection.execute(
        text("""
            SELECT id, username, first_name, last_name, email, send_email, items_per_page, show_ids
            FROM ingestd.account
            WHERE id = ANY (CAST(:ids AS bigint[]))
        """),
        {"ids": list(ids)},
    )
    return {row["id"]: dict(row) for row in found.mappings()}


async def resolve(connection: AsyncConnection, names: Mapping[str, Collection[str]]) -> dict[str, dict[str, list[int]]]:
    """The ids of what people call by name: `project` by link name, `person` by address, `user` by name."""
    resolved: dict[str, dict[str, list[int]]] = {}
    if not any(names.values()):
        return resolved
    found = await connection.execute(
        text("""
            SELECT 'project' AS kind, w.name, l.id
            FROM unnest(CAST(:project AS text[])) AS w (name)
            JOIN ingestd.project j ON j.link_name = w.name
            JOIN ingestd.list l ON l.id = j.list
            UNION ALL
            SELECT 'person', w.email, p.id
            FROM unnest(CAST(:person AS text[])) AS w (email)
            JOIN ingestd.person p ON md5(lower(p.email)) = md5(lower(w.email))
            UNION ALL
            SELECT 'user', w.name, a.id
            FROM unnest(CAST(:user AS text[])) AS w (name)
            JOIN ingestd.account a ON a.username = w.name
        """),
        {kind: list(names.get(kind, ())) for kind in ("project", "person", "user")},
    )
    for kind, name, id_ in found:
        resolved.setdefault(kind, {}).setdefault(name, []).append(id_)
    return resolved

"""What commands ask of the database."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import InputError
from ingestd.mail import export
from ingestd.mail.values import PARSER_VERSION
from ingestd.series.values import GROUPING_VERSION
from ingestd.store import heads, migrate, regroup, relinks, successions
from ingestd.store.engine import Database

Ids = tuple[int, ...]


async def find(connection: AsyncConnection, message_id: str, list_id: str | None) -> int:
    """The id of a mail; on the list whose id sorts first when it is on several. InputError when it is nowhere."""
    found = await connection.scalar(
        text("""
            SELECT m.id
            FROM ingestd.message m
            JOIN ingestd.list l ON l.id = m.list
            WHERE m.key = :key
              AND (CAST(:list_id AS text) IS NULL OR l.list_id = :list_id)
            ORDER BY l.list_id COLLATE "C"
            LIMIT 1
        """),
        {"key": message_id.strip().removeprefix("<").removesuffix(">"), "list_id": list_id},
    )
    if found is None:
        raise InputError(f"{message_id}: no such mail" + (f" on {list_id}" if list_id else ""))
    return int(found)


async def raw(connection: AsyncConnection, message: int) -> bytes:
    """The bytes that a mail's row was parsed from, as received."""
    found = await connection.scalar(
        text("SELECT r.bytes FROM ingestd.message m JOIN ingestd.raw r ON r.sha256 = m.raw_sha256 WHERE m.id = :id"),
        {"id": message},
    )
    return bytes(found)


async def thread_of(connection: AsyncConnection, message: int) -> Ids:
    """All mails of a mail's thread, the oldest first."""
    found = await connection.scalars(
        text("""
            SELECT id
            FROM ingestd.message
            WHERE thread = (SELECT thread FROM ingestd.message WHERE id = :id)
            ORDER BY date NULLS LAST, key COLLATE "C"
        """),
        {"id": message},
    )
    return tuple(found)


async def patch(connection: AsyncConnection, message: int) -> export.Patch:
    """The patch in a mail, from its bytes as received. InputError when there is none."""
    found = export.read(await raw(connection, message))
    if found is None:
        raise InputError(f"{await _key(connection, message)}: not a patch: there is no diff in it")
    return found


async def _key(connection: AsyncConnection, message: int) -> str:
    return str(await connection.scalar(text("SELECT key FROM ingestd.message WHERE id = :id"), {"id": message}))


async def series_of(connection: AsyncConnection, message: int) -> tuple[Ids, tuple[int, ...]]:
    """The mails to apply, in order, of the series a mail was posted in; and the numbers that are missing.

    InputError when the mail belongs to no series.
    """
    series = await connection.scalar(
        text("""
            SELECT coalesce(
                (SELECT min(posted_in) FROM ingestd.series_patch WHERE message = :id AND role <> 'carried'),
                (SELECT min(id) FROM ingestd.series WHERE cover = :id)
            )
        """),
        {"id": message},
    )
    if series is None:
        raise InputError(f"{await _key(connection, message)}: the mail belongs to no series")
    head = (await heads.load(connection, [series]))[series]
    found = await connection.execute(
        text("""
            SELECT m.key, m.id
            FROM ingestd.series_patch sp
            JOIN ingestd.message m ON m.id = sp.message
            WHERE sp.series = :series
        """),
        {"series": series},
    )
    id_of = {row.key: row.id for row in found}
    return tuple(id_of[key] for key in head.series.effective.values()), head.series.missing


async def place(connection: AsyncConnection, message: int) -> list[tuple[str, str]]:
    """Where a mail is, and why, for `ingestd explain`: thread, series, what that supersedes, links, trailers."""
    found = await connection.execute(
        text("""
            SELECT m.message_id, m.content_key, m.list, l.list_id, m.key, m.thread, above.key AS parent,
                   ARRAY(
                       SELECT other.list_id
                       FROM ingestd.message copy
                       JOIN ingestd.list other ON other.id = copy.list
                       WHERE copy.key IN (m.key, m.message_id) AND copy.message_id = m.message_id
                         AND copy.content_key = m.content_key AND copy.id <> m.id
                       ORDER BY other.list_id COLLATE "C"
                   ) AS copies
            FROM ingestd.message m
            JOIN ingestd.list l ON l.id = m.list
            LEFT JOIN ingestd.message above ON above.id = m.parent
            WHERE m.id = :id
        """),
        {"id": message},
    )
    row = found.mappings().one()
    said = [("stored on", row["list_id"]), *(("also on", list_id) for list_id in row["copies"])]
    said += [("key", row["key"]), ("thread", str(row["thread"]))]
    said.append(("answers", row["parent"] or "nothing that is there"))
    word = await relinks.word_on(connection, message)
    if word is not None:
        target, at = word
        where = "a series of its own" if target == row["key"] else f"the series of {target}"
        said.append(("relinked", f"to {where}, said on {at:%Y-%m-%d %H:%M:%S} UTC"))
    order = await successions.word_on(connection, message)
    if order is not None:
        older, at = order
        what = "nothing" if older is None else f"the series of {older}"
        said.append(("relinked", f"its series supersedes {what}, said on {at:%Y-%m-%d %H:%M:%S} UTC"))
    reasons = await regroup.reasons(connection, row["thread"])
    members = await connection.execute(
        text("""
            SELECT series, number, role FROM ingestd.series_patch WHERE message = :id
            UNION
            SELECT id, 0, 'cover' FROM ingestd.series WHERE cover = :id
            ORDER BY 1, 2, 3
        """),
        {"id": message},
    )
    for series, number, role in members.all():
        one = (await heads.load(connection, [series]))[series].series
        why = reasons.get(row["key"]) if role != "carried" else "the newer posting leaves it as it was"
        said.append(
            ("series", f"{one.key}: {role} {number} of {one.total}, version {one.version} ({why or 'its head'})")
        )
        said += await _superseded(connection, series)
    said += await _links(connection, message)
    given = await _given(connection, message)
    return [*said, *(("trailer", f"{one.line} (in {one.source}{one.how})") for one in given)]


async def _superseded(connection: AsyncConnection, series: int) -> list[tuple[str, str]]:
    """What a series supersedes, with evidence and confidence."""
    found = await connection.execute(
        text("""
            SELECT o.key, s.supersedes_evidence AS evidence, s.supersedes_confidence AS confidence
            FROM ingestd_v1.series s
            JOIN ingestd.series o ON o.id = s.supersedes
            WHERE s.id = :series
        """),
        {"series": series},
    )
    return [("supersedes", f"{row.key} (by {row.evidence}, confidence {row.confidence})") for row in found]


async def _links(connection: AsyncConnection, message: int) -> list[tuple[str, str]]:
    """What a mail says of other mails, and what that is by now."""
    found = await connection.execute(
        text("""
            SELECT k.type, k.target_message_id AS target, s.key, k.current
            FROM ingestd_v1.link k
            JOIN ingestd.message m ON m.message_id = k.message_id
            JOIN ingestd.list l ON l.id = m.list AND l.list_id = k.list_id
            LEFT JOIN ingestd.series s ON s.id = k.resolved_series_id
            WHERE m.id = :id
            ORDER BY k.type, k.target_message_id COLLATE "C"
        """),
        {"id": message},
    )
    return [
        (
            row.type,
            f"{row.target}: {f'series {row.key}' if row.key else 'not here'}{'' if row.current else '; corrected'}",
        )
        for row in found
    ]


@dataclass(frozen=True, slots=True)
class Given:
    """A trailer that a reply gives to a patch or cover."""

    line: str  # `Name: value`
    source: str  # key of the reply
    reason: str  # reply, cover, carried
    via: str | None  # key of the cover, or of the older patch, that it was given to
    matches: bool  # the person is who sent the reply

    @property
    def how(self) -> str:
        """Why it reaches the patch, and whether it is doubtful, for a person."""
        way = {"cover": f", to the cover {self.via}", "carried": f", to the same diff {self.via}"}.get(self.reason, "")
        return way if self.matches else f"{way}; not by its sender"


async def _given(connection: AsyncConnection, message: int) -> list[Given]:
    """What replies give to a patch, directly, over its cover or to an older version; oldest reply first."""
    found = await connection.execute(
        text("""
            SELECT t.name, t.value, m.key, g.reason, via.key AS via,
                   ingestd.same_person(t.person_name, t.person_email, m.author_name, m.author_email) AS matches
            FROM ingestd.given g
            JOIN ingestd.trailer t ON t.message = g.source AND t.position = g.position
            JOIN ingestd.message m ON m.id = g.source
            LEFT JOIN ingestd.message via ON via.id = g.via
            WHERE g.subject = :id
              AND g.reason <> 'own'
              AND m.kind = 'reply'
              AND t.person_email IS NOT NULL
              AND lower(t.name) <> 'signed-off-by'
            ORDER BY m.date NULLS LAST, m.key COLLATE "C", t.position, via.key COLLATE "C"
        """),
        {"id": message},
    )
    return [Given(f"{row.name}: {row.value}", row.key, row.reason, row.via, row.matches) for row in found]


async def reviews(connection: AsyncConnection, message: int) -> tuple[list[str], list[str]]:
    """The trailers that replies give to a patch, oldest reply first; and those that their senders do not stand for.

    The latter, which are nobody's word, each with the key of its reply.
    """
    given = await _given(connection, message)
    sure = dict.fromkeys(one.line for one in given if one.matches)
    doubtful = dict.fromkeys(f"{one.line} (in {one.source})" for one in given if one.line not in sure)
    return list(sure), list(doubtful)


async def gauges(database: Database) -> dict[str, int]:
    """What monitoring counts regularly."""
    async with database.transaction() as connection:
        found = await connection.execute(
            text("""
                SELECT (SELECT count(*) FROM ingestd.series WHERE NOT complete) AS series_open,
                       (SELECT value FROM ingestd.counter WHERE name = 'event') AS events_last_id,
                       (SELECT count(*) FROM ingestd.quarantine) AS quarantined
            """)
        )
        return {name: int(value) for name, value in found.mappings().one().items()}


async def status(database: Database) -> dict[str, Any]:
    """Versions, counts and what is waiting, for `ingestd status`."""
    async with database.transaction() as connection:
        server = await connection.scalar(text("SHOW server_version"))
        schema = await migrate.current(connection)
        state: dict[str, Any] = {
            "database": {"name": database.name, "server": server, "schema": schema, "schema_wanted": migrate.head()},
            "parser_version": PARSER_VERSION,
            "grouping_version": GROUPING_VERSION,
        }
        if schema is None:
            return state
        counts = await connection.execute(
            text("""
                SELECT (SELECT count(*) FROM ingestd.list) AS lists,
                       (SELECT count(*) FROM ingestd.message) AS messages,
                       (SELECT count(*) FROM ingestd.message WHERE kind = 'patch') AS patches,
                       (SELECT count(*) FROM ingestd.message WHERE parser_version < :parser) AS messages_outdated,
                       (SELECT count(*) FROM ingestd.thread) AS threads,
                       (SELECT count(*) FROM ingestd.series) AS series,
                       (SELECT count(*) FROM ingestd.series WHERE NOT complete) AS series_incomplete,
                       (SELECT count(*) FROM ingestd.delivery) AS deliveries,
                       (SELECT count(*) FROM ingestd.quarantine) AS quarantined,
                       (SELECT value FROM ingestd.counter WHERE name = 'event') AS last_event
            """),
            {"parser": PARSER_VERSION},
        )
        state["counts"] = dict(counts.mappings().one())
        times = await connection.execute(
            text("""
                SELECT (SELECT max(received_at) FROM ingestd.delivery) AS last_delivery,
                       (SELECT min(m.date)
                        FROM ingestd.link k
                        JOIN ingestd.message m ON m.id = k.message
                        WHERE k.type <> 'prerequisite'
                          AND NOT EXISTS (SELECT FROM ingestd.message t WHERE t.key = k.target)
                          AND NOT EXISTS (
                              SELECT FROM ingestd.series s
                              WHERE k.target LIKE 'change-id:%' AND s.change_id = substr(k.target, 11)
                          )) AS oldest_unresolved_link
            """)
        )
        state |= {name: None if time is None else time.isoformat() for name, time in times.mappings().one().items()}
        return state

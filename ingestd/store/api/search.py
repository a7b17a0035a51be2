"""Mails of a list by what public-inbox's search asks of them: terms, AND and OR as one condition."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import IngestdError

MOST_MAILS = 1_000  # that terms find: the newest ones
MOST_BYTES = 64 * 1024 * 1024  # of mail in one answer, which is made in memory

# Words in lower case with one blank around each: what phrases are compared by, as public-inbox does.
_PLAIN = "(' ' || regexp_replace(lower({0}), '[^[:alnum:]]+', ' ', 'g') || ' ')"
_SAYS = (
    "EXISTS (SELECT FROM unnest(CAST(:{parameter} AS text[])) said"
    f" WHERE position({_PLAIN.format('said')} IN {_PLAIN.format('{column}')}) > 0)"
)
# Terms by name; each has a tuple of values, of which any may fit, or one point in time.
_CONDITIONS = {
    "message": "m.message_id = ANY (CAST(:{0} AS text[]))",
    "patch_id": ("m.id IN (SELECT p.message FROM ingestd.patch p WHERE p.patch_id = ANY (CAST(:{0} AS text[])))"),
    "change_id": (
        "m.id IN (SELECT s.cover FROM ingestd.series s WHERE s.change_id = ANY (CAST(:{0} AS text[]))"
        " UNION ALL SELECT sp.message FROM ingestd.series s JOIN ingestd.series_patch sp ON sp.series = s.id"
        " WHERE s.change_id = ANY (CAST(:{0} AS text[])) AND sp.role <> 'carried')"
    ),
    "address": (
        "m.submitter IN (SELECT one.id FROM unnest(CAST(:{0} AS text[])) said"
        " JOIN ingestd.person one ON md5(lower(one.email)) = md5(lower(said)))"
    ),
    "name": _SAYS.format(parameter="{0}", column="m.submitter_name"),
    "subject": _SAYS.format(parameter="{0}", column="m.subject"),
    "text": _SAYS.format(parameter="{0}", column="concat(m.subject, ' ', m.content)"),
    "since": "m.date >= CAST(:{0} AS timestamptz)",
    "before": "m.date < CAST(:{0} AS timestamptz)",
}
_INDEXED = frozenset(("message", "patch_id", "change_id", "address"))


class VagueError(IngestdError):
    """No index leads to the mails that are asked for."""


class TooMuchError(IngestdError):
    """More mail than goes into one answer."""


@dataclass(frozen=True, slots=True)
class Term:
    """What a mail must have."""

    name: str  # a key of the conditions above
    value: Any


@dataclass(frozen=True, slots=True)
class Group:
    """Terms and groups of which all, or with `either` any, must hold."""

    parts: tuple["Term | Group", ...]
    either: bool = False


def _leads(wanted: Term | Group) -> bool:
    """Does an index lead to what is wanted?"""
    if isinstance(wanted, Term):
        return wanted.name in _INDEXED
    return (all if wanted.either else any)(map(_leads, wanted.parts))


def _condition(wanted: Term | Group, parameters: dict[str, Any]) -> str:
    if isinstance(wanted, Term):
        parameter = f"t{len(parameters)}"
        parameters[parameter] = list(wanted.value) if isinstance(wanted.value, tuple) else wanted.value
        return _CONDITIONS[wanted.name].format(parameter)
    parts = _merged(wanted.parts) if wanted.either else wanted.parts
    return f"({(' OR ' if wanted.either else ' AND ').join(_condition(part, parameters) for part in parts)})"


def _merged(parts: tuple[Term | Group, ...]) -> Iterator[Term | Group]:
    """The alternatives; terms of one name are one term: b4 asks for hundreds of patch ids."""
    values: dict[str, tuple[Any, ...]] = {}
    for part in parts:
        if isinstance(part, Term) and isinstance(part.value, tuple):
            values[part.name] = values.get(part.name, ()) + part.value
        else:
            yield part
    for name, several in values.items():
        yield Term(name, several)


async def search(
    connection: AsyncConnection, list_: str, wanted: Term | Group, *, thread_of: int | None = None, whole: bool = False
) -> list[bytes]:
    """Mails as received, oldest first, of the list with this link name or list id; `whole`: with all of their threads.

    `thread_of`: only those in the thread of that mail. VagueError, TooMuchError.
    """
    if thread_of is None and not _leads(wanted):
        raise VagueError("no term leads to few mails")
    parameters: dict[str, Any] = {}
    condition = _condition(wanted, parameters)
    found = await connection.execute(
        text(f"""
            WITH hit AS (
                SELECT m.id, m.thread
                FROM ingestd.message m
                JOIN ingestd.list l ON l.id = m.list
                JOIN ingestd.project j ON j.list = m.list
                WHERE (j.link_name = :list_ OR l.list_id = :list_)
                  AND (
                      CAST(:thread_of_ AS bigint) IS NULL
                      OR m.thread = (SELECT t.thread FROM ingestd.message t WHERE t.id = :thread_of_)
                  )
                  AND {condition}
                ORDER BY m.date DESC NULLS LAST, m.id
                LIMIT :most_
            )
            SELECT m.id, octet_length(r.bytes) AS size
            FROM ingestd.message m
            JOIN ingestd.raw r ON r.sha256 = m.raw_sha256
            WHERE {"m.thread IN (SELECT hit.thread FROM hit)" if whole else "m.id IN (SELECT hit.id FROM hit)"}
        """),
        {**parameters, "list_": list_, "thread_of_": thread_of, "most_": MOST_MAILS},
    )
    rows = found.all()
    if sum(row.size for row in rows) > MOST_BYTES:
        raise TooMuchError(f"more than {MOST_BYTES} octets of mail")
    raws = await connection.execute(
        text("""
            SELECT r.bytes
            FROM ingestd.message m
            JOIN ingestd.raw r ON r.sha256 = m.raw_sha256
            WHERE m.id = ANY (CAST(:ids AS bigint[]))
            ORDER BY m.date NULLS LAST, m.key COLLATE "C"
        """),
        {"ids": [row.id for row in rows]},
    )
    return [bytes(raw) for raw in raws.scalars()]

"""Mails of a list by what public-inbox's search asks of them: terms with AND and OR.

An index leads to the mails that may be meant: first those are taken, then each is looked at for all the terms.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import IngestdError
from ingestd.store.api import mails
from ingestd.store.engine import sqlstate

MOST_MAILS = 1_000  # that are found: the newest ones
MOST_CANDIDATES = 50_000  # mails that are looked at
PATIENCE = 5_000  # milliseconds for the looking
_CANCELED = "57014"  # PostgreSQL's query_canceled

# Terms by name: what they ask of a candidate. Values are lists, of which any may fit, or one time; phrases are a place
# among all phrases.
_CONDITIONS = {
    "message": "c.message_id = ANY (CAST(:{0} AS text[]))",
    "patch_id": "c.patch_id = ANY (CAST(:{0} AS text[]))",
    "change_id": "c.change_ids && CAST(:{0} AS text[])",
    "address": "c.addresses && CAST(:{0} AS text[])",
    "name": "position(said.phrase[CAST(:{0} AS int)] IN c.name) > 0",
    "subject": "position(said.phrase[CAST(:{0} AS int)] IN c.subject) > 0",
    "text": "position(said.phrase[CAST(:{0} AS int)] IN c.words) > 0",
    "since": "c.date >= CAST(:{0} AS timestamptz)",
    "before": "c.date < CAST(:{0} AS timestamptz)",
    "received_since": "c.received_at >= CAST(:{0} AS timestamptz)",
    "received_before": "c.received_at < CAST(:{0} AS timestamptz)",
}
_PHRASES = frozenset(("name", "subject", "text"))
# Those that an index leads to the mails of.
_LEADS = {
    "message": "SELECT m.id FROM ingestd.message m WHERE m.message_id = ANY (CAST(:{0} AS text[]))",
    "patch_id": "SELECT p.message FROM ingestd.patch p WHERE p.patch_id = ANY (CAST(:{0} AS text[]))",
    "change_id": (
        "SELECT s.cover FROM ingestd.series s WHERE s.change_id = ANY (CAST(:{0} AS text[]))"
        " UNION ALL SELECT sp.message FROM ingestd.series s JOIN ingestd.series_patch sp ON sp.series = s.id"
        " WHERE s.change_id = ANY (CAST(:{0} AS text[])) AND sp.role <> 'carried'"
    ),
    "address": (
        "SELECT m.id FROM ingestd.person one JOIN ingestd.message m ON m.submitter = one.id"
        " WHERE md5(lower(one.email)) IN (SELECT md5(address) FROM unnest(CAST(:{0} AS text[])) address)"
        # Who reads a mail whose From the list has munged knows the list's address, and asks for that.
        " UNION ALL SELECT m.id FROM ingestd.message m WHERE m.munged"
        " AND md5(lower(m.sender_email)) IN (SELECT md5(address) FROM unnest(CAST(:{0} AS text[])) address)"
    ),
}
_THREAD = "SELECT m.id FROM ingestd.message t JOIN ingestd.message m ON m.thread = t.thread WHERE t.id = :thread_of_"
# Words in lower case with one blank around each: phrases are compared by them, as public-inbox does.
# What is not ASCII is a letter, whatever the database's locale knows of it.
_PLAIN = r"' ' || btrim(regexp_replace(lower({0}), '[^[:alnum:]\u0080-\U0010FFFF]+', ' ', 'g')) || ' '"
_CHANGE_IDS = """
    ARRAY(
        SELECT s.change_id
        FROM ingestd.series s
        WHERE s.change_id IS NOT NULL AND (
            s.cover = m.id
            OR s.id IN (SELECT sp.series FROM ingestd.series_patch sp WHERE sp.message = m.id AND sp.role <> 'carried')
        )
    )
"""
# What a term looks at where it is no column of the mail's row.
_COLUMNS = {
    "patch_id": "(SELECT p.patch_id FROM ingestd.patch p WHERE p.message = m.id) AS patch_id",
    "change_id": f"{_CHANGE_IDS} AS change_ids",
    "address": "ARRAY[lower(m.submitter_email), lower(m.sender_email)] AS addresses",
    "name": f"{_PLAIN.format('m.submitter_name')} AS name",
    "subject": f"{_PLAIN.format('m.subject')} AS subject",
    "text": _PLAIN.format("concat(m.subject, ' ', m.content)") + " AS words",
}


class VagueError(IngestdError):
    """A search that takes too long, or leads to too many mails."""


@dataclass(frozen=True, slots=True)
class Term:
    """What a mail must have."""

    name: str  # a key of the conditions above
    value: Any  # a tuple of texts, addresses and phrases in lower case; a phrase alone; or a time


@dataclass(frozen=True, slots=True)
class Group:
    """Terms and groups of which all, or with `either` any, must hold."""

    parts: tuple["Term | Group", ...]
    either: bool = False


class _Query:
    """The parts of a query, and its parameters."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self.phrases: list[str] = []
        self.names: set[str] = set()

    def _parameter(self, value: Any) -> str:  # noqa: ANN401 - as in Term
        name = f"t{len(self.parameters)}"
        self.parameters[name] = list(value) if isinstance(value, tuple) else value
        return name

    def lead(self, wanted: Term | Group) -> str | None:
        """What selects the ids of all mails that may be meant, and of few others; None where no index leads to them."""
        if isinstance(wanted, Term):
            found = _LEADS.get(wanted.name)
            return found and found.format(self._parameter(wanted.value))
        leads = map(self.lead, wanted.parts)
        if not wanted.either:
            return next(filter(None, leads), None)
        every = list(leads)
        return None if None in every else " UNION ALL ".join(filter(None, every))

    def condition(self, wanted: Term | Group) -> str:
        """What a candidate must have."""
        if isinstance(wanted, Group):
            return f"({(' OR ' if wanted.either else ' AND ').join(map(self.condition, wanted.parts))})"
        self.names.add(wanted.name)
        value = wanted.value
        if wanted.name in _PHRASES:
            self.phrases.append(value)
            value = len(self.phrases)
        return _CONDITIONS[wanted.name].format(self._parameter(value))


async def list_of(connection: AsyncConnection, name: str) -> int | None:
    """The id of the list with this link name, or else with this List-Id."""
    found = await connection.scalar(
        text("""
            SELECT l.id
            FROM ingestd.list l
            JOIN ingestd.project j ON j.list = l.id
            WHERE j.link_name = :name OR l.list_id = :name
            ORDER BY j.link_name <> :name
            LIMIT 1
        """),
        {"name": name},
    )
    return None if found is None else int(found)


async def search(
    connection: AsyncConnection, list_: int, wanted: Term | Group, *, thread_of: int | None = None, whole: bool = False
) -> list[bytes]:
    """Mails of a list as they were received, oldest first; `whole`: with all of their threads.

    `thread_of`: only those in the thread of that mail. VagueError, and TooMuchError of `mails`.
    """
    query = _Query()
    lead = query.lead(wanted) if thread_of is None else _THREAD
    if lead is None:
        raise VagueError("no term leads to few mails")
    condition = query.condition(wanted)
    needed = "".join(f", {column}" for name, column in _COLUMNS.items() if name in query.names)
    parameters = {
        **query.parameters,
        **({} if thread_of is None else {"thread_of_": thread_of}),
        "list_": list_,
        "phrases_": query.phrases,
        "most_": MOST_MAILS,
        "candidates_": MOST_CANDIDATES + 1,
    }
    await connection.execute(text(f"SET LOCAL statement_timeout = {PATIENCE}"))
    try:
        found = await connection.execute(
            text(f"""
                WITH lead AS MATERIALIZED (SELECT DISTINCT id FROM ({lead}) one (id) LIMIT :candidates_),
                said AS MATERIALIZED (
                    SELECT array_agg({_PLAIN.format("one.phrase")} ORDER BY one.place) AS phrase
                    FROM unnest(CAST(:phrases_ AS text[])) WITH ORDINALITY one (phrase, place)
                ),
                candidate AS MATERIALIZED (
                    SELECT m.id, m.thread, m.message_id, m.date, m.received_at {needed}
                    FROM lead
                    JOIN ingestd.message m ON m.id = lead.id
                    WHERE m.list = :list_
                ),
                hit AS MATERIALIZED (
                    SELECT c.id, c.thread
                    FROM candidate c, said
                    WHERE {condition}
                    ORDER BY c.date DESC NULLS LAST, c.id
                    LIMIT :most_
                )
                SELECT looked.candidates, one.id
                FROM (SELECT count(*) AS candidates FROM lead) looked
                LEFT JOIN (
                    SELECT m.id
                    FROM ingestd.message m
                    WHERE {"m.thread IN (SELECT hit.thread FROM hit)" if whole else "m.id IN (SELECT hit.id FROM hit)"}
                ) one ON true
            """),
            parameters,
        )
    except DBAPIError as error:
        if sqlstate(error) == _CANCELED:
            raise VagueError("it takes too long") from error
        raise
    rows = found.all()
    if rows[0].candidates > MOST_CANDIDATES:
        raise VagueError(f"more than {MOST_CANDIDATES} mails to look at")
    return await mails.raws(connection, [row.id for row in rows if row.id is not None])

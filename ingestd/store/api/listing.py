"""Lists: which rows fit, in which order, how many there are, and the ids on one page of them."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import IngestdError

REMEMBERED = 1000  # counts

# How a filter narrows: {0} is its parameter, an array where the SQL says ANY.
ANY = "{column} = ANY (CAST(:{0} AS {type}[]))"


class NoPageError(IngestdError):
    """The list has no such page."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What can be listed: a source of rows with their key, and how it may be narrowed, searched and ordered."""

    name: str
    source: str  # FROM
    key: str
    filters: Mapping[str, str]  # name -> condition with {0} for its parameter
    orders: Mapping[str, str]  # name -> expression
    base: tuple[str, ...] = ()  # conditions that always hold
    search: tuple[str, ...] = ()  # columns that `q` looks in
    changes: str = "any"  # what an event says of its count: "any" may change it, it "grows", "none" says nothing


@dataclass(frozen=True, slots=True)
class Wanted:
    """One page of a list. A filter's value is a list where its condition says ANY, else one value."""

    filters: tuple[tuple[str, Any], ...] = ()
    words: tuple[str, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()  # (name, descending)
    number: int | None = 1  # None: the last
    size: int = 30


@dataclass(frozen=True, slots=True)
class Page:
    """The ids on a page, its number, how many pages there are."""

    ids: list[int]
    number: int
    last: int


@dataclass(slots=True)
class Counts:
    """How many rows lists have, as of an event: a count is good until something happens."""

    _known: OrderedDict[object, tuple[int, int]] = field(default_factory=OrderedDict)  # -> (event, count)

    async def count(
        self, connection: AsyncConnection, listing: Listing, condition: str, parameters: Mapping[str, Any]
    ) -> int:
        """Exactly how many rows fit."""
        rows = f"SELECT count(*) FROM {listing.source} WHERE {condition}"
        if listing.changes == "none":
            return int(await connection.scalar(text(rows), parameters))
        key = (listing.name, condition, repr(sorted(parameters.items())))
        event, count = self._known.get(key, (-1, 0))
        if listing.changes == "grows":
            asked, rows = "true", f"{rows} AND {listing.key} > :known_event"
        else:
            asked = "value <> :known_event"
        found = await connection.execute(
            text(
                f"SELECT value, CASE WHEN {asked} THEN ({rows}) END AS rows FROM ingestd.counter WHERE name = 'event'"
            ),
            {**parameters, "known_event": event},
        )
        row = found.one()
        if row.rows is not None:
            count = row.rows + (count if listing.changes == "grows" and event >= 0 else 0)
        self._known[key] = (row.value, count)
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return count


def _conditions(listing: Listing, wanted: Wanted) -> tuple[str, dict[str, Any]]:
    parts = list(listing.base)
    parameters: dict[str, Any] = {}
    for name, value in wanted.filters:
        parameter = f"f{len(parameters)}"
        parts.append(listing.filters[name].format(parameter))
        parameters[parameter] = value
    for word in wanted.words:
        parameter = f"f{len(parameters)}"
        parts.append("(" + " OR ".join(f"{column} ILIKE :{parameter}" for column in listing.search) + ")")
        parameters[parameter] = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return " AND ".join(parts) or "true", parameters


async def page(connection: AsyncConnection, listing: Listing, wanted: Wanted, counts: Counts) -> Page:
    """The ids on a page. NoPageError where the list has no such page; the first page is always there."""
    condition, parameters = _conditions(listing, wanted)
    total = await counts.count(connection, listing, condition, parameters)
    last = max(1, -(-total // wanted.size))
    number = last if wanted.number is None else wanted.number
    if not 1 <= number <= last:
        raise NoPageError(f"no page {number} of {last}")
    start, size = (number - 1) * wanted.size, min(wanted.size, total - (number - 1) * wanted.size)
    if size == 0:
        return Page([], number, last)
    # A page is reached from the nearer end of the index.
    backward = start > total - start - size
    order = [(listing.orders[name], descending) for name, descending in wanted.order]
    if all(expression != listing.key for expression, _ in order):
        order.append((listing.key, order[-1][1] if order else False))
    found = await connection.execute(
        text(f"""
            SELECT {listing.key}
            FROM {listing.source}
            WHERE {condition}
            ORDER BY {", ".join(f"{column} {'DESC' if down != backward else 'ASC'}" for column, down in order)}
            LIMIT :size OFFSET :start
        """),
        {**parameters, "size": size, "start": total - start - size if backward else start},
    )
    ids = list(found.scalars())
    return Page(ids[::-1] if backward else ids, number, last)


def ordered(ids: Sequence[int], rows: Mapping[int, Any]) -> list[Any]:
    """The rows of a page in its order; one that has gone meanwhile is left out."""
    return [rows[id_] for id_ in ids if id_ in rows]

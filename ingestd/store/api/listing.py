"""Lists: which rows fit, in which order, how many there are, and the ids on one page of them."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ingestd.errors import IngestdError

REMEMBERED = 1000  # lists
POSITIONS = 50  # of each
INDEXED = 100  # letters of a word that are looked up; ILIKE sees to the rest
FAR = 10_000  # events; what was known so long ago is found out anew

# How a filter narrows: {0} is its parameter, an array where the SQL says ANY.
ANY = "{column} = ANY (CAST(:{0} AS {type}[]))"

# What may happen without any mail that is there reading otherwise, or going. A category that is not here counts as
# one that moves everything.
GROWTH = frozenset(
    {
        *("message-created", "patch-created", "cover-created", "patch-comment-created", "cover-comment-created"),
        *(
            "patch-completed",
            "series-created",
            "series-changed",
            "series-completed",
            "series-superseded",
            "series-stalled",
        ),
        *("mail-quarantined", "mail-replayed", "mail-dropped"),
        *("patch-state-changed", "patch-delegated", "patch-changed", "patch-relation-changed", "check-created"),
    }
)

Order = tuple[tuple[str, bool], ...]  # (expression, descending)


class NoPageError(IngestdError):
    """The list has no such page."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What can be listed: a source of rows with their key, and how it may be narrowed, searched and ordered.

    `growth`: events that only ever add rows, with keys above all there are; None: who knows. `moves`: what a filter
    makes of it: categories that change which of the old rows fit.
    """

    name: str
    source: str  # FROM
    key: str
    filters: Mapping[str, str]  # name -> condition with {0} for its parameter
    orders: Mapping[str, str]  # name -> expression
    base: tuple[str, ...] = ()  # conditions that always hold
    search: tuple[str, ...] = ()  # columns that `q` looks in
    grams: str | None = None  # the one of them whose runs of three letters have an index
    growth: frozenset[str] | None = None
    moves: Mapping[str, frozenset[str]] = field(default_factory=dict)
    top: str = "SELECT max(id) FROM ingestd.message"  # the highest key there is, or one above it


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
class _Known:
    """What is known of a list as of an event."""

    event: int = -1
    top: int = 0
    count: int = 0
    positions: dict[Order, OrderedDict[int, tuple[Any, ...]]] = field(default_factory=dict)  # rows -> the last of them

    def note(self, order: Order, rows: int, last: tuple[Any, ...]) -> None:
        """Remember where the first `rows` rows end."""
        if any(value is None for value in last) or len({down for _, down in order}) > 1:
            return
        places = self.positions.setdefault(order, OrderedDict())
        places[rows] = last
        places.move_to_end(rows)
        if len(places) > POSITIONS:
            places.popitem(last=False)


@dataclass(slots=True)
class Counts:
    """How many rows lists have, and where their pages begin: good until something happens that moves them.

    So nothing is counted twice, and who goes from page to page never makes the server walk over what is behind.
    """

    _lists: OrderedDict[bytes, _Known] = field(default_factory=OrderedDict)

    async def known(
        self,
        connection: AsyncConnection,
        listing: Listing,
        wanted: Wanted,
        condition: str,
        parameters: Mapping[str, Any],
    ) -> _Known:
        """The list as it is now, with its exact count."""
        rows = f"SELECT count(*) FROM {listing.source} WHERE {condition}"
        if listing.growth is None:
            return _Known(count=int(await connection.scalar(text(rows), parameters)))
        said = repr((listing.name, condition, sorted(parameters.items())))
        key = hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()  # what people ask may be long
        before = self._lists.get(key, _Known())
        moved: set[str] = set()
        for name, _ in wanted.filters:
            moved |= listing.moves.get(name, frozenset())
        found = await connection.execute(
            text(f"""
                SELECT c.value, ({listing.top}) AS top,
                       CASE
                           WHEN c.value = :event_ THEN 0
                           WHEN c.value > :event_ AND :event_ > c.value - {FAR} AND NOT EXISTS (
                               SELECT FROM ingestd.event happened
                               WHERE happened.cursor > :event_ AND happened.category <> ALL (CAST(:growth_ AS text[]))
                           ) THEN ({rows} AND {listing.key} > :top_)
                       END AS more
                FROM ingestd.counter c
                WHERE c.name = 'event'
            """),
            {**parameters, "event_": before.event, "top_": before.top, "growth_": sorted(listing.growth - moved)},
        )
        row = found.one()
        now = _Known(row.value, row.top or 0)
        if row.more is None or before.event < 0:
            now.count = int(await connection.scalar(text(rows), parameters))
        else:
            now.count = before.count + row.more
            # Rows that are added with higher keys move no page of those in the order of keys.
            upward = ((listing.key, False),)
            same = row.value == before.event
            now.positions = {order: places for order, places in before.positions.items() if same or order == upward}
        self._keep(key, now)
        return now

    def _keep(self, key: bytes, now: _Known) -> None:
        """Remember what is newer than what is remembered: another request may have been faster."""
        if now.event >= self._lists.get(key, now).event:
            self._lists[key] = now
            self._lists.move_to_end(key)
        while len(self._lists) > REMEMBERED:
            self._lists.popitem(last=False)


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
        if listing.grams is not None and len(word) >= 3:
            parts.append(f"ingestd.trigrams({listing.grams}) @> ingestd.trigrams(:{parameter}w)")
            parameters[f"{parameter}w"] = word[:INDEXED]
    return " AND ".join(parts) or "true", parameters


async def page(connection: AsyncConnection, listing: Listing, wanted: Wanted, counts: Counts) -> Page:
    """The ids on a page. NoPageError where the list has no such page; the first page is always there."""
    condition, parameters = _conditions(listing, wanted)
    known = await counts.known(connection, listing, wanted, condition, parameters)
    total = known.count
    last = max(1, -(-total // wanted.size))
    number = last if wanted.number is None else wanted.number
    if not 1 <= number <= last:
        raise NoPageError(f"no page {number} of {last}")
    start, size = (number - 1) * wanted.size, min(wanted.size, total - (number - 1) * wanted.size)
    if size == 0:
        return Page([], number, last)
    order: Order = tuple((listing.orders[name], descending) for name, descending in wanted.order)
    if all(expression != listing.key for expression, _ in order):
        order = (*order, (listing.key, order[-1][1] if order else False))
    rows = await _rows(connection, listing, (condition, parameters), order, known, start, size)
    if rows:
        known.note(order, start + len(rows), rows[-1][1:])
    return Page([row[0] for row in rows], number, last)


async def _rows(
    connection: AsyncConnection,
    listing: Listing,
    where: tuple[str, Mapping[str, Any]],
    order: Order,
    known: _Known,
    start: int,
    size: int,
) -> list[tuple[Any, ...]]:
    """`size` rows from `start` on: key, and the values that they are ordered by."""
    condition, parameters = where
    columns = ", ".join(column for column, _ in order)
    begin = known.positions[order].get(start) if order in known.positions else None
    # Else a page is reached from the nearer end of the list.
    skip, backward = start, False
    if begin is not None:
        skip = 0
        names = ", ".join(f":begin{index}" for index in range(len(begin)))
        condition = f"{condition} AND ({columns}) {'<' if order[0][1] else '>'} ({names})"
        parameters = {**parameters, **{f"begin{index}": value for index, value in enumerate(begin)}}
    elif start > known.count - start - size:
        skip, backward = known.count - start - size, True
    found = await connection.execute(
        text(f"""
            SELECT {listing.key}, {columns}
            FROM {listing.source}
            WHERE {condition}
            ORDER BY {", ".join(f"{column} {'DESC' if down != backward else 'ASC'}" for column, down in order)}
            LIMIT :size_ OFFSET :skip_
        """),
        {**parameters, "size_": size, "skip_": skip},
    )
    rows = [tuple(row) for row in found]
    return rows[::-1] if backward else rows


def ordered(ids: Sequence[int], rows: Mapping[int, Any]) -> list[Any]:
    """The rows of a page in its order; one that has gone meanwhile is left out."""
    return [rows[id_] for id_ in ids if id_ in rows]

"""What a query string asks of a list: filters, words, order, page. A filter that means nothing finds nothing."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingestd.store.api.listing import Listing, Wanted
from ingestd.web.answer import RefusalError
from ingestd.web.fields import VERSIONS, Version
from ingestd.web.states import state_of, verdict_of

PER_PAGE = 30
MOST_PER_PAGE = 250
BIGGEST = 2**63 - 1
MOST_VALUES = 200  # of one filter; more are asked for by nobody but who wants to make trouble
MOST_WORDS = 20

Query = Mapping[str, Sequence[str]]


class NothingError(LookupError):
    """No row can fit."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parameter of a list."""

    read: Callable[[Sequence[str]], Any]  # its values as the store wants them; NothingError, or None for no filter
    relation: str | None = None  # what names stand for: project, person, user
    since: Version = VERSIONS[0]
    target: str | None = None  # the store's name for it, where it is another


def whole_number(text: str) -> int | None:
    """A number that can be an id."""
    digits = text.strip()  # which takes more than int() does
    if re.fullmatch(r"[0-9]{1,19}", digits, re.ASCII) is None:
        return None
    number = int(digits)
    return number if number <= BIGGEST else None


def read_time(text: str) -> datetime:
    """A time in ISO 8601; without a zone it is UTC. ValueError for anything else."""
    text = re.sub(r" (\d\d:?\d\d)$", r"+\1", text.strip())  # a plus that nobody encoded
    time = datetime.fromisoformat(text)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if not 1 < time.year < 9999:
        raise ValueError(text)
    return time


def _time(values: Sequence[str]) -> datetime:
    try:
        return read_time(values[-1])
    except (ValueError, OverflowError):
        raise NothingError from None


def _place(values: Sequence[str]) -> int:
    """Where a reader of events is. What is none finds nothing: all events once more would be the wrong answer."""
    found = whole_number(values[-1])
    if found is None:
        raise NothingError
    return found


def _boolean(values: Sequence[str]) -> bool | None:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(values[-1].lower())


def _ids(values: Sequence[str]) -> list[int]:
    return [number for value in values if (number := whole_number(value)) is not None]


def _states(values: Sequence[str]) -> list[str]:
    return [state for value in values if (state := state_of(value)) is not None]


def _verdicts(values: Sequence[str]) -> list[str]:
    return [state for value in values if (state := verdict_of(value)) is not None]


def _texts(values: Sequence[str]) -> list[str]:
    return list(values)


def _message_ids(values: Sequence[str]) -> list[str]:
    return [value.strip().removeprefix("<").removesuffix(">") for value in values]


PROJECT = Filter(_texts, "project")
SUBMITTER = Filter(_texts, "person")
SINCE = {"since": Filter(_time), "before": Filter(_time)}
IDS = Filter(_ids)
TEXTS = Filter(_texts)

PATCHES = {
    "project": PROJECT,
    "series": IDS,
    "submitter": SUBMITTER,
    "delegate": Filter(_texts, "user"),
    "state": Filter(_states),
    "archived": Filter(_boolean),
    **SINCE,
    "hash": Filter(lambda values: [value.lower() for value in values], since=(1, 2)),
    "msgid": Filter(_message_ids, since=(1, 2)),
}
COVERS = {
    "project": PROJECT,
    "series": IDS,
    "submitter": SUBMITTER,
    **SINCE,
    "msgid": Filter(_message_ids, since=(1, 2)),
}
SERIES = {"project": PROJECT, "submitter": SUBMITTER, **SINCE}
EVENTS = {
    "project": PROJECT,
    "category": TEXTS,
    "series": IDS,
    "patch": Filter(_ids, target="mail"),
    "cover": Filter(_ids, target="mail"),
    "actor": Filter(_texts, "user", since=(1, 2)),
    "after": Filter(_place),
    **SINCE,
}
CHECKS = {"user": Filter(_texts, "user"), "state": Filter(_verdicts), "context": TEXTS, **SINCE}
BUNDLES = {"project": PROJECT, "owner": Filter(_texts, "user"), "public": Filter(_boolean)}


def names(query: Query, known: Mapping[str, Filter], version: Version) -> dict[str, list[str]]:
    """What must be looked up before the filters can be read: relation -> names."""
    asked: dict[str, list[str]] = {}
    for name, one in known.items():
        if one.relation is not None and one.since <= version:
            found = [value for value in _values(query, name) if whole_number(value) is None]
            asked.setdefault(one.relation, []).extend(found)
    return {relation: found for relation, found in asked.items() if found}


def _values(query: Query, name: str) -> list[str]:
    """The values given, without empty ones. No text of the database has a NUL."""
    return [value for value in query.get(name, ())[:MOST_VALUES] if value and "\0" not in value]


def read(
    query: Query, known: Mapping[str, Filter], version: Version, resolved: Mapping[str, Mapping[str, list[int]]]
) -> list[tuple[str, Any]]:
    """The filters as the store takes them. NothingError when no row can fit."""
    found: list[tuple[str, Any]] = []
    for name, one in known.items():
        if one.since > version or not any(query.get(name, ())):
            continue
        values = _values(query, name)
        if not values:
            raise NothingError
        if one.relation is None:
            value = one.read(values)
            if value is None:
                continue
        else:
            value = sorted({id_ for text in values for id_ in _related(text, resolved.get(one.relation, {}))})
        if value == []:
            raise NothingError
        if name == "project" and len(value) == 1:
            found.append(("one_project", value[0]))
        else:
            found.append((one.target or name, value))
    return found


def _related(text: str, resolved: Mapping[str, list[int]]) -> list[int]:
    number = whole_number(text)
    return [number] if number is not None else resolved.get(text, [])


def words(query: Query) -> tuple[str, ...]:
    """The words of `q`: split at blanks and commas, phrases in quotes kept."""
    text = " ".join(query.get("q", ())[-1:]).replace("\0", "")
    found = re.findall(r'"([^"]*)"|\'([^\']*)\'|([^\s,]+)', text)
    return tuple(word for group in found for word in group if word)[:MOST_WORDS]


def order(query: Query, listing: Listing, default: tuple[tuple[str, bool], ...]) -> tuple[tuple[str, bool], ...]:
    """The fields of `order` that are known; what is not is ignored."""
    asked = [part.strip() for value in query.get("order", ())[-1:] for part in value.split(",")]
    found = {part.lstrip("-"): part.startswith("-") for part in asked if part.removeprefix("-") in listing.orders}
    return tuple(found.items()) or default


def number(query: Query) -> int | None:
    """The page asked for; None for the last. RefusalError, as Patchwork says it, for what is none."""
    text = query.get("page", ["1"])[-1].strip()
    if text == "last":
        return None
    found = whole_number(text or "1")
    if not found:
        raise RefusalError(404, "Invalid page.")
    return found


def size(query: Query) -> int:
    """Rows a page: capped silently; 30 for anything that is no number above 0."""
    found = whole_number(query.get("per_page", [""])[-1])
    return min(found, MOST_PER_PAGE) if found else PER_PAGE


def wanted(
    query: Query,
    listing: Listing,
    filters: Sequence[tuple[str, Any]],
    default: tuple[tuple[str, bool], ...] = (("id", False),),
) -> Wanted:
    """The page that is asked for."""
    return Wanted(
        tuple(filters),
        words(query) if listing.search else (),
        order(query, listing, default),
        number(query),
        size(query),
    )

"""The Date header in every form that senders write, as UTC; None where it is hopeless."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
# RFC 5322 section 4.3 (obs-zone), and the European names that real mail has. Hours east of UTC.
_ZONES = {
    "ut": 0, "utc": 0, "gmt": 0, "z": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6,
    "pst": -8, "pdt": -7, "wet": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2, "met": 1, "mest": 2, "eet": 2,
    "eest": 3, "msk": 3, "ast": -4, "adt": -3,
}  # fmt: skip
_FIRST_YEAR, _LAST_YEAR = 1970, 2199

_COMMENT = re.compile(r"\([^()]*\)")
_RFC = re.compile(
    r"(?:[a-z]{2,10}\.?\s*,?\s+)?(\d{1,2})[\s.-]+([a-z]{3})[a-z]{0,6}[\s.,-]+(\d{2,5})[\s,]+"
    r"(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2})(?:\.\d{1,9})?)?\s*([ap]m)?\s*(.{0,40})"
)
_ASCTIME = re.compile(
    r"(?:[a-z]{2,10}\.?\s*,?\s+)?([a-z]{3})[a-z]{0,6}\.?\s+(\d{1,2}),?\s+(?:(\d{4}),?\s+)?"
    r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?\s*([ap]m)?\s*(?:([a-z]{1,5}|[+-]\d{1,5})?\s*(\d{4}))?\s*(.{0,40})"
)
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})[t\s]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,]\d{1,9})?)?\s*(.{0,40})")
_OFFSET = re.compile(r"(?:utc|gmt)?\s*([+-])\s*-?(\d{1,2}:\d{2}|\d{1,4})")


def parse(text: str) -> datetime | None:
    """RFC 5322 section 3.3 and its obsolete forms, ISO 8601 and asctime, to UTC with whole seconds.

    No zone, or one that cannot be, counts as UTC. Years outside 1970 to 2199 are hopeless: None.
    """
    low = text[:200].lower().strip()
    if "(" in low or "\n" in low:
        low = " ".join(_COMMENT.sub(" ", low).split())
    if found := _RFC.match(low):
        day, month, year, hour, minute, second, half, zone = found.groups()
        return _build(_year(year), _MONTHS.get(month), day, _hour(hour, half), minute, second, zone)
    if found := _ISO.match(low):
        year, number, day, hour, minute, second, zone = found.groups()
        return _build(int(year), int(number), day, int(hour), minute, second, zone)
    if found := _ASCTIME.match(low):
        month, day, early, hour, minute, second, half, zone, late, rest = found.groups()
        if early or late:
            return _build(int(early or late), _MONTHS.get(month), day, _hour(hour, half), minute, second, zone or rest)
    return None


def _year(text: str) -> int:
    """RFC 5322 section 4.3: two digits below 50 are 20xx; three digits count from 1900."""
    year = int(text)
    if len(text) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(text) == 3 else year


def _hour(text: str, half: str | None) -> int:
    hour = int(text)
    if half and 1 <= hour <= 12:
        return hour % 12 + (12 if half == "pm" else 0)
    return hour


def _build(
    year: int, month: int | None, day: str, hour: int, minute: str, second: str | None, zone: str | None
) -> datetime | None:
    if month is None or not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    seconds = int(second or 0)
    try:  # a leap second is the last one of its minute for us
        local = datetime(
            year, month, int(day), hour, int(minute), min(seconds, 59) if seconds <= 60 else 99, tzinfo=UTC
        )
        return local - _offset(zone or "")
    except (ValueError, OverflowError):
        return None


@lru_cache(1024)
def _offset(zone: str) -> timedelta:
    """How far east of UTC. +1 is an hour; -0060 is -0100; more than 14 hours cannot be and counts as none."""
    if found := _OFFSET.match(zone):
        digits = found.group(2)
        if ":" in digits:
            hours, minutes = map(int, digits.split(":"))
        elif len(digits) <= 2:
            hours, minutes = int(digits), 0
        else:
            hours, minutes = int(digits[:-2]), int(digits[-2:])
        east = timedelta(hours=hours, minutes=minutes)
        if east > timedelta(hours=14):
            return timedelta()
        return -east if found.group(1) == "-" else east
    name = re.match(r"[a-z]{1,5}", zone)
    return timedelta(hours=_ZONES.get(name.group(), 0) if name else 0)

"""Dates as real mail has them."""

from datetime import UTC, datetime

import pytest

from ingestd.mail.date import parse


def _at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


READABLE = [
    ("Wed, 8 Apr 2026 12:55:53 -0400", _at(2026, 4, 8, 16, 55, 53)),
    ("8 Apr 2026 12:55:53 -0400", _at(2026, 4, 8, 16, 55, 53)),
    ("Wed, 8 Apr 2026 12:55 -0400", _at(2026, 4, 8, 16, 55)),
    ("Wed,  8 Apr 2026 12:55:53 -0400 (EDT)", _at(2026, 4, 8, 16, 55, 53)),
    ("Wed, 8 Apr 2026\n\t12:55:53 -0400", _at(2026, 4, 8, 16, 55, 53)),
    ("Wed, 8 Apr 2026 12:55:53", _at(2026, 4, 8, 12, 55, 53)),
    ("Wed, 8 Apr 2026 12:55:53 EST", _at(2026, 4, 8, 17, 55, 53)),
    ("Wed, 8 Apr 2026 12:55:53 GMT", _at(2026, 4, 8, 12, 55, 53)),
    ("Wed, 8 Apr 2026 12:55:53 +0200 GMT", _at(2026, 4, 8, 10, 55, 53)),
    ("Wed, 08-Apr-2026 12:55:53 +0000", _at(2026, 4, 8, 12, 55, 53)),
    ("Wed, 13 Dec 2006 10:26:38 +1", _at(2006, 12, 13, 9, 26, 38)),
    ("Wed, 13 Dec 2006 10:26:38 -0060", _at(2006, 12, 13, 11, 26, 38)),
    ("Wed, 13 Dec 2006 10:26:38 --500", _at(2006, 12, 13, 15, 26, 38)),
    ("Wed, 13 Dec 2006 10:26:38 +0480", _at(2006, 12, 13, 5, 6, 38)),
    ("Wed, 13 Dec 2006 10:26:38 +9900", _at(2006, 12, 13, 10, 26, 38)),
    ("Wed, 13 Dec 100 10:26:38 +0000", _at(2000, 12, 13, 10, 26, 38)),
    ("Wed, 13 Dec 06 10:26:38 +0000", _at(2006, 12, 13, 10, 26, 38)),
    ("Wed, 13 Dec 98 10:26:38 +0000", _at(1998, 12, 13, 10, 26, 38)),
    ("Sat, 31 Dec 2016 23:59:60 +0000", _at(2016, 12, 31, 23, 59, 59)),
    ("2026-04-08 12:55:53 +0200", _at(2026, 4, 8, 10, 55, 53)),
    ("2026-04-08T12:55:53Z", _at(2026, 4, 8, 12, 55, 53)),
    ("2026-04-08T12:55:53.123+02:00", _at(2026, 4, 8, 10, 55, 53)),
    ("Wed Apr  8 12:55:53 2026", _at(2026, 4, 8, 12, 55, 53)),
    ("Wed Apr  8 12:55:53 2026 -0400", _at(2026, 4, 8, 16, 55, 53)),
    ("Wed Apr  8 12:55:53 EST 2026", _at(2026, 4, 8, 17, 55, 53)),
    ("Wednesday, 8 April 2026 12:55:53 +0000", _at(2026, 4, 8, 12, 55, 53)),
    ("Wed, 8 Apr 2026 1:05:09 PM +0000", _at(2026, 4, 8, 13, 5, 9)),
    ("Wed, 1 Jan 2099 00:00:00 +0000", _at(2099, 1, 1)),
]


@pytest.mark.parametrize(("text", "expected"), READABLE, ids=[case[0] for case in READABLE])
def test_a_date_is_repaired_to_utc(text: str, expected: datetime) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "Wed, 31 Feb 2026 12:00:00 +0000",
        "Wed, 8 Foo 2026 12:00:00 +0000",
        "Fri, 1 Jan 1904 00:00:00 +0000",
        "Wed, 8 Apr 71685 12:00:00 +0000",
        "Wed, 8 Apr 2026 25:00:00 +0000",
        "Wed, 8 Apr 2026 10:61:00 +0000",
        "12:00",
    ],
)
def test_a_hopeless_date_is_none(text: str) -> None:
    assert parse(text) is None

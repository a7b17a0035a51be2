"""Read an mbox: mails that follow lines starting with `From `, in its four dialects."""

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from ingestd.errors import InputError
from ingestd.sources import stream
from ingestd.sources.source import LARGEST, Changed, Item, LeftOut, Place, printable

# auto: a mail whose Content-Length leads exactly to its end is kept as it is (mboxcl2), others are mboxrd, of which
# mboxo is a part but for lines that began with `>From ` before.
DIALECTS = ("auto", "mboxo", "mboxrd", "mboxcl", "mboxcl2")
BY_LENGTH = ("auto", "mboxcl", "mboxcl2")

# A mail starts where a blank line is followed by a From_ line that ends with a date as asctime(3) writes it (RFC 4155
# appendix A), perhaps with a time zone, or as ISO 8601 has it. Without the date it is prose, "From here on ...".
_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2}"
_ZONE = rb"(?: +(?:[A-Z]{1,5}|[-+]\d{4}))?"
_DATE = (
    rb"(?:" + _DAY + rb" +\d{1,2}:\d\d(?::\d\d)?" + _ZONE + rb" +\d{4}" + _ZONE + rb"|\d{4}-\d\d-\d\d[T ][-\d:+.Z ]+)"
)
_LINE = 512  # octets that a From_ line has at most
_BREAK = re.compile(rb"\n(\r?\n)(?=From [^\n]{0,300}?" + _DATE + rb"(?: remote from [^\n]{0,60})?[ \r]*\n)")

_FIRST = re.compile(rb"(?:\r?\n)*From [^\n]{0,500}\n")

_HEADER_END = re.compile(rb"\n\r?\n")
_LENGTH = re.compile(rb"^Content-Length:[ \t]*(\d{1,12})[ \t\r]*$", re.IGNORECASE | re.MULTILINE)
_AT_END = re.compile(rb"(?:\r?\n){0,2}(?:From |\Z)")

# `>From ` within a mail is how mbox writers protect such a line. mboxrd adds a `>` to any number of them, mboxo to
# `From ` alone.
_QUOTED = {
    "auto": re.compile(rb"^>(>*From )", re.MULTILINE),
    "mboxrd": re.compile(rb"^>(>*From )", re.MULTILINE),
    "mboxo": re.compile(rb"^>(From )", re.MULTILINE),
    "mboxcl": re.compile(rb"^>(From )", re.MULTILINE),
}

CHUNK = 1 << 20
TAIL = 4096  # octets by which a place is known again


class Mbox:
    """An mbox in a file, compressed or not, or on standard input."""

    grows = False

    def __init__(self, where: Path | BinaryIO, *, dialect: str = "auto", largest: int = LARGEST) -> None:
        """A path is opened at each reading; anything else can be read once."""
        self.name = str(where.resolve()) if isinstance(where, Path) else None
        self._where = where
        self._shown = printable(str(where)) if isinstance(where, Path) else "-"
        self._dialect = dialect
        self._largest = largest

    def read(self, place: Place | None = None) -> Iterator[Item]:
        """See `Source`."""
        with self._opened() as (file, size):
            offset = number = 0
            ahead = b""
            if place is not None:
                offset, number = int(place["offset"]), int(place["number"])
                ahead = _find(file, place)
            window = _Window(file, offset, ahead)
            for item in split(window, self._shown, number=number, dialect=self._dialect, largest=self._largest):
                done = int(item.place["offset"]) / size if item.place is not None and size else None
                yield replace(item, done=done)

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, int | None]]:
        """The file, and how long it is where that can be known."""
        if not isinstance(self._where, Path):
            yield self._where, None
            if self._where is not sys.stdin.buffer:
                self._where.close()
            return
        with stream.opened(self._where) as file:
            yield file, None if stream.is_compressed(self._where) else self._where.stat().st_size


def begins(start: bytes) -> bool:
    """Whether a file that starts so is an mbox, or wants to be."""
    return _FIRST.match(start) is not None


def _find(file: BinaryIO, place: Place) -> bytes:
    """Go to where `place` is; some octets that follow. Changed where the file is another one before it."""
    length = int(place["length"])
    skip = int(place["offset"]) - length
    if file.seekable():  # of a compressed file, all before it is read
        file.seek(skip)
    while skip and not file.seekable():
        gone = len(file.read(min(skip, CHUNK)))
        if not gone:
            raise Changed
        skip -= gone
    tail = file.read(length)
    if len(tail) < length or hashlib.sha256(tail).hexdigest() != place["digest"]:
        raise Changed
    ahead = file.read(16)
    if not _AT_END.match(ahead):
        raise Changed  # the last mail was not all there
    return ahead


def split(
    window: "_Window", name: str, *, number: int = 0, dialect: str = "auto", largest: int = LARGEST
) -> Iterator[Item]:
    """Each mail of an mbox, called `name:N`. InputError when it does not start with a From_ line.

    `number`: mails before. Never holds more than `largest` octets and a little; a longer mail is left out. The From_
    line and the blank line before it are not the mail's.
    """
    window.skip_blank()
    if window.ended():
        return
    if window.peek(5) != b"From " or b"\n" not in window.peek(_LINE):
        raise InputError(f"{name}: not an mbox: it does not start with a `From ` line")
    while not window.ended():
        number += 1
        start = window.data.index(b"\n", window.at) + 1 - window.at
        length = window.fitting(start, largest) if dialect in BY_LENGTH else None
        exact = length is not None
        if length is None:
            length = window.to_break(start, largest)
        origin = f"{name}:{number}"
        if length is None:
            window.drop_to_break()
            yield Item(origin, b"", None, None, LeftOut.TOO_BIG)
            continue
        tail = window.peek(length)[-TAIL:]
        raw = window.peek(length)[start:]
        window.take(length)
        window.skip_blank()
        place: Place = {
            "offset": window.offset,
            "number": number,
            "length": len(tail) + len(window.skipped),
            "digest": hashlib.sha256(tail + window.skipped).hexdigest(),
        }
        as_it_is = dialect == "mboxcl2" or (exact and dialect == "auto")
        yield Item(origin, raw if as_it_is or b">From " not in raw else _QUOTED[dialect].sub(rb"\1", raw), place)


class _Window:
    """The part of the file that is in memory."""

    def __init__(self, file: BinaryIO, offset: int = 0, ahead: bytes = b"") -> None:
        """`offset`: where in the whole file `ahead` stands, which was read of `file` already."""
        self._file = file
        self._before = offset  # octets of the file that are not in `data` any more
        self._eof = False
        self.data = ahead
        self.at = 0  # where in `data` the next mail begins
        self.skipped = b""

    @property
    def offset(self) -> int:
        """Where in the file the next mail begins."""
        return self._before + self.at

    def fill(self) -> bool:
        """Read on; False at the end of the file."""
        more = b"" if self._eof else self._file.read(CHUNK)
        self._eof = not more
        self._before += self.at
        self.data = self.data[self.at :] + more
        self.at = 0
        return bool(more)

    def peek(self, count: int) -> bytes:
        """The next octets, as many as there are."""
        while len(self.data) - self.at < count and self.fill():
            pass
        return self.data[self.at : self.at + count]

    def take(self, count: int) -> None:
        """Go on behind the next octets."""
        self.at += count

    def ended(self) -> bool:
        """Whether nothing is left."""
        return not self.peek(1)

    def skip_blank(self) -> None:
        """Go on behind blank lines, as the format has one before each From_ line, or an end that has some."""
        skipped = b""
        while (start := self.peek(2)[:2]) and (start[:1] == b"\n" or start == b"\r\n"):
            count = 1 if start[:1] == b"\n" else 2
            skipped += start[:count]
            self.take(count)
        self.skipped = skipped

    def fitting(self, start: int, largest: int) -> int | None:
        """Octets of the next mail, its From_ line included, where its Content-Length leads exactly to its end."""
        end = self._header_end(start)
        if end is None:
            return None
        found = _LENGTH.search(self.data, self.at + start, self.at + end)
        if found is None or int(found[1]) > largest:
            return None
        length = end + int(found[1])
        rest = self.peek(length + _LINE)[length:]
        whole = len(self.data) - self.at >= length
        if not whole or not _AT_END.match(rest):
            return None
        stripped = rest.lstrip(b"\r\n")
        # Where more follows it must be a From_ line, not prose.
        return length if not stripped or _BREAK.match(b"\n\n" + stripped) else None

    def _header_end(self, start: int) -> int | None:
        """Where the text of the next mail begins; None where that is not within reach."""
        at = start - 1
        while True:
            if found := _HEADER_END.search(self.data, self.at + at):
                return found.end() - self.at
            if len(self.data) - self.at > CHUNK or not self.fill():
                return None

    def to_break(self, start: int, largest: int) -> int | None:
        """Octets of the next mail up to the blank line before the next From_ line; None where it is too long."""
        at = start - 1
        while True:
            if found := _BREAK.search(self.data, self.at + at):
                return found.start(1) - self.at
            at = max(at, len(self.data) - self.at - _LINE)
            if len(self.data) - self.at > largest + start:
                return None
            if not self.fill():
                length = len(self.data) - self.at
                end = self.data[-2:]
                # A blank line at the end of the file is the format's.
                return length - (2 if self.data[-4:] == b"\r\n\r\n" else 1 if end == b"\n\n" else 0)

    def drop_to_break(self) -> None:
        """Go on behind the next mail without keeping it."""
        while True:
            if found := _BREAK.search(self.data, self.at):
                self.at = found.end()
                self.skipped = b""
                return
            self.at = max(self.at, len(self.data) - _LINE)
            if not self.fill():
                self.at = len(self.data)
                return

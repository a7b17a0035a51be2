"""Find out what it is that a person names on the command line, and how to read it."""

import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ingestd.errors import InputError
from ingestd.sources import inbox, mbox, stream
from ingestd.sources.directory import Directory, Maildir, Single
from ingestd.sources.git import Git
from ingestd.sources.inbox import Repository
from ingestd.sources.mbox import Mbox
from ingestd.sources.source import LARGEST, Source, named, printable

_HEADER = re.compile(rb"\A(?:[\x21-\x39\x3b-\x7e]{1,200}[ \t]*:|>From )")  # RFC 5322 section 2.2, or an mbox's relic
_START = 1 << 16  # octets in which a file has to show what it is


def find(names: Iterable[str], *, dialect: str = "auto", largest: int = LARGEST) -> list[Source]:
    """What to read for each name; `-` is an mbox on standard input. Nothing but their beginnings is read.

    `dialect`: of mboxes; `largest`: octets of a mail, a longer one is left out. InputError for what is no mail.
    """
    return [source for name in names for source in _find(name, dialect, largest)]


def read(name: str) -> Iterator[tuple[str, bytes]]:
    """(where it is, mail) for each in what `name` is. InputError when it is none, or cannot be read."""
    for source in find([name]):
        for item in source.read(None):
            if item.left_out is None:
                yield item.origin, item.raw


def _find(name: str, dialect: str, largest: int) -> list[Source]:
    if name == "-":
        return [Mbox(sys.stdin.buffer, dialect=dialect, largest=largest)]
    path = Path(name)
    with named(name):
        if path.is_dir():
            return _directory(path, largest)
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe can be read once, as standard input can
            return [Mbox(path.open("rb"), dialect=dialect, largest=largest)]
        return [_file(path, dialect, largest)]


def _directory(path: Path, largest: int) -> list[Source]:
    git = Git.find(path)
    # A checkout without commits may be a directory of mails; a bare repository may become a public-inbox.
    if git is not None and (git.directory == path or git.head() is not None) and Repository.fits(git):
        return [Repository(path, git, largest=largest)]
    if found := inbox.epochs(path, largest=largest):
        return [*found]
    if Maildir.fits(path):
        return [Maildir(path, largest=largest)]
    if git is not None and git.directory == path:
        raise InputError(f"{printable(str(path))}: a git repository, but none of a public-inbox")
    return [Directory(path, largest=largest)]


def _file(path: Path, dialect: str, largest: int) -> Source:
    name = printable(str(path))
    with stream.opened(path) as file:
        start = file.read(_START)
    stem = path.name.removesuffix(path.suffix) if path.suffix in stream.SUFFIXES else path.name
    if mbox.begins(start):
        return Mbox(path, dialect=dialect, largest=largest)
    if not _HEADER.match(start) and not stem.endswith(".eml"):
        raise InputError(f"{name}: neither a mail nor an mbox")
    if path.stat().st_size > largest:
        raise InputError(f"{name}: too long for a mail, and no mbox")
    return Single(path, largest=largest)

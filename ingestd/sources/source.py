"""What every archive is to those who read it: a row of items, each with the place to go on from after it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ingestd.errors import IngestdError, InputError

LARGEST = 50 * 1024 * 1024  # octets of a mail, where nothing else is configured

Place = Mapping[str, str | int]  # how far a source has been read; only the kind of source that made it can read it


class LeftOut(StrEnum):
    """Why an item is no mail to store."""

    DELETED = "deleted"  # its archive says so
    TOO_BIG = "too big"  # longer than a mail may be
    NOTHING = "nothing"  # it was none: only the place moves on


@dataclass(frozen=True, slots=True)
class Item:
    """One mail of a source, as it was received."""

    origin: str  # where it is, for people
    raw: bytes  # empty where it is left out
    place: Place | None = None  # how far the source has been read with it; None: the one before holds
    done: float | None = None  # share of the source, from 0 to 1; None where the whole is not known
    left_out: LeftOut | None = None


class Source(Protocol):
    """An archive that was looked at: it is there, and of a kind that we read."""

    @property
    def name(self) -> str | None:
        """What it is known by the next time; None for what cannot be read twice."""

    @property
    def grows(self) -> bool:
        """Whether it can be followed: new mail is found without reading all of it."""

    def read(self, place: Place | None = None) -> Iterator[Item]:
        """Every mail after `place`, from the first without one.

        Where `place` does not fit, since the archive has changed before it, that is said by `Changed` as the first
        thing, and reading may begin anew without. InputError when it cannot be read on: what came before is good.
        """


class Changed(IngestdError):  # noqa: N818 - no error: a fact about an archive
    """The archive is not what it was up to the place where it was left."""


@contextmanager
def named(name: str) -> Iterator[None]:
    """InputError, one line, for what the operating system says of a source."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{printable(str(error.filename or name))}: {error.strerror or error}") from error


def printable(name: str) -> str:
    """A file name as text that can be stored and shown."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def read_all(source: Source, place: Place | None = None) -> Iterator[Item]:
    """Every mail after `place`; all of them where the archive has changed before it."""
    try:
        yield from source.read(place)
    except Changed:
        yield from source.read(None)

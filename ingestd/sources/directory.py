"""Mails that lie in files of their own: a directory of .eml, a Maildir, a single file."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from ingestd.errors import InputError
from ingestd.sources import stream
from ingestd.sources.source import LARGEST, Changed, Item, LeftOut, Place, named, printable

_MAIL = (".eml", *(f".eml{suffix}" for suffix in stream.SUFFIXES))

# Flags in the name of a mail in a Maildir (https://cr.yp.to/proto/maildir.html): T, its owner has moved it to the
# trash; D, it is a draft, which nobody has sent. The others say what its owner did with it, which is nothing to us.
_GONE = frozenset("TD")


class _Files(ABC):
    """Files in the order of their names; each is known by name, size and time of change.

    The place is a digest of all that were read, so a file that comes, goes or changes before it is noticed.
    """

    grows = False

    def __init__(self, path: Path, largest: int) -> None:
        self.name = str(path.resolve())
        self.path = path
        self._largest = largest
        self.files = self.look()

    @abstractmethod
    def look(self) -> list[str]:
        """The files that are there, relative to the directory, in order. OSError where it cannot be read."""

    @abstractmethod
    def key(self, file: str) -> str:
        """What a file is called as long as it lives."""

    @abstractmethod
    def find(self, file: str) -> Path | None:
        """Where a file is now; None where it may have gone."""

    def is_gone(self, file: str) -> bool:  # noqa: ARG002 - of most directories all files are good
        """Whether its owner has deleted the mail."""
        return False

    def read(self, place: Place | None = None) -> Iterator[Item]:
        """See `Source`."""
        name = printable(str(self.path))
        with named(name):
            self.files = self.look()
        digest = hashlib.sha256()
        start = 0 if place is None else int(place["count"])
        if len(self.files) < start:
            raise Changed
        for number, file in enumerate(self.files, 1):
            if number == start + 1 and place is not None and digest.hexdigest() != place["digest"]:
                raise Changed
            item = self._item(file, digest, read=number > start)
            if number > start:
                yield Item(
                    item.origin,
                    item.raw,
                    {"count": number, "digest": digest.hexdigest()},
                    number / len(self.files),
                    item.left_out,
                )
        if place is not None and len(self.files) == start and digest.hexdigest() != place["digest"]:
            raise Changed

    def _item(self, file: str, digest: "hashlib._Hash", *, read: bool) -> Item:
        """One file, which `digest` takes in."""
        origin = printable(str(self.path / file))
        with named(origin):
            path = self.find(file)
            if path is None:
                digest.update(b"gone\0")
                return Item(origin, b"", left_out=LeftOut.DELETED)
            facts = path.stat()
            digest.update(os.fsencode(f"{self.key(file)}\0{facts.st_size}\0{facts.st_mtime_ns}\0"))
            if not read:
                return Item(origin, b"")
            if self.is_gone(file):
                return Item(origin, b"", left_out=LeftOut.DELETED)
        return one(path, self._largest)


class Directory(_Files):
    """A directory with .eml files, at any depth: all of them are mails, broken ones too."""

    def __init__(self, path: Path, *, largest: int = LARGEST) -> None:
        """InputError when there are none."""
        super().__init__(path, largest)
        if not self.files:
            raise InputError(f"{printable(str(path))}: no mail in it: no public-inbox, no Maildir, no .eml files")

    def look(self) -> list[str]:
        """See above."""
        found = []
        for directory, _, files in os.walk(self.path, onerror=_fail):
            found += [os.path.join(directory, file) for file in files if file.endswith(_MAIL)]
        return sorted(os.path.relpath(file, self.path) for file in found)

    def key(self, file: str) -> str:
        """See above."""
        return file

    def find(self, file: str) -> Path:
        """See above."""
        return self.path / file


def _fail(error: OSError) -> None:
    raise error


class Maildir(_Files):
    """A Maildir: what is in `new` and `cur`, but for what its owner has put into the trash, and drafts."""

    def __init__(self, path: Path, *, largest: int = LARGEST) -> None:
        """One without mails is one as well."""
        super().__init__(path, largest)

    @staticmethod
    def fits(path: Path) -> bool:
        """Whether the directory is a Maildir."""
        return all((path / name).is_dir() for name in ("cur", "new"))

    def look(self) -> list[str]:
        """See above."""
        found = [
            f"{folder}/{entry.name}"
            for folder in ("cur", "new")
            for entry in os.scandir(self.path / folder)
            if not entry.name.startswith(".") and entry.is_file()
        ]
        return sorted(found, key=self.key)

    def key(self, file: str) -> str:
        """The name without flags, which change."""
        return file.partition("/")[2].partition(":")[0]

    def find(self, file: str) -> Path | None:
        """Where it is: a mail reader may have moved it to `cur`, or changed its flags, since we looked."""
        path = self.path / file
        if path.exists():
            return path
        again = [other for other in self.look() if self.key(other) == self.key(file)]
        return self.path / again[0] if again else None

    def is_gone(self, file: str) -> bool:
        """Whether it is in the trash, or a draft."""
        return not _GONE.isdisjoint(file.partition(":2,")[2])


class Single:
    """One mail in a file."""

    name = None
    grows = False

    def __init__(self, path: Path, *, largest: int = LARGEST) -> None:
        """InputError when it is too long for a mail."""
        self._path = path
        self._largest = largest

    def read(self, place: Place | None = None) -> Iterator[Item]:  # noqa: ARG002 - there is nothing to go on from
        """See `Source`."""
        yield one(self._path, self._largest)


def one(path: Path, largest: int) -> Item:
    """The mail in a file, compressed or not."""
    name = printable(str(path))
    with stream.opened(path) as file:
        raw = file.read(largest + 1)
    return Item(name, b"", left_out=LeftOut.TOO_BIG) if len(raw) > largest else Item(name, raw)

"""Read a public-inbox: git repositories with a commit for each mail (public-inbox-v2-format(5), -v1-format(5)).

Version 2 has the mail in the file `m` of its commit, and in `d` one that was deleted. It goes on in another repository,
an epoch, when one has grown big. Version 1 has each mail in a file of its own, called by a digest of its Message-ID.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import structlog

from ingestd.errors import InputError
from ingestd.sources.git import Change, Git
from ingestd.sources.source import LARGEST, Changed, Item, LeftOut, Place, printable

log = structlog.get_logger()

_EPOCH = re.compile(r"(\d+)\.git")
_V1 = re.compile(r"[0-9a-f]{2}/[0-9a-f]{38}(?:/[0-9a-f]{40})?")
_V1_TOP = re.compile(r"[0-9a-f]{2}")


class Repository:
    """One git repository of a public-inbox: all of version 1, an epoch of version 2."""

    grows = True

    def __init__(self, path: Path, git: Git, *, later: Sequence["Repository"] = (), largest: int = LARGEST) -> None:
        """`later`: the epochs that follow; what they say is deleted may be in this one."""
        self.name = str(git.directory.resolve())
        self._git = git
        self._shown = printable(str(path))
        self._later = later
        self._largest = largest

    @staticmethod
    def fits(git: Git) -> bool:
        """Whether a repository is one of a public-inbox; one without commits may become one."""
        head = git.head()
        names = git.names(head) if head is not None else []
        return set(names) <= {"m", "d"} or all(_V1_TOP.fullmatch(name) for name in names)

    @cached_property
    def deleted(self) -> frozenset[str]:
        """The mails, as objects, that this epoch says are deleted."""
        head = self._git.head()
        changes = self._git.changes(None, head, "d") if head is not None else iter(())
        return frozenset(one.new for one in changes if isinstance(one, Change) and one.letter != "D")

    def read(self, place: Place | None = None) -> Iterator[Item]:
        """See `Source`. Mails that were deleted are left out, and so are those that were purged."""
        after = None if place is None else str(place["commit"])
        head = self._git.head()
        if head is None or head == after:
            if after is not None and head is None:
                raise Changed
            return
        if after is not None and not self._git.is_ancestor(after, head):
            raise Changed
        steps = _Steps(len(head) // 2)
        for change in self._git.changes(after, head):
            if isinstance(change, str):
                steps.commit(change)
            else:
                steps.change(change)
        for object_ in steps.lost():
            log.warning("deleted_in_archive", source=self._shown, object=object_)
        gone = set().union(*(epoch.deleted for epoch in self._later))
        contents = self._git.contents((mail for _, mail in steps.mails(gone) if mail is not None), self._largest)
        for number, (commit, mail) in enumerate(steps.mails(gone), 1):
            content = None if mail is None else next(contents)
            left_out = None
            if mail is None:
                left_out = LeftOut.DELETED if steps.has_mail(number - 1) else LeftOut.NOTHING
            elif content is None:
                left_out = LeftOut.TOO_BIG
            elif not content:
                left_out = LeftOut.DELETED  # purged: public-inbox leaves an empty file
            done = number / steps.count
            yield Item(f"{self._shown}:{commit[:12]}", content or b"", {"commit": commit}, done, left_out)
        contents.close()


class _Steps:
    """What the commits of a repository did, in few octets each: an archive may have a million."""

    def __init__(self, width: int) -> None:
        """`width`: octets of an object's name."""
        self._width = width
        self._nothing = bytes(width)
        self._rows = bytearray()  # commit, and the mail it brought or nothing
        self._removed: dict[bytes, int] = {}  # mail -> the last step that removed it

    @property
    def count(self) -> int:
        """How many steps there are."""
        return len(self._rows) // (2 * self._width)

    def commit(self, name: str) -> None:
        """Another commit, which brings nothing so far."""
        self._rows += bytes.fromhex(name) + self._nothing

    def change(self, change: Change) -> None:
        """What the last commit did to a file."""
        if change.path == "m" or (change.path != "d" and _V1.fullmatch(change.path)):
            if change.letter in "DM" and change.path != "m":  # version 1: the file was the mail
                self._remove(change.old)
            if change.letter in "AM":
                if self.has_mail(self.count - 1):  # a commit with several mails
                    self.commit(change.commit)
                self._rows[-self._width :] = bytes.fromhex(change.new)
        elif change.path == "d" and change.letter in "AM":
            self._remove(change.new)

    def _remove(self, name: str) -> None:
        self._removed[bytes.fromhex(name)] = self.count - 1

    def has_mail(self, step: int) -> bool:
        """Whether a step brought a mail."""
        return self._mail(step) != self._nothing

    def lost(self) -> list[str]:
        """The mails that these commits removed and did not bring: they were there before."""
        if not self._removed:
            return []
        brought = {self._mail(step) for step in range(self.count)}
        return [mail.hex() for mail in self._removed if mail not in brought]

    def _mail(self, step: int) -> bytes:
        end = (step + 1) * 2 * self._width
        return bytes(self._rows[end - self._width : end])

    def mails(self, gone: set[str]) -> Iterator[tuple[str, str | None]]:
        """(commit, the mail that it brought and that is still there) of each step; `gone`: mails deleted later."""
        for step in range(self.count):
            at = step * 2 * self._width
            commit = self._rows[at : at + self._width].hex()
            mail = self._mail(step)
            there = mail != self._nothing and self._removed.get(mail, -1) < step and mail.hex() not in gone
            yield commit, mail.hex() if there else None


def epochs(path: Path, *, largest: int = LARGEST) -> list[Repository]:
    """The epochs of a public-inbox of version 2 in `path`, oldest first; none when it is no such thing.

    InputError when one of them is no repository of a public-inbox.
    """
    directory = path / "git"
    if not directory.is_dir():
        return []
    numbered = sorted((int(found[1]), one) for one in directory.iterdir() if (found := _EPOCH.fullmatch(one.name)))
    made: list[Repository] = []
    for _, one in reversed(numbered):
        git = Git.find(one)
        if git is None or not Repository.fits(git):
            raise InputError(f"{printable(str(one))}: no repository of a public-inbox")
        made.insert(0, Repository(one, git, later=tuple(made), largest=largest))
    return made

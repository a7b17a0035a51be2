"""The files a diff touches: paths, kind of change, line counts, blob ids."""

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

from ingestd.mail import limits
from ingestd.mail.diff import Diff
from ingestd.mail.signs import Signs
from ingestd.mail.splitter import Layout
from ingestd.mail.values import Change, File

# And one for each 96 characters beyond fifty: of git's smallest, new modes, that many if their paths have 24 letters. A
# mail of an archive of 16,945 has 2,521.
MAX_FILES = 5_000
MAX_PATH = 4_096
MAX_EXTENDED = 20  # lines of an extended header; git writes six at most

_INDEX = re.compile(r"index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})")
_DATE = re.compile(r" {1,8}\d{4}-\d{2}-\d{2} \d{2}:\d{2}")
_QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ESCAPE = re.compile(rb"(\\(?:[0-7]{3}|.))", re.DOTALL)
_ESCAPED = {rb"\n": b"\n", rb"\t": b"\t", rb"\r": b"\r", rb"\a": b"\a", rb"\b": b"\b", rb"\f": b"\f", rb"\v": b"\v"}
_ESCAPED |= {b"\\%03o" % value: bytes((value & 0xFF,)) for value in range(0o1000)}
_REMOVED = re.compile("-+")
_NULL = "/dev/null"
_SHORT = 200  # characters of what is remembered
_PREFIXES = ("a/", "b/")
_BINARY = ("GIT binary patch", "Binary files ")
# An enumeration takes its time to find a member.
_ADD, _DELETE, _MODIFY, _RENAME, _COPY = Change.ADD, Change.DELETE, Change.MODIFY, Change.RENAME, Change.COPY
_Said = TypeVar("_Said")
_OF_TWO_PATHS = (_MODIFY, _RENAME, _COPY)


class _Draft:
    """A file while its part of the diff is read. What its part does not tell stays as it is here."""

    git_old = ""
    git_new = ""
    index = ""  # of Index:, which names the file itself
    old = ""  # of ---
    new = ""  # of +++
    moved_from = ""
    moved_to = ""
    change = _MODIFY
    added = 0
    removed = 0
    binary = False
    mode = False
    old_blob: str | None = None
    new_blob: str | None = None

    @classmethod
    def of(cls, file: File) -> "_Draft":
        """A file of an ordinary diff, that may have more."""
        draft = cls()
        draft.git_old, draft.git_new = f"a/{file.path}", f"b/{file.path}"
        draft.old = _NULL if file.change is _ADD else draft.git_old
        draft.new = _NULL if file.change is _DELETE else draft.git_new
        draft.change, draft.added, draft.removed = file.change, file.added, file.removed
        draft.old_blob, draft.new_blob = file.old_blob, file.new_blob
        return draft

    def finished(self) -> File | None:
        change = self.change
        old, new = self.old, self.new
        if old == _NULL:
            change, old = _ADD, ""
            new = "" if new == _NULL else new
        elif new == _NULL:
            change, new = _DELETE, ""
        elif self.mode and change is _MODIFY and not (self.added or self.removed or self.binary):
            change = Change.MODE
        old, new = self._paths(old, new)
        path = old if change is _DELETE else new or old
        if not path:
            return None
        old_path = old if old and old != path and change in _OF_TWO_PATHS else None
        file = path, old_path, change, self.added, self.removed, self.binary, self.old_blob, self.new_blob
        return tuple.__new__(File, file)  # for all the files of a mail its own constructor takes its time

    def _paths(self, old: str, new: str) -> tuple[str, str]:
        """Old and new path, where those of --- and +++ are these (empty where there is none)."""
        if self.moved_from or self.moved_to:
            return self.moved_from, self.moved_to
        git_old, git_new = self.git_old, self.git_new
        if git_old or git_new:
            old, new = old or git_old, new or git_new
            if _prefixed(git_old, git_new) if git_old and git_new else _prefixed(old, new):
                return _strip(old), _strip(new)
            return old, new
        if self.index:
            path = _strip(self.index) if self.index[:2] in _PREFIXES else self.index
            return path, path
        # without git, `old` is a backup or another tree of the same file: never a rename
        path = new or old
        other_tree = old and new and old != new and _strip(old) == _strip(new)
        path = _strip(path) if (old or new)[:2] in _PREFIXES or other_tree else path
        return path, path


def most(diff: Diff) -> int:
    """How many files of a diff are told; more of them are left where they are, in the diff."""
    return limits.room(len(diff.text), few=50, each=96, most=MAX_FILES)


def of(diff: Diff) -> tuple[File, ...]:
    """Every file of a diff, in order, until there is one more than `most`.

    Hunks are skipped by their counts: content is never taken for a header.
    """
    found: list[File] = []
    for one in diff.joined or (diff,):
        if one.ordinary:
            found += one.ordinary.files[: most(diff) + 1 - len(found)]
        if one.rest.lines and len(found) <= most(diff):
            draft = _Draft.of(found.pop()) if one.ordinary else None
            found += _Reader(one.rest, draft).read(most(diff) - len(found))
    return tuple(found)


class _Reader:
    """Goes from line to line of a diff that may say something of a file."""

    def __init__(self, layout: Layout, draft: _Draft | None) -> None:
        """The lines of a diff; `draft` is the file that stands above them."""
        self.lines, self.marks, self.hunks = layout.lines, layout.marks, layout.hunks
        self.extended, self.data = layout.extended, layout.data
        self.signs = Signs(layout.lines, layout.marks, layout.flags)
        self.found: list[File] = []
        self.draft = draft
        self.at = 0  # behind the line that is read

    def read(self, most: int) -> list[File]:
        """All files, until there is one more than so many."""
        by_word = {"diff": self._git, "--- ": self._names, "*** ": self._context, "Inde": self._index}
        header = self._header
        lines, last = self.lines, len(self.lines)
        while (at := self._next()) < last and len(self.found) <= most:
            line = lines[at]
            self.at = at + 1
            by_word.get(line[:4], header)(line)
        self._begin()  # which ends the last one
        return self.found

    def _next(self) -> int:
        """The next line that may say something of a file. Hunks are counted on the way to it."""
        at, draft = self.at, self.draft
        while True:
            while hunk := self.hunks.get(at):
                at = hunk.end
                if draft is not None:
                    draft.added += hunk.added
                    draft.removed += hunk.removed
            if self.marks[at : at + 1] == "d" and self.lines[at].startswith("diff --git "):  # as nearly always
                return at
            at = self.signs.next(at)
            if at not in self.hunks:
                return at

    def _begin(self) -> _Draft:
        """Another file."""
        if self.draft and (done := self.draft.finished()):
            self.found.append(done)
        draft = self.draft = _Draft()
        return draft

    def _git(self, line: str) -> None:
        """A line of git's own, with the header below it."""
        if not line.startswith("diff --git "):
            return
        draft = self._begin()
        draft.git_old, draft.git_new = _git_paths(line[11:])
        lines, marks, at = self.lines, self.marks, self.at
        end = self.extended.get(at) or (at + 1 if marks[at : at + 1] == "i" else at)
        for one in lines[at : min(end, at + MAX_EXTENDED)]:
            _extended(draft, one)
        self.at = end
        below = marks[end : end + 2]
        if below == "-+" and end + 2 in self.hunks and lines[end].startswith("--- "):
            draft.old, draft.new = _path(lines[end][4:]), _path(lines[end + 1][4:])
            self.at += 2
        elif below[:1] in ("G", "B") and lines[end].startswith(_BINARY):
            draft.binary = True
            self.at = self.data.get(end + 1, end + 1)

    def _names(self, line: str) -> None:
        at = self.at
        if self.marks[at : at + 1] != "+" or not self.lines[at].startswith("+++ "):
            if run := _REMOVED.match(self.marks, at):  # only the last one of these may have the other name below it
                self.at = run.end() - 1
            return
        draft = self.draft
        if at + 1 in self.hunks and (draft is None or draft.old):
            draft = self._begin()
        if draft is not None and not draft.old:  # else no git header above and no hunk below: nothing changes
            draft.old, draft.new = _path(line[4:]), _path(self.lines[at][4:])
        self.at += 1

    def _context(self, line: str) -> None:
        below = self.lines[self.at : self.at + 1]
        if below and below[0].startswith("--- ") and " ****" not in line:
            draft = self._begin()
            draft.old, draft.new = _path(line[4:]), _path(below[0][4:])
            self.at += 1

    def _index(self, line: str) -> None:
        if line.startswith("Index: "):
            self._begin().index = _path(line[7:])

    def _header(self, line: str) -> None:
        """A line of git's extended header, or several."""
        at = self.at
        end = self.extended.get(at - 1, at)
        if self.draft is not None:
            _extended(self.draft, line)
            for one in self.lines[at : min(end, at + MAX_EXTENDED)]:
                _extended(self.draft, one)
        self.at = self.data.get(end, end)


def _extended(draft: _Draft, line: str) -> None:
    """Git's extended header lines (git-diff(1), "Generating patch text with -p")."""
    word = line[:4]
    if word == "inde":
        if found := _INDEX.match(line):
            draft.old_blob, draft.new_blob = found.groups()
    elif word == "simi":
        pass
    elif word in ("old ", "new "):
        if line.startswith("mode ", 4):
            draft.mode = True
        elif line.startswith("new file mode "):
            draft.change = _ADD
    elif word == "dele":
        if line.startswith("deleted file mode "):
            draft.change = _DELETE
    elif word == "rena":
        _moved(draft, line, 7, _RENAME)
    elif word == "copy":
        _moved(draft, line, 5, _COPY)
    elif line.startswith(_BINARY):
        draft.binary = True


def _moved(draft: _Draft, line: str, at: int, change: Change) -> None:
    """`rename from`, `rename to` and the same of a copy; the second word begins at `at`."""
    if line.startswith("from ", at):
        draft.change, draft.moved_from = change, _unquote(line[at + 5 :])
    elif line.startswith("to ", at):
        draft.moved_to = _unquote(line[at + 3 :])


def _remembered(read: Callable[[str], _Said]) -> Callable[[str], _Said]:
    """Remember what some short texts say: a file's header says each path two or three times, and so do other mails."""
    known = lru_cache(1024)(read)
    return wraps(read)(lambda text: known(text) if len(text) < _SHORT else read(text))


@_remembered
def _git_paths(text: str) -> tuple[str, str]:
    """The two paths of a `diff --git` line; unquoted ones with blanks are told apart by being equal."""
    half = len(text) // 2
    if text[:2] == "a/" and text[half : half + 3] == " b/" and text[1:half] == text[half + 2 :] and '"' not in text:
        return text[:half], text[half + 1 :].rstrip("\r\t ")
    text = text.rstrip("\r\t ")
    half = len(text) // 2
    if text.startswith('"'):
        first, between, second = text.partition('" "')
        if between and '"' not in second[:-1] and '"' not in first[1:] and not first.endswith("\\"):
            return _unquote(first + '"'), _unquote('"' + second)
        end = _quote_end(text)
        return _unquote(text[:end]), _unquote(text[end:].strip())
    if text.endswith('"'):
        first, _, second = text.partition(' "')
        return first, _unquote('"' + second)
    if " index " in text:  # joined with the next line by a mail program
        text = text.partition(" index ")[0]
        half = len(text) // 2
    if len(text) % 2 and text[half] == " " and _strip(text[:half]) == _strip(text[half + 1 :]):
        return text[:half], text[half + 1 :]
    first, separator, second = text.partition(" b/")
    if separator:
        return first, "b/" + second
    first, _, second = text.partition(" ")
    return first, second


def _quote_end(text: str) -> int:
    """Where the path in quotes ends that a text begins with."""
    if text[-1] == '"' and text.count('"') == 2:
        return len(text)
    found = _QUOTED.match(text)
    return found.end() if found else len(text)


@_remembered
def _path(text: str) -> str:
    """The path of a --- or +++ line: quotes undone, time stamp cut off."""
    if text[:1] == '"':
        return _unquote(text[: _quote_end(text)])
    path, tab, _ = text.partition("\t")
    path = path.rstrip("\r ")
    if not tab and ":" in path and (found := _DATE.search(path)):  # a mail program made blanks of the tab
        path = path[: found.start()]
    return path[:MAX_PATH]


def _unquote(text: str) -> str:
    """Git's C-style quoting."""
    text = text.rstrip("\r")
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text[:MAX_PATH]
    pieces = _ESCAPE.split(text[1:-1].encode("utf-8", "replace"))  # in turn: text, and an escape
    pieces[1::2] = [_ESCAPED.get(escape, escape[1:]) for escape in pieces[1::2]]
    return b"".join(pieces).decode("utf-8", "replace").replace("\0", "\ufffd")[:MAX_PATH]


def _prefixed(old: str, new: str) -> bool:
    """Do the paths carry a/ and b/ (or git's mnemonic c i o w)? With --no-prefix both are alike."""
    if old[:2] == "a/" and new[:2] == "b/":
        return True
    return old[1:2] == "/" and new[1:2] == "/" and old[0] in "abciow1" and new[0] in "abciow2" and old[:2] != new[:2]


def _strip(path: str) -> str:
    return path.partition("/")[2] or path

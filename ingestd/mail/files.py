"""The files a diff touches: paths, kind of change, line counts, blob ids."""

import re
from functools import lru_cache

from ingestd.mail import limits
from ingestd.mail.diff import Diff, Signs
from ingestd.mail.values import Change, File

# And one for each 64 characters beyond ten, as git's smallest have: the new mode of a file named by eight letters. A
# mail of an archive of 16,945 has 2,521.
MAX_FILES = 5_000
MAX_PATH = 4_096
MAX_EXTENDED = 20  # lines of an extended header; git writes six at most

_INDEX = re.compile(r"index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})")
_DATE = re.compile(r" {1,8}\d{4}-\d{2}-\d{2} \d{2}:\d{2}")
_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_ESCAPE = re.compile(rb"(\\(?:[0-7]{3}|.))", re.DOTALL)
_ESCAPED = {rb"\n": b"\n", rb"\t": b"\t", rb"\r": b"\r", rb"\a": b"\a", rb"\b": b"\b", rb"\f": b"\f", rb"\v": b"\v"}
_ESCAPED |= {b"\\%03o" % value: bytes((value & 0xFF,)) for value in range(0o1000)}
_NULL = "/dev/null"
_PREFIXES = ("a/", "b/")
# An enumeration takes its time to find a member.
_ADD, _DELETE, _MODIFY, _RENAME, _COPY = Change.ADD, Change.DELETE, Change.MODIFY, Change.RENAME, Change.COPY
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
        return File(path, old_path, change, self.added, self.removed, self.binary, self.old_blob, self.new_blob)

    def _paths(self, old: str, new: str) -> tuple[str, str]:
        """Old and new path, where those of --- and +++ are these (empty where there is none)."""
        if self.moved_from or self.moved_to:
            return self.moved_from, self.moved_to
        if self.git_old or self.git_new:
            old, new = old or self.git_old, new or self.git_new
            prefixed = _prefixed(self.git_old, self.git_new) if self.git_old and self.git_new else _prefixed(old, new)
            return (_strip(old), _strip(new)) if prefixed else (old, new)
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
    return limits.room(len(diff.text), few=10, each=64, most=MAX_FILES)


def of(diff: Diff) -> tuple[File, ...]:
    """Every file of a diff, in order, until there is one more than `most`.

    Hunks are skipped by their counts: content is never taken for a header.
    """
    found: list[File] = []
    draft: _Draft | None = None
    lines, marks, hunks, extended = diff.lines, diff.marks, diff.hunks, diff.extended
    last = len(lines)
    enough = most(diff)
    signs = Signs(lines, marks, diff.flags)
    at = signs.next(0)
    while at < last and len(found) <= enough:
        line = lines[at]
        hunk = hunks.get(at)
        at += 1
        if hunk:
            if draft is not None:
                draft.added += hunk.added
                draft.removed += hunk.removed
            at = hunk.end
        elif line.startswith("diff "):
            if line.startswith("--git ", 5):
                _finish(found, draft)
                draft = _Draft()
                draft.git_old, draft.git_new = _git_paths(line[11:])
                first = extended.get(at) or (at + 1 if marks[at : at + 1] == "i" else at)
                for one in lines[at : min(first, at + MAX_EXTENDED)]:
                    _extended(draft, one)
                at = first
                if at + 2 in hunks and marks[at : at + 2] == "-+" and lines[at].startswith("--- "):
                    draft.old, draft.new = _path(lines[at][4:]), _path(lines[at + 1][4:])
                    at += 2
        elif line.startswith("--- "):
            if marks[at : at + 1] == "+" and lines[at].startswith("+++ "):
                if at + 1 in hunks and (draft is None or draft.old):
                    _finish(found, draft)
                    draft = _Draft()
                if draft is not None and not draft.old:  # else no git header above and no hunk below: nothing changes
                    draft.old, draft.new = _path(line[4:]), _path(lines[at][4:])
                at += 1
        elif line.startswith("*** ") and at < last and lines[at].startswith("--- ") and " ****" not in line:
            _finish(found, draft)
            draft = _Draft()
            draft.old, draft.new = _path(line[4:]), _path(lines[at][4:])
            at += 1
        elif line.startswith("Index: "):
            _finish(found, draft)
            draft = _Draft()
            draft.index = _path(line[7:])
        elif first := extended.get(at - 1):
            for one in lines[at - 1 : min(first, at + MAX_EXTENDED)] if draft is not None else ():
                _extended(draft, one)
            at = first
        elif draft is not None and line[0] not in "*@":
            _extended(draft, line)
        if at not in hunks:
            at = signs.next(at)
    _finish(found, draft)
    return tuple(found)


def _finish(found: list[File], draft: _Draft | None) -> None:
    done = draft.finished() if draft else None
    if done:
        found.append(done)


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
        if line.startswith("rename from "):
            draft.change, draft.moved_from = _RENAME, _unquote(line[12:])
        elif line.startswith("rename to "):
            draft.moved_to = _unquote(line[10:])
    elif word == "copy":
        if line.startswith("copy from "):
            draft.change, draft.moved_from = _COPY, _unquote(line[10:])
        elif line.startswith("copy to "):
            draft.moved_to = _unquote(line[8:])
    elif line.startswith(("GIT binary patch", "Binary files ")):
        draft.binary = True


def _git_paths(text: str) -> tuple[str, str]:
    """The two paths of a `diff --git` line; unquoted ones with blanks are told apart by being equal."""
    half = len(text) // 2
    if text[:2] == "a/" and text[half : half + 3] == " b/" and text[1:half] == text[half + 2 :] and '"' not in text:
        return text[:half], text[half + 1 :].rstrip("\r\t ")
    text = text.rstrip("\r\t ")
    half = len(text) // 2
    if text.startswith('"'):
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
    found = _QUOTED.match(text)
    return found.end() if found else len(text)


def _path(text: str) -> str:
    """The path of a --- or +++ line: quotes undone, time stamp cut off."""
    if text.startswith('"'):
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
    return _unescaped(text)


@lru_cache(256)
def _unescaped(text: str) -> str:
    """A path in quotes, without them. A file's header says each path two or three times."""
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

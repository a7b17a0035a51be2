"""The diffs that git writes day by day, read at once for all that is asked of them. The rest is read line by line."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from ingestd.mail import hunk
from ingestd.mail.values import Change, File

# A file's header. No blank in the path: git would quote or cut it elsewhere.
_FILE = re.compile(
    r"diff --git a/([^\s\"]{1,4000}+) b/\1\n(?:(new|deleted) file mode \d+\n)?"
    r"(index ([0-9a-f]{4,64}+)\.\.([0-9a-f]{4,64}+)(?: \d+)?\n)--- (a/\1|/dev/null)\n\+\+\+ (b/\1|/dev/null)(?=\n)"
)
_MANY = 1_000  # lines that a pattern takes at once; unbounded it is not safe, see tests/test_patterns.py
# Lines that may be a hunk's. One that looks like a file's name is none.
_LINES = rf"(?:\n[-+ ](?!-- (?<=--- )|\+\+ (?<=\+\+\+ ))[^\n]*+){{1,{_MANY}}}"
_MORE_LINES = re.compile(_LINES)
_HUNK = re.compile(rf"\n{hunk.HEADER}[^\n]*+({_LINES})")
_NEXT_FILE = "\ndiff --git "
_SIGNATURE = "\n-- "
_REMARK = "\n\\"
_CHANGES = {None: Change.MODIFY, "new": Change.ADD, "deleted": Change.DELETE}
_NOTHING = "/dev/null"


class Ordinary(NamedTuple):
    """A diff, or the beginning of one, where all is as usual."""

    hashed: list[str]  # what Patchwork's hash is made of, without the line ends between
    counted: list[list[str]]  # what the patch id is made of, file by file
    blobs: str  # the last file's line of blob ids
    files: list[File]


def begin(text: str, start: int) -> tuple[Ordinary | None, int]:
    """Read the diff that begins at `start` as far as it is as usual; where its last line ends, which is a hunk's.

    None where its first hunk is not. Usual is: a file has git's header with one path and blob ids; a hunk has the lines
    that it counts, none of which looks like a file's name, and no remark follows them; there is no CR down to the end.
    """
    if text.find("\r", start) >= 0:
        return None, start
    hashed: list[str] = []
    counted: list[list[str]] = []
    files: list[File] = []
    blobs, end, at = "", start, start
    while file := _FILE.match(text, at):
        path, mode, index, old_blob, new_blob, old, new = file.groups()
        if (old == _NOTHING) != (mode == "new") or (new == _NOTHING) != (mode == "deleted"):
            break
        sized = []
        pieces = [file.group().replace(index, "", 1)]
        added = removed = 0
        at = file.end()
        while found := _HUNK.match(text, at):
            before, after, inside = found.groups("1")
            at = found.end()
            lines = inside.count("\n")
            if lines == _MANY:
                while more := _MORE_LINES.match(text, at):
                    at = more.end()
                inside = text[found.start(3) : at]
                lines = inside.count("\n")
            plus, minus = inside.count("\n+"), inside.count("\n-")
            if lines - plus > int(before) and inside.endswith(_SIGNATURE):
                inside, at, lines, minus = inside[: -len(_SIGNATURE)], at - len(_SIGNATURE), lines - 1, minus - 1
            whole = lines - plus == int(before) and lines - minus == int(after) and lines > 0
            if not whole or text.startswith(_REMARK, at):
                break
            sized.append(f"@@ -{before} +{after} @@{inside}")
            pieces.append(inside)
            added += plus
            removed += minus
            end = at
        if not sized:
            break
        hashed.append(f"--- a/{old.partition('/')[2]}\n+++ b/{new.partition('/')[2]}")
        hashed += sized
        counted.append(pieces)
        said = path, None, _CHANGES[mode], added, removed, False, old_blob, new_blob
        files.append(tuple.__new__(File, said))  # for all the files of a mail its own constructor takes its time
        blobs = index
        if end != at or not text.startswith(_NEXT_FILE, at):
            break
        at += 1
    return Ordinary(hashed, counted, blobs[:-1], files) if files else None, end


def joined(some: Sequence[Ordinary]) -> Ordinary:
    """Several diffs as one, each below the other."""
    return Ordinary(
        [piece for one in some for piece in one.hashed],
        [pieces for one in some for pieces in one.counted],
        some[-1].blobs,
        [file for one in some for file in one.files],
    )

"""The diffs that git writes day by day, read once for all that is asked of them. Others are read the long way round."""

import hashlib
import re
from typing import NamedTuple

from ingestd.mail.diff import Diff
from ingestd.mail.values import Change, File

# A file's header down to the blob ids. No blank in the path: git would quote or cut it elsewhere.
_HEADER = re.compile(
    r"diff --git a/([^\s\"]{1,4000}) b/\1\n(?:(new|deleted) file mode \d+\n)?"
    r"index ([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})(?: \d+)?"
)
_HEADER_MARKS = frozenset(("", "di-+", "dni-+", "ddi-+"))  # first characters of its lines; none between two hunks
_CHANGES = {None: Change.MODIFY, "new": Change.ADD, "deleted": Change.DELETE}
_NOTHING = "/dev/null"
_SPACES = b" \t\n\r"  # git's own isspace


class Reading(NamedTuple):
    """What `fingerprint.patchwork`, `fingerprint.patch_id` and `files.of` say of a diff."""

    hash: str
    patch_id: str
    files: tuple[File, ...]


def read(diff: Diff) -> Reading | None:
    """All three at once; None where any part of the diff is not quite as usual.

    Usual is: each file has git's header with one path, blob ids and hunks; every hunk has the lines that it counts and
    a line end at the end of each; no line of a hunk looks like a file's name.
    """
    lines, hunks = diff.lines, diff.hunks
    if not _usual(diff):
        return None
    hashed: list[str] = []
    found: list[File] = []
    total = at = 0
    while at < len(lines):
        first = at + 4 if at + 4 in hunks else at + 5
        header = _HEADER.fullmatch("\n".join(lines[at : first - 2]))
        if header is None or first not in hunks:
            return None
        path, mode, old_blob, new_blob = header.groups()
        old = _NOTHING if mode == "new" else f"a/{path}"
        new = _NOTHING if mode == "deleted" else f"b/{path}"
        names = [f"--- {old}", f"+++ {new}"]
        if lines[first - 2 : first] != names:
            return None
        hashed += (f"--- a/{old.partition('/')[2]}", f"+++ b/{new.partition('/')[2]}")
        counted = lines[at : first - 3] + names  # for the patch id: all but the index line and the hunks' headers
        added = removed = 0
        at = first
        while hunk := hunks.get(at):
            inside = "\n" + "\n".join(lines[at + 1 : hunk.end])
            if hunk.remarks or "\n--- " in inside or "\n+++ " in inside:  # which looks like a file's name
                return None
            hashed.append(f"@@ {hunk.size} @@{inside}")
            counted.append(inside)
            added += hunk.added
            removed += hunk.removed
            at = hunk.end
        total += _digest(counted)
        found.append(
            File(path, None, _CHANGES[mode], added, removed, binary=False, old_blob=old_blob, new_blob=new_blob)
        )
    text = "\n".join(hashed).rstrip() + "\n"
    digest = hashlib.sha1(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
    return Reading(digest, (total % (1 << 160)).to_bytes(20, "little").hex(), tuple(found))


def _usual(diff: Diff) -> bool:
    """Is every hunk whole, with what may be a file's usual header above it?"""
    at, marks = 0, diff.marks
    for first, hunk in diff.hunks.items():
        if not hunk.plain or marks[at:first] not in _HEADER_MARKS:
            return False
        at = hunk.end
    return at == len(diff.lines) and "\r" not in diff.text


def _digest(lines: list[str]) -> int:
    data = "".join(lines).encode("utf-8", "replace").translate(None, _SPACES)
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest(), "little")

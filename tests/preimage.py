"""Files that patches apply to, made up from the pre-images of their hunks, with unique filler between.

A line is known once a hunk names it. A later patch of a series names lines that an earlier one has written or moved, so
the files are followed patch by patch, and what is learned of a line goes back to where it came from.
"""

import re
from dataclasses import dataclass, field

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_MODE = re.compile(rb"^(?:index [0-9a-f]+\.\.[0-9a-f]+|old mode|deleted file mode) (\d{6})", re.MULTILINE)


class CannotError(Exception):
    """No files can be made up: why, in a few words."""


@dataclass(eq=False)
class Line:
    """A line with its line end; None while no hunk has named it."""

    text: bytes | None = None


@dataclass(eq=False)
class File:
    """A file as it is after some patches."""

    mode: bytes = b"100644"
    lines: list[Line] = field(default_factory=list)
    ended: bool = False  # there is nothing behind these lines
    first: list[Line] = field(default_factory=list)  # as it was before all patches

    def reach(self, count: int) -> None:
        """Have at least so many lines."""
        missing = count - len(self.lines)
        if missing > 0 and self.ended:
            raise CannotError("hunks disagree on where a file ends")
        new = [Line() for _ in range(missing)]
        self.lines += new
        self.first += new

    def end(self, count: int) -> None:
        """Have so many lines and no more."""
        self.reach(count)
        if len(self.lines) > count:
            raise CannotError("hunks disagree on where a file ends")
        self.ended = True

    def change(self, hunk: list[bytes]) -> None:
        """Apply a hunk: its header and lines."""
        found = _HUNK.match(hunk[0])
        if not found:
            raise CannotError("no hunk")
        start, old = int(found.group(1)), int(found.group(2) or 1)
        new = int(found.group(3) or 1)
        at = start - 1 if old else start
        marked: list[tuple[bytes, bytes]] = []
        for line in hunk[1:]:
            mark = line[:1] or b" "
            if mark == b"\\":
                marked[-1] = marked[-1][0], marked[-1][1].removesuffix(b"\n")
                continue
            if old <= 0 and new <= 0:
                break
            old -= mark in b" -"
            new -= mark in b" +"
            marked.append((mark, line[1:] + b"\n"))
        if old or new:
            raise CannotError("a hunk is cut off")
        length = at + sum(mark in b" -" for mark, _ in marked)
        if marked[-1][0] != b" " or not marked[-1][1].endswith(b"\n"):  # git wants no context there at the end alone
            self.end(length)
        self.reach(length)
        for mark, text in marked:
            if mark == b"+":
                self.lines.insert(at, Line(text))
                at += 1
                continue
            there = self.lines[at]
            if there.text not in (None, text):
                raise CannotError("a patch contradicts what came before it")
            there.text = text
            if mark == b" ":
                at += 1
            else:
                del self.lines[at]


class Tree:
    """The files that a series of patches needs."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._files: dict[bytes, File] = {}  # after the patches so far
        self._first: dict[bytes, File] = {}  # before all patches

    def apply(self, diff: bytes) -> None:
        """Apply a patch, and learn what must have been there before. CannotError."""
        lines = diff.split(b"\n")
        starts = [at for at, line in enumerate(lines) if line.startswith(b"diff --git ")]
        if not starts:
            raise CannotError("not a diff by git")
        after = dict(self._files)
        for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
            self._file(lines[start:stop], after)
        self._files = after

    def _file(self, lines: list[bytes], after: dict[bytes, File]) -> None:
        hunks = [at for at, line in enumerate(lines) if line.startswith(b"@@ -")]
        head = b"\n".join(lines[: hunks[0] if hunks else len(lines)]) + b"\n"
        for mark, why in ((b"160000\n", "a submodule"), (b"GIT binary", "binary"), (b"Binary files", "binary")):
            if mark in head:
                raise CannotError(why)
        old, new = _paths(head)
        new_file = b"\nnew file mode " in head
        file = File(ended=True) if new_file else self._files.get(old) or self._wanted(old, head)
        if b"\ncopy from " in head:
            raise CannotError("a copy")
        for start, stop in reversed(list(zip(hunks, [*hunks, len(lines)][1:], strict=True))):
            file.change(lines[start:stop])
        if old != new or b"\ndeleted file mode " in head:
            file.ended = file.ended or not file.lines
            after.pop(old, None)
        if b"\ndeleted file mode " not in head:
            after[new] = file

    def _wanted(self, path: bytes, head: bytes) -> File:
        if path in self._first:
            raise CannotError("a file comes back")
        mode = _MODE.search(head)
        self._first[path] = File(mode=mode.group(1) if mode else b"100644")
        return self._first[path]

    def contents(self) -> dict[bytes, tuple[bytes, bytes]]:
        """Path -> mode and content of all files before the patches."""
        made = {}
        for path, file in self._first.items():
            lines = [
                b"filler %d of %b\n" % (at, path) if line.text is None else line.text
                for at, line in enumerate(file.first)
            ]
            lines += [] if file.ended else [b"filler %d behind in %b\n" % (at, path) for at in range(8)]
            made[path] = file.mode, b"".join(lines)
        return made


def _paths(head: bytes) -> tuple[bytes, bytes]:
    """The old and new path of a file's part of a git diff."""
    if moved := re.search(rb"\nrename from (.*)\nrename to (.*)\n", head):
        return moved.group(1), moved.group(2)
    named = re.match(rb"diff --git a/(.*) b/\1[ \t\r]*\n", head)
    if not named or b'"' in named.group():
        raise CannotError("a path in quotes, or without a/ and b/")
    return named.group(1), named.group(1)

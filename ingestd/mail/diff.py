"""Message and diff apart: Patchwork's state machine, mended where it misreads, so that hashes agree with it."""

import re
from dataclasses import dataclass

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_EXTENDED = (
    "old mode ", "new mode ", "deleted file mode ", "new file mode ", "copy from ", "copy to ", "rename from ",
    "rename to ", "similarity index ", "dissimilarity index ", "index ",
)  # fmt: skip
# What may stand below a line that opens a diff without being git's: diff -u, svn, cvs, hg, quilt.
_BELOW_OPENING = (*_EXTENDED, "--- ", "*** ", "=====", "RCS file:", "diff ", "Index: ", "Binary files ", "Only in ")
_CONTEXT_RULE = "***************"

_TEXT, _SUSPECT, _OLD, _HUNKS, _HEADER, _BINARY, _CONTEXT = range(7)


@dataclass(frozen=True, slots=True)
class Split:
    """A text taken apart."""

    message: str  # what stands above the diff
    tail: str  # what stands among and below the diff, signature and footer too
    diff: str | None
    whole: bool  # every hunk has the lines that its header counts


def may_hold_diff(text: str) -> bool:
    """A quick no for most mail."""
    for mark in ("--- ", "diff ", "Index: "):
        if text.startswith(mark) or "\n" + mark in text:
            return True
    return False


def split(text: str) -> Split:
    """Patchwork's rules (reference: mail rules, section 6), line by line, with these mends:

    - a line of prose that begins with `diff ` or `Index: ` opens no diff unless a diff's header follows;
    - after binary data the next file's header belongs to the diff, and a signature ends the data;
    - `Binary files ... differ` below a git header is a diff; context diffs are read.
    """
    if not may_hold_diff(text):
        return Split(text, "", None, whole=True)
    splitter = _Splitter(text)
    splitter.run()
    message, tail = splitter.texts()
    return Split(message, tail, "".join(splitter.out) or None, splitter.whole)


class _Splitter:
    """The state machine. `out` is the diff, `said` the message, `held` the lines that may be either."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.at = 0
        self.out: list[str] = []
        self.said: list[str] = []
        self.above = -1  # how many lines of `said` stand above the diff
        self.held: list[str] = []
        self.state = _TEXT
        self.hunks = 0
        self.whole = True

    def run(self) -> None:
        steps = (self._text, self._suspect, self._old, self._hunk, self._header, self._binary, self._context)
        lines = self.lines
        while self.at < len(lines):
            steps[self.state](lines[self.at])
            self.at += 1
        self.said += self.held
        self.held = []

    def texts(self) -> tuple[str, str]:
        above = len(self.said) if self.above < 0 else self.above
        return "".join(self.said[:above]), "".join(self.said[above:])

    def _take(self, line: str) -> None:
        """Everything held and this line belong to the diff."""
        if self.above < 0:
            self.above = len(self.said)
        self.out += self.held
        self.held.clear()
        self.out.append(line + "\n")

    def _hold(self, line: str, state: int) -> None:
        self.held.append(line + "\n")
        self.state = state

    def _say(self, line: str) -> None:
        """Everything held and this line belong to the message."""
        self.said += self.held
        self.held.clear()
        self.said.append(line + "\n")
        self.state = _TEXT

    def _text(self, line: str) -> None:
        if line.startswith("--- "):
            self._hold(line, _OLD)
        elif line.startswith(("diff ", "Index: ")) and self._opens():
            self._hold(line, _SUSPECT)
        elif line.startswith("*** ") and self._opens_context():
            self._take(line)
            self.state = _CONTEXT
        else:
            self.said.append(line + "\n")

    def _opens(self) -> bool:
        """Does a diff's header follow? git's own line needs no proof; mailers fold long ones in two."""
        line = self.lines[self.at]
        if line.startswith("diff --git "):
            return True
        return any(below.startswith(_BELOW_OPENING) for below in self.lines[self.at + 1 : self.at + 3])

    def _opens_context(self) -> bool:
        below = self.lines[self.at + 1 : self.at + 3]
        return len(below) == 2 and below[0].startswith("--- ") and below[1].startswith(_CONTEXT_RULE)

    def _suspect(self, line: str) -> None:
        if line.startswith("--- "):
            self._hold(line, _OLD)
        elif line.startswith(_EXTENDED):
            self._hold(line, _HEADER)
        elif line.startswith(("Binary files ", "Files ")) and line.endswith(" differ") and self._under_git():
            self._take(line)
        elif line.startswith("*** ") and self._opens_context():
            self._take(line)
            self.state = _CONTEXT
        else:
            self._hold(line, _SUSPECT)

    def _under_git(self) -> bool:
        return any(line.startswith("diff ") for line in self.held[-4:])

    def _old(self, line: str) -> None:
        if line.startswith("+++ "):
            self._hold(line, _HUNKS)
        elif self.hunks:
            self._hold(line, _SUSPECT)
        else:
            self._say(line)

    def _hunk(self, line: str) -> None:
        found = _HUNK.match(line)
        if found:
            self._take(line)
            self._lines(int(found.group(1) or 1), int(found.group(2) or 1))
        elif line.startswith("--- "):
            self._take(line)
            self.state = _OLD
        elif line.startswith("\\ No newline at end of file") and self.hunks:
            self._take(line)
        elif self.hunks:
            self._hold(line, _SUSPECT)
        else:
            self._say(line)

    def _lines(self, old: int, new: int) -> None:
        """Take the lines that a hunk header counts; the counts are trusted, whatever the lines look like."""
        lines, out = self.lines, self.out
        at = self.at
        last = len(lines) - 1
        while at < last:
            at += 1
            line = lines[at]
            mark = line[:1]
            if mark == "-":
                old -= 1
            elif mark == "+":
                new -= 1
            elif mark != "\\" or not line.startswith("\\ No newline at end of file"):
                old -= 1
                new -= 1
            out.append(line + "\n")
            if old <= 0 and new <= 0:
                self.hunks += 1
                break
        self.at = at
        self.whole = self.whole and old == 0 and new == 0

    def _header(self, line: str) -> None:
        if line.startswith(_EXTENDED):
            self._take(line)
        elif line.startswith("--- "):
            self._take(line)
            self.state = _OLD
        elif line.startswith("GIT binary patch"):
            self._take(line)
            self.state = _BINARY
        elif line.startswith("Binary files ") and line.endswith(" differ"):
            self._take(line)
            self.state = _SUSPECT
        else:
            self._hold(line, _SUSPECT)

    def _binary(self, line: str) -> None:
        if line.startswith("diff") or line == "-- ":
            self._hold(line, _SUSPECT)
        else:
            self._take(line)

    def _context(self, line: str) -> None:
        if line.startswith(("*", "!", "+", "-", " ", "\\", "diff ", "Index: ", "=====", "Only in ")) and line != "-- ":
            self._take(line)
        else:
            self._hold(line, _SUSPECT)

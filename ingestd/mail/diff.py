"""Message and diff apart: Patchwork's state machine, mended where it misreads, so that hashes agree with it."""

import re
from typing import NamedTuple

_HUNK = re.compile(r"@@ -\d+(?:,(\d{1,9}))? \+\d+(?:,(\d{1,9}))? @@")  # no file has more lines
_EXTENDED = (
    "old mode ", "new mode ", "deleted file mode ", "new file mode ", "copy from ", "copy to ", "rename from ",
    "rename to ", "similarity index ", "dissimilarity index ", "index ",
)  # fmt: skip
_MARKS = ("--- ", "diff ", "Index: ", "*** ")
# What may stand below a line that opens a diff without being git's: diff -u, svn, cvs, hg, quilt.
_BELOW_OPENING = (*_EXTENDED, "--- ", "*** ", "=====", "RCS file:", "diff ", "Index: ", "Binary files ", "Only in ")
_PROSE = re.compile(r"[^-dI*]+")  # first characters of lines that begin nothing
_QUIET = re.compile(r"[^-*BFodncrsi]+")  # and that say nothing of a file
_CONTEXT_RULE = "***************"

_TEXT, _SUSPECT, _OLD, _HUNKS, _HEADER, _BINARY, _CONTEXT = range(7)


class Hunk(NamedTuple):
    """A hunk's place in the lines of its diff."""

    size: str  # the counts as its header writes them: `-1 +2` of `@@ -5 +5,2 @@`
    end: int  # index of the first line behind it; the hunk's own begin behind its header
    old: int  # lines as its header counts them
    new: int
    remarks: int  # lines of `\\ No newline at end of file`
    plain: bool  # every line begins as it must, and the counts hold


class Diff(NamedTuple):
    """A diff, with what its readers need not find out again."""

    text: str
    lines: list[str]  # without line ends
    hunks: dict[int, Hunk]  # index of the line with the hunk's header -> hunk

    @property
    def whole(self) -> bool:
        """Every hunk has the lines that its header counts."""
        return all(hunk.plain for hunk in self.hunks.values())


class Split(NamedTuple):
    """A text taken apart."""

    message: str  # what stands above the diff
    tail: str  # what stands among and below the diff, signature and footer too
    diff: Diff | None


def first_mark(text: str) -> int:
    """Where the first line stands that may begin a diff; -1 for most mail."""
    if text.startswith(_MARKS):
        return 0
    first = len(text)
    for mark in _MARKS:
        at = text.find("\n" + mark, 0, first + len(mark))
        first = at if at >= 0 else first
    return first + 1 if first < len(text) else -1


def split(text: str, lines: list[str] | None = None) -> Split:
    """The text's message, its diff and what stands behind; `lines` are those of the text where the caller has them.

    Patchwork's rules (reference: mail rules, section 6), line by line, with these mends:

    - a line of prose that begins with `diff ` or `Index: ` opens no diff unless a diff's header follows;
    - after binary data the next file's header belongs to the diff, and a signature ends the data;
    - `Binary files ... differ` below a git header is a diff; context diffs are read.
    """
    start = first_mark(text)
    if start < 0:
        return Split(text, "", None)
    splitter = _Splitter(text[start:].split("\n") if lines is None else lines[text.count("\n", 0, start) :])
    splitter.run()
    message, tail = splitter.texts()
    found = Diff(_text(splitter.out), splitter.out, splitter.found) if splitter.out else None
    return Split(text[:start] + message, tail, found)


def unread(text: str) -> Diff:
    """A diff of which nothing is known but its text."""
    return Diff(text, text.removesuffix("\n").split("\n"), {})


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n" if lines else ""


class _Splitter:
    """The state machine. `out` is the diff, `said` the message, `held` the lines that may be either."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.marks = "".join([line[:1] or "\n" for line in self.lines])  # the first character of each line
        self.at = 0
        self.out: list[str] = []
        self.said: list[str] = []
        self.above = -1  # how many lines of `said` stand above the diff
        self.held: list[str] = []
        self.state = _TEXT
        self.hunks = 0
        self.found: dict[int, Hunk] = {}

    def run(self) -> None:
        steps = (self._text, self._suspect, self._old, self._hunk, self._header, self._binary, self._context)
        lines = self.lines
        while self.at < len(lines):
            line = lines[self.at]
            if not (line.startswith("diff --git ") and self._file(line)):
                steps[self.state](line)
            self.at += 1
        self.said += self.held
        self.held = []

    def texts(self) -> tuple[str, str]:
        above = len(self.said) if self.above < 0 else self.above
        return _text(self.said[:above]), _text(self.said[above:])

    def _take(self, line: str) -> None:
        """Everything held and this line belong to the diff."""
        if self.above < 0:
            self.above = len(self.said)
        self.out += self.held
        self.held.clear()
        self.out.append(line)

    def _hold(self, line: str, state: int) -> None:
        self.held.append(line)
        self.state = state

    def _say(self, line: str) -> None:
        """Everything held and this line belong to the message."""
        self.said += self.held
        self.held.clear()
        self.said.append(line)
        self.state = _TEXT

    def _file(self, line: str) -> bool:
        """Take the lines that begin nearly every file in git's diffs, and its first hunk; all others go one by one."""
        if self.state not in (_TEXT, _SUSPECT, _HEADER) and not (self.state == _HUNKS and self.hunks):
            return False
        index, old, new, hunk = (self.lines[self.at + 1 : self.at + 5] + [""] * 4)[:4]
        if not (index.startswith("index ") and old.startswith("--- ") and new.startswith("+++ ")):
            return False
        found = _HUNK.match(hunk)
        if not found:
            return False
        self._take(line)
        self.out += (index, old, new, hunk)
        self.at += 4
        self._lines(found.group(1) or "1", found.group(2) or "1")
        return True

    def _text(self, line: str) -> None:
        if prose := _PROSE.match(self.marks, self.at):
            self.said += self.lines[self.at : prose.end()]
            self.at = prose.end() - 1
        elif line.startswith("--- "):
            self._hold(line, _OLD)
        elif line.startswith(("diff ", "Index: ")) and self._opens():
            self._hold(line, _SUSPECT)
        elif line.startswith("*** ") and self._opens_context():
            self._take(line)
            self.state = _CONTEXT
        else:
            self.said.append(line)

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
        if quiet := _QUIET.match(self.marks, self.at):
            self.held += self.lines[self.at : quiet.end()]
            self.at = quiet.end() - 1
        elif line.startswith("--- "):
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
            self._lines(found.group(1) or "1", found.group(2) or "1")
        elif line.startswith("--- "):
            self._take(line)
            self.state = _OLD
        elif line.startswith("\\ No newline at end of file") and self.hunks:
            self._take(line)
        elif self.hunks:
            self._hold(line, _SUSPECT)
        else:
            self._say(line)

    def _lines(self, before: str, after: str) -> None:
        """Take the lines that a hunk header counts; the counts are trusted, whatever the lines look like."""
        marks, last = self.marks, len(self.marks)
        start = at = self.at + 1
        old, new = left, right = int(before), int(after)
        remarks = 0
        plain = True
        while at < last:
            end = min(at + max(left, right, 1), last)  # no line counts for more than one on a side
            added, removed = marks.count("+", at, end), marks.count("-", at, end)
            context = marks.count(" ", at, end)
            if odd := end - at - added - removed - context:
                ends = [line for line in self.lines[at:end] if line.startswith("\\ No newline at end of file")]
                remarks += len(ends)
                context += odd - len(ends)
                plain = plain and len(ends) == odd
            left -= context + removed
            right -= context + added
            at = end
            if left <= 0 and right <= 0:
                self.hunks += 1
                self.state = _HUNKS
                break
        header = len(self.out) - 1
        self.out += self.lines[start:at]
        plain = plain and left == 0 and right == 0
        self.found[header] = Hunk(f"-{before} +{after}", len(self.out), old, new, remarks, plain)
        self.at = at - 1

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

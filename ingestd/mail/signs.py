"""Lines that may say something of a diff, by how they begin, and where they stand."""

import re

# What a file begins with, and what a hunk begins with; and the lines of git's extended header.
FILE = ("--- ", "diff ", "Index: ", "*** ")
HUNK = "@@ -"
EXTENDED = (
    "old mode ", "new mode ", "deleted file mode ", "new file mode ", "copy from ", "copy to ", "rename from ",
    "rename to ", "similarity index ", "dissimilarity index ", "index ",
)  # fmt: skip
# Every line that may begin or end a diff, a hunk or a file, or say something of a file, begins with one of these. Their
# first four letters tell of most lines that they don't.
_SAYING = (*FILE, HUNK, *EXTENDED, "Binary files ", "Files ", "GIT binary patch")
_SAYING_LINE = re.compile(rf"\n(?:{'|'.join(map(re.escape, _SAYING))})")
_SIGNS = frozenset(words[:4] for words in _SAYING)
_LOUD = "-dI*@oncrsiBFG"  # their first characters
_QUIET = re.compile(f"[^{_LOUD}]*")
# Lines that may say something, and a few quiet ones among them. It begins with a set alone, for a quick search, and has
# a bound, without which it would not be safe (tests/test_patterns.py).
_LOUD_SPAN = re.compile(f"[{_LOUD}][{_LOUD}]*(?:[^{_LOUD}]{{1,8}}[{_LOUD}]+){{0,1000}}")
_MISSES = 16  # lines that begin as if they said something; behind so many in a row all lines are asked at once


def marks_of(lines: list[str]) -> str:
    """The first character of each line, a line end for one without any: what many lines are told by at once."""
    return "".join([line[0] if line else "\n" for line in lines])


def any_below(text: str, at: int) -> bool:
    """Does any line below the line end at `at` say something of a diff?"""
    return _SAYING_LINE.search(text, at) is not None


class Signs:
    """Where the lines stand that may say something of a diff."""

    def __init__(self, lines: list[str], marks: str, flags: str = "") -> None:
        """`flags` has a `!` for each such line, and a `.` for each other; empty until there is need of it."""
        self.lines = lines
        self.marks = marks
        self.flags = flags
        self.file = -1  # the last one that begins a file, as far as it was asked for

    def next(self, at: int) -> int:
        """The first one from `at` on; the number of lines when there is none."""
        lines, marks, last = self.lines, self.marks, len(self.lines)
        if self.flags:
            found = self.flags.find("!", at)
            return found if found >= 0 else last
        for _ in range(_MISSES):
            if at >= last or (lines[at][:4] in _SIGNS and lines[at].startswith(_SAYING)):
                return at
            at += 1
            if marks[at : at + 1] not in _LOUD:
                quiet = _QUIET.match(marks, at)
                at = quiet.end() if quiet else at
        self.flags = _flags(lines, marks)
        return self.next(at)

    def next_file(self, at: int) -> int:
        """The first line from `at` on that begins with `diff `; the number of lines when there is none.

        Who asks goes down the lines, so that each is looked for once, however often it is asked for.
        """
        if self.file < at:
            self.file = self._file(at)
        return self.file

    def _file(self, at: int) -> int:
        lines, marks = self.lines, self.marks
        for _ in range(_MISSES):
            at = marks.find("d", at)
            if at < 0:
                return len(lines)
            if lines[at].startswith("diff "):
                return at
            at += 1
        self.flags = self.flags or _flags(lines, marks)
        while (at := self.flags.find("!", at)) >= 0 and not lines[at].startswith("diff "):
            at += 1
        return at if at >= 0 else len(lines)


def _flags(lines: list[str], marks: str) -> str:
    """As `Signs` wants them. Thousands of quiet lines, empty ones most of all, cost next to nothing."""
    pieces: list[str] = []
    at = 0
    for span in _LOUD_SPAN.finditer(marks):
        pieces.append("." * (span.start() - at))
        at = span.end()
        pieces += [
            "!" if len(line) > 3 and line[:4] in _SIGNS and line.startswith(_SAYING) else "."
            for line in lines[span.start() : at]
        ]
    pieces.append("." * (len(lines) - at))
    return "".join(pieces)

"""The state machine that finds a diff in a text, line by line: Patchwork's, mended where it misreads."""

from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from ingestd.mail import limits
from ingestd.mail.hunk import REMARK, Headers, Hunk, above_prose, adds_up, begins_file, may_follow, odd, plain
from ingestd.mail.signs import EXTENDED, Signs, marks_of

_EXTENDED_BY_MARK = {words[0]: tuple(other for other in EXTENDED if other[0] == words[0]) for words in EXTENDED}
_FIRST = ("diff --git ", "--- ")  # what a file begins with in nearly every diff
# What may stand below a line that opens a diff without being git's: diff -u, svn, cvs, hg, quilt.
_BELOW_OPENING = (*EXTENDED, "--- ", "*** ", "=====", "RCS file:", "diff ", "Index: ", "Binary files ", "Only in ")
_CONTEXT_MARKS = frozenset("*!+- \\")
_CONTEXT_RULE = "***************"

_TEXT, _SUSPECT, _OLD, _HUNKS, _HEADER, _CONTEXT = range(6)


@dataclass
class Layout:
    """The lines of a diff, and what the readers of them need not find out again."""

    lines: list[str]  # without line ends
    marks: str  # the first character of each line, as `signs.marks_of` tells
    hunks: dict[int, Hunk]  # index of the line with the hunk's header -> hunk
    extended: dict[int, int] = field(default_factory=dict)  # first of some lines of git's extended header -> their end
    data: dict[int, int] = field(default_factory=dict)  # first line of binary data -> its end
    flags: str = field(default="", compare=False)  # of `Signs`, where they are known

    @property
    def text(self) -> str:
        """All lines, with their line ends."""
        return _text(self.lines)


class Trust(Enum):
    """How far the counts of hunks are trusted."""

    COUNTS = "whatever the lines are"  # as Patchwork does
    ABOVE_PROSE = "up to where prose begins"  # people cut hunks short in answers, and write below them
    WHOLE = "where all of them add up, and nothing is left over"  # else there is no diff


def _is_binary(line: str) -> bool:
    """Is this the word of a binary file, that git writes below its header?"""
    return line.startswith("GIT binary patch") or (line.startswith("Binary files ") and line.endswith(" differ"))


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n" if lines else ""


def _room(size: int) -> int:
    """How many half steps there are for so many characters."""
    return limits.room(size, few=24, each=24)


class Splitter:
    """The state machine. Of the lines above `at`, those from `open` on may be the diff's or the message's.

    A step is a line, a run of quiet lines, or a file with its header and its hunks. A hunk that is not quite as git
    writes it is half a step more, or some, as `hunk` says; so is one below another one, a word that opens no diff, and
    binary data. What git writes has as many characters as there is room for.
    """

    def __init__(self, lines: list[str], size: int, trust: Trust) -> None:
        """`lines` are those of a text of so many characters from the first one on that may begin a diff."""
        self.lines = lines
        self.marks = marks_of(lines)
        self.trust = trust
        self.sound, self.frayed = True, False
        self.signs = Signs(lines, self.marks)
        self.at = self.open = 0
        self.runs: list[tuple[int, int]] = []  # where the diff's lines begin and end, in order
        self.taken = 0  # how many there are
        self.state = _TEXT
        self.hunks = 0
        self.headers = Headers()
        self.without_hunk = -1  # the last line behind hunks that does not begin another file with hunks
        self.extent = -1, -1  # of the last header that was looked at: its first line, and the line behind it
        self.found: dict[int, Hunk] = {}
        self.extended: dict[int, int] = {}
        self.data: dict[int, int] = {}
        self.next_signature = -1  # as far as binary data has looked
        self.steps = self.above = 0  # half steps taken, and those of them that were taken above the diff
        self.most = _room(size)
        self.front = 0  # characters that stand above the lines, and are the diff's
        self.alone = self.skipped = self.unread = False

    def go_on(self, size: int, files: int) -> None:
        """Begin below a hunk: so many files of `size` characters were read already."""
        self.front = size
        self.runs = [(0, 0)]
        self.hunks, self.state = 1, _HUNKS
        self.steps = 2 * (files - 1)
        hunk = self._next_hunk(0)
        self._hunks(0, hunk, below=hunk == 0)
        self.steps += 2
        self.at += 1

    def run(self) -> None:
        """Go down all lines."""
        steps = (self._text, self._suspect, self._old, self._hunk, self._header, self._context)
        lines = self.lines
        while self.sound and self.at < len(lines) and (self.steps < self.most or self._more_steps()):
            line = lines[self.at]
            if not (line.startswith(_FIRST) and self._file()):
                steps[self.state](line)
            self.steps += 2
            self.at += 1
        self.unread = self.skipped or any(lines[self.at :])

    def _more_steps(self) -> bool:
        """Once all are used up, the diff has those of its own size, and where it has not begun, it is gone to: once."""
        if self.alone:
            return False
        self.alone = True
        if not self.runs:
            first = self._beginning()
            if first == len(self.lines):
                return False
            self.at = self.open = first
            self.state = _TEXT
            self.above = self.steps
            self.skipped = True
        else:
            first = self.runs[0][0]
        below = self.lines[first:]
        self.most = self.above + _room(self.front + sum(map(len, below)) + len(below))
        return self.steps < self.most

    def _beginning(self) -> int:
        """The next line that a diff begins with in nearly every mail; the number of lines where there is none."""
        lines, last = self.lines, len(self.lines)
        for at in range(self.at, last - 1):
            line = lines[at]
            if line.startswith("diff --git ") or (line.startswith("--- ") and lines[at + 1].startswith("+++ ")):
                return at
        return last

    def texts(self) -> tuple[str, str]:
        """What stands above the diff, and what among and below it."""
        above = self.runs[0][0] if self.runs else len(self.lines)
        tail: list[str] = []
        for (_, end), (start, _) in pairwise([*self.runs, (len(self.lines), 0)]):
            tail += self.lines[end:start]
        return _text(self.lines[:above]), _text(tail)

    def layout(self) -> Layout:
        """The lines of the diff; none where there is no diff."""
        lines: list[str] = []
        for start, end in self.runs:
            lines += self.lines[start:end]
        marks = "".join([self.marks[start:end] for start, end in self.runs])
        flags = "".join([self.signs.flags[start:end] for start, end in self.runs])
        return Layout(lines, marks, self.found, self.extended, self.data, flags)

    def _take(self, end: int) -> None:
        """All lines from `open` to `end` belong to the diff."""
        start = self.open
        if not self.runs:
            self.above = self.steps
        if self.runs and self.runs[-1][1] == start:
            self.runs[-1] = (self.runs[-1][0], end)
        elif end > start:
            self.runs.append((start, end))
        self.taken += end - start
        self.open = end

    def _note(self, ends: dict[int, int], start: int, end: int) -> None:
        """Where some lines end, by their places in the diff."""
        behind = self.taken - self.open
        ends[start + behind] = end + behind

    def _note_header(self, start: int, end: int) -> None:
        """Note where some lines of git's extended header end; one `index` line alone is told by its first character."""
        if end > start and self.marks[start:end] != "i":
            self._note(self.extended, start, end)

    def _say(self) -> None:
        """All lines from `open` to this one belong to the message."""
        self.open = self.at + 1
        self.state = _TEXT

    def _file(self) -> bool:
        """Take the file that begins here as nearly every file does, and all such files behind it; else line by line."""
        if self.state not in (_TEXT, _SUSPECT, _HEADER) and not (self.state == _HUNKS and self.hunks):
            return False
        if self.at != self.without_hunk and (hunk := self._first_hunk(self.at)) >= 0:
            self._hunks(hunk, hunk)
            return True
        return self.marks[self.at] == "d" and self._no_hunks()

    def _no_hunks(self) -> bool:
        """Take the header of a file without hunks, down to the word of binary data, as git writes it."""
        first = self.at + 1
        end = self._extended_end(first)
        binary = self.marks[end : end + 1] in ("G", "B") and _is_binary(self.lines[end])
        if end < first + (1 if binary else 2):
            return False
        if binary:
            self._note_header(first, end)
            self.at = end
            self._binary()
        else:
            self._extended(first, end)
        return True

    def _first_hunk(self, at: int) -> int:
        """Where the first hunk begins of the file whose first lines stand here, as nearly every file's do; else -1."""
        lines, marks = self.lines, self.marks
        first = at + 1
        if marks[at : at + 1] == "d" and lines[at].startswith("diff --git "):
            at = self._extended_end(first)
        if marks[at : at + 3] != "-+@" or not (lines[at].startswith("--- ") and lines[at + 1].startswith("+++ ")):
            return -1
        if not self.headers[lines[at + 2]]:
            return -1
        self._note_header(first, at)
        return at + 2

    def _pass(self) -> None:
        """Go to the last of the lines that say nothing of a diff, this one and all that follow it."""
        self.at = self.signs.next(self.at + 1) - 1

    def _text(self, line: str) -> None:
        if line.startswith("--- "):
            if self.marks[self.at + 1 : self.at + 2] == "+":
                self.state = _OLD
            else:  # the line below is taken for a file's new name, too
                self.at += 1
                self._say()
        elif line.startswith(("diff ", "Index: ")) and self._opens():
            self.state = _SUSPECT
        elif line.startswith("*** ") and self._opens_context():
            self._take(self.at + 1)
            self.state = _CONTEXT
        else:
            self._pass()
            self._say()

    def _opens(self) -> bool:
        """Does a diff's header follow? git's own line needs no proof; mailers fold long ones in two."""
        if self.lines[self.at].startswith("diff --git "):
            return True
        for below in self.lines[self.at + 1 : self.at + 3]:
            if below.startswith(_BELOW_OPENING):
                return True
        self.steps += 1
        return False

    def _opens_context(self) -> bool:
        below = self.lines[self.at + 1 : self.at + 3]
        return len(below) == 2 and below[0].startswith("--- ") and below[1].startswith(_CONTEXT_RULE)

    def _suspect(self, line: str) -> None:
        if line.startswith("diff "):  # one more; the next line may tell
            return
        if line.startswith("--- "):
            self.state = _OLD
        elif line.startswith(EXTENDED):
            self.state = _HEADER
            if self.at + 1 < len(self.lines) and self.lines[self.at + 1].startswith(EXTENDED):
                self._extended(self.at, self._extended_end(self.at))
        elif line.startswith(("Binary files ", "Files ")) and line.endswith(" differ") and self._under_git():
            self._take(self.at + 1)
        elif line.startswith("*** ") and self._opens_context():
            self._take(self.at + 1)
            self.state = _CONTEXT
        else:
            self._pass()

    def _under_git(self) -> bool:
        return any(line.startswith("diff ") for line in self.lines[max(self.open, self.at - 4) : self.at])

    def _old(self, line: str) -> None:
        if line.startswith("+++ "):
            self.state = _HUNKS
        elif self.hunks:
            self.state = _SUSPECT
        else:
            self._say()

    def _hunk(self, line: str) -> None:
        if self.headers[line]:
            self._hunks(self.at, self.at)
        elif line.startswith("--- "):
            self._take(self.at + 1)
            self.state = _OLD
        elif line.startswith(REMARK) and self.hunks:
            self._take(self.at + 1)
        elif self.hunks:
            self.state = _SUSPECT
        else:
            self._say()

    def _hunks(self, at: int, hunk: int, *, below: bool = False) -> None:
        """Take all lines down to `at`, and from there on this hunk (none: -1), and all hunks and usual files below.

        `below`: another hunk stands directly above this one.
        """
        if not self.runs:
            self._take(at)  # the diff begins, before any step is taken for its hunks
        lines, marks = self.lines, self.marks
        prose, whole = self.trust is Trust.ABOVE_PROSE, self.trust is Trust.WHOLE
        read, last = above_prose if prose else odd, len(lines)
        behind = self.taken - self.open  # how far a line's place in the diff is from its place in the text
        while hunk >= 0 and self.steps < self.most and (counts := self.headers[lines[hunk]]):
            found, reached, steps = plain(marks, hunk + 1, behind, counts, last), True, 0
            if found is None or (prose and begins_file(lines, marks, found.end - behind)):
                found, reached, steps = read(lines, marks, hunk + 1, behind, counts, last)
            if whole and not adds_up(found, marks, hunk + 1, behind):
                self.sound = False
                break
            if reached:
                self.hunks += 1
                self.state = _HUNKS
            self.steps += steps + (1 if steps and below else 0)
            at = found.end - behind
            if marks[at : at + 1] == "\\" and lines[at].startswith(REMARK):  # of the hunk's last line
                at += 1
            self.found[hunk + behind] = found
            hunk = self._next_hunk(at)
            below = hunk == at
        if at < len(lines) and not may_follow(lines[at]):
            self.frayed = True
            self.sound = not whole
        self._take(at)
        self.at = at - 1

    def _next_hunk(self, at: int) -> int:
        """The hunk that may begin at this line, behind another one, or the first one of a file; -1 for none."""
        if self.marks[at : at + 1] == "@":
            return at
        hunk = self._first_hunk(at)
        if hunk >= 0:
            self.steps += 2
        else:
            self.without_hunk = at
        return hunk

    def _header(self, line: str) -> None:
        self.state = _SUSPECT
        if line.startswith(EXTENDED):
            self._extended(self.at, self._extended_end(self.at))
        elif line.startswith("--- "):
            self._take(self.at + 1)
            self.state = _OLD
        elif _is_binary(line):
            self._binary()

    def _extended(self, start: int, end: int) -> None:
        """Take these lines of git's extended header, and what is above them."""
        self.state = _HEADER
        self._note_header(start, end)
        self._take(end)
        self.at = end - 1

    def _extended_end(self, at: int) -> int:
        """Where the lines of git's extended header end that begin here."""
        if at != self.extent[0]:  # it is asked twice of most files without hunks
            lines, marks, end, last = self.lines, self.marks, at, len(self.lines)
            while end < last and lines[end].startswith(_EXTENDED_BY_MARK.get(marks[end], ())):
                end += 1
            self.extent = at, end
        return self.extent[1]

    def _binary(self) -> None:
        """Take the word of a binary file, and the data that git writes below it, which is a step of its own."""
        start = end = self.at + 1
        if self.marks[self.at] == "G":
            self.steps += 2
            end = self._data_end(start)
        if end > start:
            self._note(self.data, start, end)
        self._take(end)
        self.at = end - 1
        self.state = _SUSPECT

    def _data_end(self, start: int) -> int:
        """Where binary data ends: with the next `diff ` or signature. Both are looked for once, however much data."""
        lines, last = self.lines, len(self.lines)
        if self.next_signature < start:
            try:
                self.next_signature = lines.index("-- ", start)
            except ValueError:
                self.next_signature = last
        return min(self.signs.next_file(start), self.next_signature)

    def _context(self, line: str) -> None:
        start = at = self.at
        while at < len(self.lines) and self.marks[at] in _CONTEXT_MARKS and self.lines[at] != "-- ":
            at += 1
        if at > start:
            self._take(at)
            self.at = at - 1
        elif line.startswith(("diff ", "Index: ", "=====", "Only in ")):
            self._take(self.at + 1)
        else:
            self.state = _SUSPECT

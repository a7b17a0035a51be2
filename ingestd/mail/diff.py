"""Message and diff apart: Patchwork's state machine, mended where it misreads, so that hashes agree with it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from ingestd.mail import limits
from ingestd.mail.hunk import REMARK, Headers, Hunk, above_prose, adds_up, begins_file, may_follow, odd, plain
from ingestd.mail.signs import EXTENDED, FILE, Signs, marks_of

_EXTENDED_BY_MARK = {words[0]: tuple(other for other in EXTENDED if other[0] == words[0]) for words in EXTENDED}
_FIRST = ("diff --git ", "--- ")  # what a file begins with in nearly every diff
_MARK = re.compile(r"\n(?:--- |diff |Index: |\*\*\* )")
_HEADER_LINE = "|".join(EXTENDED)
# One stands in every diff: a file's two names, two lines of its header, the word of a binary file, a context diff.
_NEEDED = re.compile(
    r"\n(?=[-*oncrdsi][^\n]{3})(?:--- [^\n]*+\n\+\+\+ [^\n]*+\n(?:@@ -|--- )|\*\*\* [^\n]*+\n--- [^\n]*+\n\*{15}|"
    r"diff [^\n]*+(?:\n[^\n]*+){0,3}?\n(?:Binary files|Files)(?: [^\n]*)? differ(?:\n|\Z)|"
    rf"(?:{_HEADER_LINE})[^\n]*+\n(?:{_HEADER_LINE}|--- |GIT binary patch|Binary files ))"
)
# What may stand below a line that opens a diff without being git's: diff -u, svn, cvs, hg, quilt.
_BELOW_OPENING = (*EXTENDED, "--- ", "*** ", "=====", "RCS file:", "diff ", "Index: ", "Binary files ", "Only in ")
_CONTEXT_MARKS = frozenset("*!+- \\")
_CONTEXT_RULE = "***************"

_TEXT, _SUSPECT, _OLD, _HUNKS, _HEADER, _CONTEXT = range(6)


@dataclass
class Diff:
    """A diff, with what its readers need not find out again."""

    text: str
    lines: list[str]  # without line ends
    marks: str  # the first character of each line, as `signs.marks_of` tells
    hunks: dict[int, Hunk]  # index of the line with the hunk's header -> hunk
    extended: dict[int, int] = field(default_factory=dict)  # first of some lines of git's extended header -> their end
    data: dict[int, int] = field(default_factory=dict)  # first line of binary data -> its end
    flags: str = field(default="", compare=False)  # of `Signs`, where they are known
    frayed: bool = field(default=False, compare=False)  # a hunk has a line below it that belongs nowhere
    joined: tuple["Diff", ...] = ()  # what it was made of, where it was several

    @property
    def plain(self) -> bool:
        """Every hunk is as git writes it."""
        return all(hunk.plain for hunk in self.hunks.values())

    @property
    def whole(self) -> bool:
        """Every hunk has the lines that its header counts; empty ones are context that has lost its blank."""
        return all(adds_up(hunk, self.marks, start + 1, 0) for start, hunk in self.hunks.items())


class Split(NamedTuple):
    """A text taken apart."""

    message: str  # what stands above the diff
    tail: str  # what stands among and below the diff, signature and footer too
    diff: Diff | None
    unread: bool = False  # more pieces than a text of its size has: what was not looked at is in `message` or `tail`


def joined(diffs: Sequence[Diff]) -> Diff:
    """Several diffs as one. Each keeps its own hunks and files, also where one is cut off or does not say its file."""
    lines: list[str] = []
    hunks: dict[int, Hunk] = {}
    extended: dict[int, int] = {}
    data: dict[int, int] = {}
    for one in diffs:
        at = len(lines)
        hunks |= {start + at: hunk._replace(end=hunk.end + at) for start, hunk in one.hunks.items()}
        extended |= {start + at: end + at for start, end in one.extended.items()}
        data |= {start + at: end + at for start, end in one.data.items()}
        lines += one.lines
    flags = "".join(one.flags for one in diffs)
    text, marks = "".join(one.text for one in diffs), "".join(one.marks for one in diffs)
    flags = flags if len(flags) == len(lines) else ""
    return Diff(text, lines, marks, hunks, extended, data, flags, any(one.frayed for one in diffs), tuple(diffs))


def first_mark(text: str) -> int:
    """Where the first line stands that may begin a diff; -1 for most mail."""
    if text.startswith(FILE):
        return 0
    found = _MARK.search(text)
    return found.start() + 1 if found else -1


class Trust(Enum):
    """How far the counts of hunks are trusted."""

    COUNTS = "whatever the lines are"  # as Patchwork does
    ABOVE_PROSE = "up to where prose begins"  # people cut hunks short in answers, and write below them
    WHOLE = "where all of them add up, and nothing is left over"  # else there is no diff


def split(text: str, lines: list[str] | None = None, trust: Trust = Trust.COUNTS) -> Split:
    """The text's message, its diff and what stands behind; `lines` are those of the text where the caller has them.

    Patchwork's rules (reference: mail rules, section 6), line by line, with these mends:

    - a line of prose that begins with `diff ` or `Index: ` opens no diff unless a diff's header follows;
    - after binary data the next file's header belongs to the diff, and a signature ends the data;
    - `Binary files ... differ` below a git header is a diff; context diffs are read;
    - how far a hunk goes is a matter of `trust`.
    """
    start = first_mark(text)
    if start < 0 or not (_NEEDED.search(text, start - 1) if start else _NEEDED.search("\n" + text)):
        return Split(text, "", None)
    lines = text[start:].split("\n") if lines is None else lines[text.count("\n", 0, start) :]
    splitter = _Splitter(lines, len(text) - start, trust)
    splitter.run()
    if not splitter.sound:
        return Split(text, "", None)
    message, tail = splitter.texts()
    return Split(text[:start] + message, tail, splitter.diff(), splitter.unread)


def _is_binary(line: str) -> bool:
    """Is this the word of a binary file, that git writes below its header?"""
    return line.startswith("GIT binary patch") or (line.startswith("Binary files ") and line.endswith(" differ"))


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n" if lines else ""


def _room(size: int) -> int:
    """How many half steps there are for so many characters."""
    return limits.room(size, few=24, each=22)


class _Splitter:
    """The state machine. Of the lines above `at`, those from `open` on may be the diff's or the message's.

    A step is a line, a run of quiet lines, or a file with its header and its hunks; half of one more is a hunk that is
    not quite as git writes it, and one more where another hunk stands above it. What git writes has as many characters
    as there is room for.
    """

    def __init__(self, lines: list[str], size: int, trust: Trust) -> None:
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
        self.alone = self.skipped = self.unread = False

    def run(self) -> None:
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
        self.most = self.above + _room(sum(map(len, below)) + len(below))
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

    def diff(self) -> Diff | None:
        if not self.runs:
            return None
        lines: list[str] = []
        for start, end in self.runs:
            lines += self.lines[start:end]
        marks = "".join([self.marks[start:end] for start, end in self.runs])
        flags = "".join([self.signs.flags[start:end] for start, end in self.runs])
        return Diff(_text(lines), lines, marks, self.found, self.extended, self.data, flags, self.frayed)

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
        if self.at != self.without_hunk and (hunk := self._first_hunk(self.at)):
            self._hunks(hunk)
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
        """Where the first hunk begins of the file whose first lines stand here, as nearly every file's do; else 0."""
        lines, marks = self.lines, self.marks
        first = at + 1
        if marks[at : at + 1] == "d" and lines[at].startswith("diff --git "):
            at = self._extended_end(first)
        if marks[at : at + 3] != "-+@" or not (lines[at].startswith("--- ") and lines[at + 1].startswith("+++ ")):
            return 0
        if not self.headers[lines[at + 2]]:
            return 0
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
            self._hunks(self.at)
        elif line.startswith("--- "):
            self._take(self.at + 1)
            self.state = _OLD
        elif line.startswith(REMARK) and self.hunks:
            self._take(self.at + 1)
        elif self.hunks:
            self.state = _SUSPECT
        else:
            self._say()

    def _hunks(self, hunk: int) -> None:
        """Take all lines down to this hunk, and all hunks and usual files that follow."""
        if not self.runs:
            self._take(hunk)  # the diff begins, before any step is taken for its hunks
        lines, marks = self.lines, self.marks
        prose, whole = self.trust is Trust.ABOVE_PROSE, self.trust is Trust.WHOLE
        read, last = above_prose if prose else odd, len(lines)
        behind = self.taken - self.open  # how far a line's place in the diff is from its place in the text
        at = hunk
        below = False  # is it below another hunk?
        while hunk and self.steps < self.most and (counts := self.headers[lines[hunk]]):
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
            hunk = at
            below = marks[at : at + 1] == "@"
            if not below:
                hunk = self._first_hunk(at)
                if hunk:
                    self.steps += 2
                else:
                    self.without_hunk = at
        if at < len(lines) and not may_follow(lines[at]):
            self.frayed = True
            self.sound = not whole
        self._take(at)
        self.at = at - 1

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

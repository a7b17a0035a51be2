"""Hunks: what their headers count, and where they end."""

import re
from typing import NamedTuple

from ingestd.mail.signs import FILE, HUNK

HEADER = r"@@ -\d+(?:,(\d{1,9}))? \+\d+(?:,(\d{1,9}))? @@"  # no file has more lines
_HEADER = re.compile(HEADER)
_PLAIN = re.compile("[-+ ]*")
_WITH_REMARKS = re.compile(r"[-+ \\]*")
_REMOVED, _ADDED = re.compile("-+"), re.compile(r"\++")
REMARK = "\\ No newline at end of file"
_ROUNDS = 6  # until counts agree
_MEASURED, _COUNTED = 1, 6  # half steps of a hunk that is not quite as git's are, and of one whose counts do not hold
# What no line of a hunk begins with, but for context that has lost its blank.
_PROSE = re.compile("[^-+ \\\\\n\t\u00a0]")
_WIDTH = 70  # characters; where mail programs break lines they are about that long
_INDENT = 30  # of code that is broken at its first word, at most
_CONTEXT_LINE = re.compile("[ \u00a0]")
_REMARKS = 8  # lines of a hunk that it does not count
_BEGINNINGS = (HUNK, *FILE)


class Hunk(NamedTuple):
    """A hunk's place in the lines of its diff."""

    size: str  # the counts as its header writes them: `-1 +2` of `@@ -5 +5,2 @@`
    end: int  # index of the first line behind it; the hunk's own begin behind its header
    added: int  # lines
    removed: int
    remarks: int  # lines of `\\ No newline at end of file`
    plain: bool  # every line begins as it must, and the counts hold


Counts = tuple[str, int, int]  # of a hunk's header: `Hunk.size`, lines of the old and of the new file


class Headers(dict[str, Counts | None]):
    """Lines to what they count as headers of hunks. In a diff of many small hunks many are the same."""

    def __missing__(self, line: str) -> Counts | None:
        counts = None
        if found := _HEADER.match(line):
            old, new = found.groups("1")
            counts = f"-{old} +{new}", int(old), int(new)
        self[line] = counts
        return counts


def plain(marks: str, start: int, behind: int, counts: Counts, stop: int) -> Hunk | None:
    """The hunk whose lines begin at `start`, where it is as git writes nearly all: without odd lines and remarks.

    `marks` has the first character of each line, and a line's place in the diff is so far `behind` the one in `lines`.
    No line from `stop` on is the hunk's. Its last line counts, and all counts agree with it: so they did not before it,
    and the hunk ends behind it.
    """
    size, old, new = counts
    run = _PLAIN.match(marks, start, min(start + old + new, stop))
    end = run.end() if run else start
    if end == start or end - marks.count("+", start, end) != start + old:
        return None
    if end - marks.count("-", start, end) != start + new:
        return None
    hunk = size, end + behind, end - start - old, end - start - new, 0, True
    return tuple.__new__(Hunk, hunk)  # for all the hunks of a mail its own constructor takes its time


def odd(lines: list[str], marks: str, start: int, behind: int, counts: Counts, stop: int) -> tuple[Hunk, bool, int]:
    """A hunk that is not `plain`, whether its counts are reached, and how many half steps that took.

    The counts are trusted, as far as there are lines.
    """
    size, old, new = counts
    if end := _measured_end(marks, start, old, new, stop):
        remarks = marks.count("\\", start, end)
        if not remarks or remarks == _remarks(lines[start:end]):
            added, removed = end - remarks - start - old, end - remarks - start - new
            run = _WITH_REMARKS.match(marks, start, end)
            as_git = run is not None and run.end() == end
            return Hunk(size, end + behind, added, removed, remarks, as_git), True, _MEASURED
    remarks, as_git, reached, end = _counted(lines, marks, start, old, new, stop)
    added, removed = marks.count("+", start, end), marks.count("-", start, end)
    return Hunk(size, end + behind, added, removed, remarks, as_git), reached, _COUNTED


def above_prose(
    lines: list[str], marks: str, start: int, behind: int, counts: Counts, stop: int
) -> tuple[Hunk, bool, int]:
    """As `odd`, but the hunk ends where prose begins, or another hunk or file: no line is looked at for two hunks.

    Where there is context, and none above has kept its blank, what looks like prose may be context; and where a mail
    program has broken a line in two, the second half is none either.
    """
    _, old, new = counts
    stop = min(start + old + new + _REMARKS, stop)
    sure, seen = not (old and new), start
    found = _PROSE.search(marks, start, stop)
    while found:
        at = found.start()
        if lines[at].startswith(_BEGINNINGS):
            stop = at - 2 if begins_file(lines, marks, at) else at
            break
        sure = sure or _CONTEXT_LINE.search(marks, seen, at) is not None
        if sure and not _is_wrapped(lines[at - 1], lines[at]):
            stop = at
            break
        seen = at
        found = _PROSE.search(marks, at + 1, stop)
    hunk, reached, steps = odd(lines, marks, start, behind, counts, stop)
    if not reached:  # a signature and empty lines are not its
        if "-- " in lines[start:stop]:
            hunk, _, steps = odd(lines, marks, start, behind, counts, lines.index("-- ", start))
        its = marks[start : hunk.end - behind]
        hunk = hunk._replace(end=hunk.end - len(its) + len(its.rstrip("\n")))
    return hunk, reached, steps + 1  # to look for prose takes about as long as another half


def begins_file(lines: list[str], marks: str, at: int) -> bool:
    """Is this line the header of a file's first hunk, with the file's names above it?"""
    return marks[at - 2 : at + 1] == "-+@" and lines[at - 2].startswith("--- ") and lines[at - 1].startswith("+++ ")


def may_follow(line: str) -> bool:
    """May this line stand directly below a hunk? Else it is the hunk's, or the rest of its last line."""
    return line == "-- " or not line.strip() or line.startswith(_BEGINNINGS)


def adds_up(hunk: Hunk, marks: str, start: int, behind: int) -> bool:
    """Has a hunk the lines that its header counts? Empty ones are context that has lost its blank."""
    if hunk.plain:
        return True
    end = hunk.end - behind
    lines = end - start - hunk.remarks
    counts = f"-{lines - hunk.added} +{lines - hunk.removed}"
    return counts == hunk.size and _PROSE.search(marks, start, end) is None


def _is_wrapped(above: str, line: str) -> bool:
    """Has a mail program broken one line in two here? Then its next word had no room on it."""
    word = line[:_WIDTH].partition(" ")[0]
    indent = _INDENT if len(above) == 1 else 0  # which is gone where the first word had no room
    return indent + len(above[:_WIDTH].expandtabs()) + len(word) >= _WIDTH


def _measured_end(marks: str, start: int, old: int, new: int, stop: int) -> int:
    """Where a hunk ends, whatever follows it, if all backslashes begin remarks and odd lines are context; else 0."""
    end, left, right = start, old, new
    for _ in range(_ROUNDS):
        more = max(left, right)  # lines at least: none counts for more than one on a side
        if more <= 0:
            break
        if end + more > stop:
            return 0
        counting = more - marks.count("\\", end, end + more)
        left -= counting - marks.count("+", end, end + more)
        right -= counting - marks.count("-", end, end + more)
        end += more
    return end if left == right == 0 and start < end else 0


def _counted(lines: list[str], marks: str, at: int, old: int, new: int, stop: int) -> tuple[int, bool, bool, int]:
    """Any other hunk: how many remarks it has, whether it is plain and its counts are reached, and where it ends."""
    left, right = old, new
    remarks = 0
    as_git = True
    reached = False
    while at < stop and not reached:
        # Where one side has all its lines, more of them end nothing.
        if left <= 0 < right and (run := _REMOVED.match(marks, at, stop)):
            left -= run.end() - at
            at = run.end()
        elif right <= 0 < left and (run := _ADDED.match(marks, at, stop)):
            right -= run.end() - at
            at = run.end()
        end = min(at + max(left, right, 1), stop)  # no line counts for more than one on a side
        added, removed = marks.count("+", at, end), marks.count("-", at, end)
        context = marks.count(" ", at, end)
        if others := end - at - added - removed - context:
            ends = _remarks(lines[at:end]) if marks.count("\\", at, end) else 0
            remarks += ends
            context += others - ends
            as_git = as_git and ends == others
        left -= context + removed
        right -= context + added
        at = end
        reached = left <= 0 and right <= 0
    return remarks, as_git and left == 0 and right == 0, reached, at


def _remarks(lines: list[str]) -> int:
    return ("\n" + "\n".join(lines)).count("\n" + REMARK)

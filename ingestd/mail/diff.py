"""Message and diff apart, so that hashes agree with Patchwork's: what git writes at once, all else line by line."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ingestd.mail import ordinary, signs
from ingestd.mail.hunk import Hunk, adds_up, may_follow
from ingestd.mail.ordinary import Ordinary
from ingestd.mail.signs import EXTENDED, FILE
from ingestd.mail.splitter import Layout, Splitter, Trust

_MARK = re.compile(r"\n(?:--- |diff |Index: |\*\*\* )")
_HEADER_LINE = "|".join(EXTENDED)
# One stands in every diff: a file's two names, two lines of its header, the word of a binary file, a context diff.
_NEEDED = re.compile(
    r"\n(?=[-*oncrdsi][^\n]{3})(?:--- [^\n]*+\n\+\+\+ [^\n]*+\n(?:@@ -|--- )|\*\*\* [^\n]*+\n--- [^\n]*+\n\*{15}|"
    r"diff [^\n]*+(?:\n[^\n]*+){0,3}?\n(?:Binary files|Files)(?: [^\n]*)? differ(?:\n|\Z)|"
    rf"(?:{_HEADER_LINE})[^\n]*+\n(?:{_HEADER_LINE}|--- |GIT binary patch|Binary files ))"
)
_NO_LINES = Layout([], "", {})


@dataclass
class Diff:
    """A diff, as far as it was read to find it."""

    text: str
    ordinary: Ordinary | None  # its beginning, as far as that was read at once
    rest: Layout  # of the lines below, or of all where none was read at once
    frayed: bool = field(default=False, compare=False)  # a hunk has a line below it that belongs nowhere
    joined: tuple["Diff", ...] = ()  # what it was made of, where it was several

    @property
    def has_hunks(self) -> bool:
        """Is there any hunk?"""
        return self.ordinary is not None or bool(self.rest.hunks)

    @property
    def plain(self) -> bool:
        """Every hunk is as git writes it."""
        return all(hunk.plain for hunk in self.rest.hunks.values())

    @property
    def whole(self) -> bool:
        """Every hunk has the lines that its header counts; empty ones are context that has lost its blank."""
        return all(adds_up(hunk, self.rest.marks, start + 1, 0) for start, hunk in self.rest.hunks.items())

    def layout(self) -> Layout:
        """Of all its lines; those that were read at once are read again."""
        if self.ordinary is None:
            return self.rest
        below = self.rest.lines
        above = self.text[: len(self.text) - sum(map(len, below)) - len(below)]
        splitter = Splitter(above[:-1].split("\n"), len(above), Trust.COUNTS)
        splitter.run()
        return _one_layout([splitter.layout(), self.rest])


class Split(NamedTuple):
    """A text taken apart."""

    message: str  # what stands above the diff
    tail: str  # what stands among and below the diff, signature and footer too
    diff: Diff | None
    unread: bool = False  # more pieces than a text of its size has: what was not looked at is in `message` or `tail`


def joined(diffs: Sequence[Diff]) -> Diff:
    """Several diffs as one. Each keeps its own hunks and files, also where one is cut off or does not say its file."""
    text = "".join(one.text for one in diffs)
    frayed = any(one.frayed for one in diffs)
    usual = [one.ordinary for one in diffs if one.ordinary and not one.rest.lines]
    if len(usual) == len(diffs):
        return Diff(text, ordinary.joined(usual), _NO_LINES, frayed, tuple(diffs))
    return Diff(text, None, _one_layout([one.layout() for one in diffs]), frayed, tuple(diffs))


def _one_layout(layouts: Sequence[Layout]) -> Layout:
    """Of diffs that stand below each other."""
    lines: list[str] = []
    hunks: dict[int, Hunk] = {}
    extended: dict[int, int] = {}
    data: dict[int, int] = {}
    for one in layouts:
        at = len(lines)
        hunks |= {start + at: hunk._replace(end=hunk.end + at) for start, hunk in one.hunks.items()}
        extended |= {start + at: end + at for start, end in one.extended.items()}
        data |= {start + at: end + at for start, end in one.data.items()}
        lines += one.lines
    flags, marks = "".join(one.flags for one in layouts), "".join(one.marks for one in layouts)
    return Layout(lines, marks, hunks, extended, data, flags if len(flags) == len(lines) else "")


def first_mark(text: str) -> int:
    """Where the first line stands that may begin a diff; -1 for most mail."""
    if text.startswith(FILE):
        return 0
    found = _MARK.search(text)
    return found.start() + 1 if found else -1


def split(text: str, trust: Trust = Trust.COUNTS) -> Split:
    """The text's message, its diff and what stands behind.

    Patchwork's rules (reference: mail rules, section 6) with these mends:

    - a line of prose that begins with `diff ` or `Index: ` opens no diff unless a diff's header follows;
    - after binary data the next file's header belongs to the diff, and a signature ends the data;
    - `Binary files ... differ` below a git header is a diff; context diffs are read;
    - how far a hunk goes is a matter of `trust`.
    """
    start = first_mark(text)
    if start < 0:
        return Split(text, "", None)
    usual, end = ordinary.begin(text, start)
    return _go_on(text, start, usual, end, trust) if usual else by_line(text, start, trust)


def by_line(text: str, start: int, trust: Trust = Trust.COUNTS) -> Split:
    """As `split`, line by line from `start` on, where the first line stands that may begin a diff."""
    if not (_NEEDED.search(text, start - 1) if start else _NEEDED.search("\n" + text)):
        return Split(text, "", None)
    splitter = Splitter(text[start:].split("\n"), len(text) - start, trust)
    splitter.run()
    if not splitter.sound:
        return Split(text, "", None)
    message, tail = splitter.texts()
    layout = splitter.layout()
    found = Diff(layout.text, None, layout, splitter.frayed) if layout.lines else None
    return Split(text[:start] + message, tail, found, splitter.unread)


def _go_on(text: str, start: int, usual: Ordinary, end: int, trust: Trust) -> Split:
    """As `split`, where the diff from its first line to the last one of a hunk was read at once."""
    above, below = f"{text[start:end]}\n", text[end + 1 :]
    if end == len(text):
        return Split(text[:start], "", Diff(above, usual, _NO_LINES))
    if may_follow(below.partition("\n")[0]) and not signs.any_below(text, end):
        return Split(text[:start], f"{below}\n", Diff(above, usual, _NO_LINES))
    splitter = Splitter(below.split("\n"), len(text) - start, trust)
    splitter.go_on(len(above), len(usual.files))
    splitter.run()
    if not splitter.sound:
        return Split(text, "", None)
    rest = splitter.layout()
    return Split(
        text[:start], splitter.texts()[1], Diff(above + rest.text, usual, rest, splitter.frayed), splitter.unread
    )

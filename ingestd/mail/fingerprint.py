"""Two fingerprints of a diff: Patchwork's hash and `git patch-id --stable`, both without another process."""

import hashlib
import re
import string

from ingestd.mail.diff import Diff
from ingestd.mail.signs import Signs

_EMPTY_LINES = re.compile(r"\n\n+")
# Lines that are neither a hunk's nor, maybe, its header.
_DROPPED = re.compile(r"\n[^-+ @\n][^\n]*+(?:\n[^-+ @\n][^\n]*+)*+")  # it begins with a line end, for a quick search
# File lines (removed lines that look like one, too), and what may be a hunk's header.
_NAMING = re.compile(r"(\n(?:(?:---|\+\+\+) \S[^\n]*|@[^\n]*))")
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")

_SPACES = b" \t\n\r"  # git's own isspace
_SIZES = re.compile(r"@@ -[0-9]{0,9}(?:,([0-9]{0,9}))?(?:(?<=[0-9])( \+)[0-9]{0,9}(?:,([0-9]{0,9}))?)?")
_COMMIT = r"(?:commit |From )?[0-9A-Fa-f]{40}"
_COMMIT_LINE = re.compile(_COMMIT)
# Lines that need a closer look, wherever they stand; all between two of them are told by their first characters.
_STOP = re.compile(rf"\n(?=[\\GBF0-9A-Fa-f][^\n]{{9}})(?:GIT binary patch|Binary files|\\ [^\n]{{10}}|{_COMMIT})")
_LETTERS = frozenset(string.ascii_letters)
_BINARY = ("GIT binary patch", "Binary files")
_MAX_OID = 64
_FEW = 8  # lines that are sooner taken one by one than as a run


# The first characters of lines that need no closer look, each where the patch id is being read.
_HEADER = re.compile("[A-Za-z]*")
_ADDED = re.compile("[^- ]*")  # within a hunk, and no line of the old file
_NEITHER = re.compile("[^-+ ]*")  # within a hunk, and no line of either file


def patchwork(diff: Diff) -> str:
    """Patchwork's `hash`, 40 hex digits: SHA-1 over paths, hunk sizes and hunk lines (mail rules, section 7)."""
    if diff.ordinary is None:
        text = "\n" + diff.text.replace("\r", "").strip()
        fed = f"{_fed(text)}\n"[1:]
    else:
        below = ("\n" + diff.rest.text).rstrip()
        above = "\n".join(diff.ordinary.hashed)
        fed = (above + _fed(below) if below else above.rstrip()) + "\n"
    return hashlib.sha1(fed.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _fed(text: str) -> str:
    """What the lines of a diff add to the hash, each with a line end in front."""
    kept = _DROPPED.sub("", _EMPTY_LINES.sub("\n", text))
    pieces = _NAMING.split(kept)  # in turn: text, and a line that names
    fed = {line: _feed(line) for line in set(pieces[1::2])}  # of many small files many such lines are alike
    pieces[1::2] = [fed[line] for line in pieces[1::2]]
    return "".join(pieces)


def _feed(line: str) -> str:
    """What stands in the hash for a line that names a file or may be a hunk's header, the line end in front of each."""
    if line[1] != "@":
        path = line[5:].split(maxsplit=1)[0]
        return f"{line[:5]}{'a' if line[1] == '-' else 'b'}/{path.partition('/')[2]}"
    hunk = _HUNK.match(line, 1)
    return f"\n@@ -{hunk.group(1) or 1} +{hunk.group(2) or 1} @@" if hunk else ""


def patch_id(diff: Diff) -> str | None:
    """What `git patch-id --stable` (git 2.39 and later) prints first for this text; None where it prints nothing.

    40 hex digits: the sum of one SHA-1 for each file, over its lines without white space.
    """
    if diff.ordinary and not diff.rest.lines:
        return _hex(sum(map(_digest, diff.ordinary.counted)))
    reader = _PatchId(diff)
    while (found := reader.one()) is None and reader.at < len(reader.lines):
        reader.reset()
    return found


def _hex(total: int) -> str:
    """A patch id: a number of 160 bits, its lowest byte first."""
    return (total % (1 << 160)).to_bytes(20, "little").hex()


def _digest(pieces: list[str]) -> int:
    """Of one file. The numbers of all are added up, so that the order of files is nothing."""
    data = "".join(pieces).encode("utf-8", "replace").translate(None, _SPACES)
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest(), "little")


class _PatchId:
    """git's reading of a patch, line by line (git-patch-id(1); followed and tested against git 2.39)."""

    def __init__(self, diff: Diff) -> None:
        """What is ordinary of the diff is read."""
        rest = diff.rest
        self.lines, self.marks, self.hunks = rest.lines, rest.marks, rest.hunks
        self.signs = Signs(rest.lines, rest.marks, rest.flags)
        self.stops = _stops("\n" + (rest.text if diff.ordinary else diff.text))  # the next one last
        self.at = 0
        self.reset()
        if diff.ordinary:
            *above, last = diff.ordinary.counted
            self.pending += last
            self.total = sum(map(_digest, above))
            self.index = diff.ordinary.blobs
            self.begun = True
            self.before = self.after = 0

    def reset(self) -> None:
        """Look for another patch."""
        self.total = 0
        self.begun = False
        self.before = self.after = -1  # lines that the hunk still has; -1 within a header
        self.binary = False
        self.pending: list[str] = []
        self.index = ""  # the last index line

    def one(self) -> str | None:
        """The id of the next patch; None where there was none."""
        while self.at < len(self.lines):
            if self._run():
                continue
            line = self.lines[self.at]
            stop = self.at == self._stop()
            self.at += 1
            mark = line[:1]
            if mark == "\\" and line.startswith("\\ ") and len(line) > 11:
                continue
            if stop and _COMMIT_LINE.match(line):
                break
            if not self.begun and not line.startswith("diff "):
                continue
            if self.before == -1 and mark in _LETTERS and not self.binary and not line.startswith(_BINARY):
                if not line.startswith("index "):
                    self.pending.append(line)
                elif ".." in line:
                    self.index = line
                self.begun = True
            elif self.before != -1 and (self.before or self.after) and not self.binary:
                self._count(mark)
                self.pending.append(line)
            elif not self._take(line):
                break
        if not self.begun:
            return None
        self._flush()
        return _hex(self.total)

    def _stop(self) -> int:
        """The next line that needs a closer look wherever it stands, this one too, or the end."""
        ahead = self.stops
        while ahead and ahead[-1] < self.at:
            ahead.pop()
        return ahead[-1] if ahead else len(self.lines)

    def _run(self) -> bool:
        """Take all lines at once that the rules below would take one by one alike; False where there are none.

        No run goes beyond the line with which a hunk may end: a line counts at most once on either side.
        """
        marks, start = self.marks, self.at
        if not self.begun or self.binary:
            self.at = min(self._stop(), self.signs.next_file(self.at))
            return (self.begun and self._next_header()) or self.at > start
        if self.before == self.after == 0:
            while self.before != -1 and (self._hunk() or self._next_header()):
                pass
            return self.at > start
        if self.before == -1:
            return self._header()
        if 0 <= self.before <= _FEW and self.after <= _FEW:
            return self._few()
        stop = self._stop()
        few = self.after if self.before == 0 <= self.after else stop
        end = _end(_ADDED, marks, start, min(start + few, stop))
        if end == start and self.before > _FEW:
            end = min(start + self.before, stop)
        if end == start:
            return False
        context = marks.count(" ", start, end)
        self.before -= marks.count("-", start, end) + context
        self.after -= marks.count("+", start, end) + context
        self.pending += self.lines[start:end]
        self.at = end
        return True

    def _few(self) -> bool:
        """Take the lines of a hunk that soon ends, or what is left of one, and lines of neither file among them."""
        marks, start, stop = self.marks, self.at, self._stop()
        before, after, end = self.before, self.after, start
        while before != -1 and (before or after) and end < stop:
            mark = marks[end]
            if mark in "-+ ":
                before -= mark != "+"
                after -= mark != "-"
                end += 1
            elif (run := _end(_NEITHER, marks, end, stop)) > end:
                end = run
            else:
                break
        self.before, self.after = before, after
        self.pending += self.lines[start:end]
        self.at = end
        return end > start

    def _header(self) -> bool:
        """Take lines of files' headers, and the two that name a file above its hunks, or the word of binary data."""
        lines, marks, start = self.lines, self.marks, self.at
        names = _end(_HEADER, marks, start, self._stop())
        self._add_header(start, names)
        below = marks[names : names + 3]
        if below == "-+@" and lines[names].startswith("--- "):
            self.pending += lines[names : names + 2]
            self.at = names + 2
            self.before = self.after = 0
        elif below[:1] in ("G", "B") and lines[names].startswith(_BINARY):
            self.at = names + 1
            self._begin_binary()
        else:
            self.at = names
        return self.at > start

    def _next_header(self) -> bool:
        """Take the header of another file; False where none begins here."""
        at = self.at
        if at == len(self.lines) or not self.lines[at].startswith("diff "):
            return False
        if self.binary:
            self.binary = False
            self.at += 1  # the line that ends binary data is left out
        else:
            self._flush()
        self.before = self.after = -1
        self._header()
        return True

    def _begin_binary(self) -> None:
        """Binary data is not read: the blob ids stand for it."""
        self.binary = True
        self.before, self.after = 0, -1
        self.pending += _blobs(self.index)
        self._flush()

    def _add_header(self, start: int, end: int) -> None:
        """A file's header counts without its index line, which is needed for binary files only."""
        lines = self.lines[start:end]
        many = self.marks.count("i", start, end)
        if many == 1 and lines[-1].startswith("index "):
            index = lines.pop()
            self.index = index if ".." in index else self.index
        elif many:
            last = (line for line in reversed(lines) if line.startswith("index ") and ".." in line)
            self.index = next(last, self.index)
            lines = [line for line in lines if not line.startswith("index ")]
        self.pending += lines

    def _hunk(self) -> bool:
        """Take the hunk that begins here where its lines are as git writes them: its header needs no second reading."""
        hunk = self.hunks.get(self.at)
        if hunk is None or not hunk.plain:
            return False
        lines = self.lines[self.at + 1 : hunk.end]
        self.pending += [line for line in lines if line[:1] != "\\"] if hunk.remarks else lines
        self.at = hunk.end
        return True

    def _take(self, line: str) -> bool:
        """One line of a patch; False where the patch ends with it."""
        if self.before == -1:
            if line.startswith(_BINARY):
                self._begin_binary()
                return True
            if line.startswith("--- "):
                self.before = self.after = 1
            elif not (line[:1].isascii() and line[:1].isalpha()):
                return False
        if self.binary:
            if line.startswith("diff "):
                self.binary = False
                self.before = -1
            return True
        if self.before == 0 and self.after == 0:
            if line.startswith("@@ -"):
                self.before, self.after = _counts(line)
                return True
            if not line.startswith("diff "):
                return False
            self._flush()
            self.before = self.after = -1
        self._count(line[:1])
        self.begun = True
        self.pending.append(line)
        return True

    def _count(self, mark: str) -> None:
        """A line with this first character is one of the hunk."""
        self.before -= mark in ("-", " ")
        self.after -= mark in ("+", " ")

    def _flush(self) -> None:
        """Add the digest of a file."""
        self.total += _digest(self.pending)
        self.pending = []


def _end(run: re.Pattern[str], marks: str, start: int, end: int) -> int:
    found = run.match(marks, start, end)
    return found.end() if found else start


def _blobs(line: str) -> tuple[str, str]:
    """Blob ids as git cuts them out of an index line, for binary files."""
    dots = line.find("..")
    if dots < 0:
        return "", ""
    end = line.find(" ", dots)
    return line[6:dots][:_MAX_OID], line[dots + 2 : end if end >= 0 else len(line)][:_MAX_OID]


def _stops(text: str) -> list[int]:
    """The lines of a diff, with a line end in front, that need a closer look; from the last to the first."""
    found: list[int] = []
    line = at = 0
    for hit in _STOP.finditer(text):
        line += text.count("\n", at, hit.start())
        at = hit.start()
        found.append(line)
    return found[::-1]


def _counts(line: str) -> tuple[int, int]:
    """Line counts of a hunk header, as git's lenient scan reads them: no new lines where it stops at the old ones."""
    found = _SIZES.match(line)
    old, plus, new = found.groups() if found else (None, None, None)
    return _size(old), _size(new) if plus else 0


def _size(text: str | None) -> int:
    return 1 if text is None else int(text or 0)

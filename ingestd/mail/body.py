"""The finer parts of a patch mail's text: in-body headers, commit message, notes, diffstat."""

import re

from ingestd.mail.values import Parts

_IN_BODY = re.compile(r">?(From|Subject|Date)[ \t]*:[ \t]*(.*)", re.IGNORECASE)
_ANY_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}[ \t]*:")
_FROM_LINE = re.compile(r"[ >]{0,2}From [0-9a-f]{40} Mon Sep 17 00:00:00 2001\s*\Z")
_SEPARATOR = re.compile(r"\n---[ \t]*(?=\n|\Z)")
_STAT_LINE = (
    r" (?:\S.{0,500}\| +(?:\d+|Bin|Unmerged)\b|\d+ files? changed\b|(?:create|delete) mode \d|"
    r"(?:rename|copy|rewrite) .{1,500}\(\d+%\)|mode change \d)"
)
_STAT = re.compile(rf"\n{_STAT_LINE}.*(?:\n(?:{_STAT_LINE}| \.\.\.).*)*")
_FIRST_STAT = re.compile(r"\n\S[^|\n]{0,500}+\| +\d+ [-+]+\Z")  # its blank is lost where a program strips the text
_DEEPEST = 200  # lines; a pasted patch begins above
_PASTED = ("\nFrom: ", " Mon Sep 17 00:00:00 2001", "8<", ">8", "%<", ">%")  # one stands where a pasted patch begins


def read(message: str) -> Parts:
    """Take the text above a diff apart (git-am(1), "DISCUSSION").

    In-body headers are From, Subject and Date lines at the top, folded or not; the commit message runs to the first
    line of three dashes; notes are all that stands below that, but for the diffstat.
    """
    lines = message.split("\n")
    named = "From" in message or "Subject" in message
    headers, at = _in_body(lines, pasted=named and any(mark in message for mark in _PASTED))
    text = "\n" + message
    start = sum(map(len, lines[:at])) + at  # the line end in front of the message's first line
    separator = _SEPARATOR.search(text, start)
    said, below = (text[start : separator.start()], text[separator.end() :]) if separator else (text[start:], "")
    notes, diffstat = below, ""
    if stat := _STAT.search(below):
        top = stat.start()
        above = below.rfind("\n", 0, top)
        if above >= 0 and _FIRST_STAT.match(below, above, top):
            top = above
        notes, diffstat = below[:top] + below[stat.end() :], below[top + 1 : stat.end()]
    return Parts(headers, said.strip("\n").rstrip(), _ended(notes.strip("\n").rstrip()), diffstat)


def _ended(notes: str) -> str:
    """Notes without the separators at their end: another one above the diffstat."""
    if not is_separator(notes[notes.rfind("\n") + 1 :]):
        return notes
    lines = notes.split("\n")
    while lines and (is_separator(lines[-1]) or not lines[-1].strip()):
        lines.pop()
    return "\n".join(lines).rstrip()


def is_separator(line: str) -> bool:
    """Git's line of three dashes between message and notes."""
    return line.startswith("---") and not line[3:].strip(" \t")


def is_from_line(line: str) -> bool:
    """The line that `git format-patch` begins a mail with, also quoted."""
    return bool(_FROM_LINE.match(line))


def _is_scissors(line: str) -> bool:
    """`-- >8 --` and its kin: a perforation of dashes and scissors, perhaps with "cut here" (git-mailinfo(1))."""
    if len(line) > 100 or "-" not in line or not ("8<" in line or ">8" in line or "%<" in line or ">%" in line):
        return False
    return set(line.lower().replace("cut here", "").replace("snip", "")) <= set("-<>8% \t")


def _in_body(lines: list[str], *, pasted: bool) -> tuple[tuple[tuple[str, str], ...], int]:
    """In-body headers and the line where the message begins.

    They stand on top, as git wants them; or below a scissors line (`git am --scissors`); or below remarks, where a
    whole `git format-patch` file was pasted: then From and Subject stand in one paragraph.
    """
    at = _filled(lines, 0)
    headers, end = _block(lines, at)
    if headers or not pasted:
        return headers, end
    for start in range(at + 1, min(len(lines), _DEEPEST)):
        line, above = lines[start], lines[start - 1]
        if line.startswith("---") and is_separator(line):  # most lines are told by their first letters, without a call
            break
        if "-" in above and _is_scissors(above):
            headers, end = _block(lines, start if line.strip() else start + 1)
            if headers:
                return headers, end
        if "From" in line and not above.strip() and (line.startswith("From: ") or is_from_line(line)):
            headers, end = _block(lines, start)
            if {"From", "Subject"} <= {name for name, _ in headers}:
                return headers, end
    return (), at


def _block(lines: list[str], at: int) -> tuple[tuple[tuple[str, str], ...], int]:
    """The in-body headers that begin at a line, and where the text behind them begins; none where it is prose."""
    if at < len(lines) and is_from_line(lines[at]):
        at += 1
    start = at
    headers: list[tuple[str, str]] = []
    pasted = False
    while at < min(len(lines), start + _DEEPEST):
        line = lines[at]
        if hit := _IN_BODY.match(line):
            name = hit.group(1).capitalize()
            if any(name == other for other, _ in headers):
                break
            headers.append((name, hit.group(2).strip()))
        elif headers and line[:1] in (" ", "\t") and line.strip():
            name, value = headers[-1]
            headers[-1] = name, f"{value} {line.strip()}"
        elif _ANY_HEADER.match(line) and (pasted or _all_headers(lines, start)):
            pasted = True
            headers.append((line.partition(":")[0].strip(), line.partition(":")[2].strip()))
        else:
            break
        at += 1
    names = {name for name, _ in headers}
    if not names & {"From", "Subject"} or (pasted and not {"From", "Subject"} <= names):
        return (), start
    return tuple(headers), _filled(lines, at)


def _filled(lines: list[str], start: int) -> int:
    """The first line from `start` on that is not blank; the number of lines when there is none."""
    at = start
    for line in lines[start:]:
        if line and not line.isspace():
            break
        at += 1
    return at


def _all_headers(lines: list[str], start: int) -> bool:
    """Is the first paragraph all header lines, as in a pasted `git format-patch` file?"""
    at = start
    while at < len(lines) and lines[at].strip():
        if not _ANY_HEADER.match(lines[at]) and lines[at][:1] not in (" ", "\t"):
            return False
        at += 1
        if at - start > 200:
            return False
    return True

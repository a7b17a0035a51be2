"""Trailers as git and b4 read them: `Name: value` lines, the person apart, in patches and in answers."""

import re

from ingestd.mail import address
from ingestd.mail.values import Trailer

MAX_TRAILERS = 2_000
MAX_VALUE = 2_000

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,60})[ \t\u00a0]{0,3}:[ \t\u00a0]*(.*)")
_BY = re.compile(r"-by\Z", re.IGNORECASE)
# Known names that take a person; every other name must end in -by to count outside the last paragraph.
_PERSON = frozenset(("cc", "to", "from", "acked-for-mfd-by", "author", "fix-suggested-by", "thanks"))
_ANSWER = frozenset(("fixes", "link", "closes"))  # what counts in an answer beside -by trailers
_FIXES = re.compile(r"(?:commit )?[0-9a-f]{7,64}\b", re.IGNORECASE)
_GENERATED = re.compile(r"\(cherry picked from commit |\[[^\]]*: ")
_ADDRESS_LINE = re.compile(r"\s*<?[^\s<>@]+@[^\s<>@]+>?\s*\Z")
_SIMPLE_PERSON = re.compile(r'([^"(),:;<>@\[\]\\=?]*?)\s*<([^<>@\s]+@[^<>@\s]+)>')


def of_message(message: str) -> tuple[Trailer, ...]:
    """Trailers of a commit message: its last paragraph's, and person trailers wherever they stand unquoted.

    Rule of git-interpret-trailers(1): the last paragraph counts when it is all trailers, or when one of them is of
    git's own making and a quarter is. Folded lines, `# note` and `[note]` are taken into the value.
    """
    lines = message.rstrip().split("\n")
    start = len(lines)
    while start > 0 and lines[start - 1].strip():
        start -= 1
    block = _is_block(lines[start:])
    return _collect(lines, start if block else len(lines), answer=False)


def of_answer(text: str) -> tuple[Trailer, ...]:
    """Trailers that an answer gives: unquoted `...-by:` lines, and Fixes, Link and Closes that can be ones."""
    return _collect(text.split("\n"), 1 << 60, answer=True)


def _is_block(lines: list[str]) -> bool:
    hits = sum(1 for line in lines if _LINE.match(line) and "://" not in line.partition(":")[0])
    folded = sum(1 for line in lines if line[:1] in " \t[(" or line.startswith("#"))
    return hits > 0 and (hits + folded >= len(lines) or hits * 4 >= len(lines))


def _collect(lines: list[str], block: int, *, answer: bool) -> tuple[Trailer, ...]:
    found: list[Trailer] = []
    at = 0
    while at < len(lines) and len(found) < MAX_TRAILERS:
        line = lines[at][:MAX_VALUE]
        at += 1
        bare = line.lstrip(" \t\u00a0") if len(line) - len(line.lstrip(" \t\u00a0")) < 4 or not answer else line
        hit = _LINE.match(bare)
        if not hit:
            continue
        name, value = hit.group(1), hit.group(2).strip()
        low = name.lower()
        person = bool(_BY.search(low)) or low in _PERSON
        if not _wanted(low, value, person=person, within=at - 1 >= block, answer=answer, indented=bare is not line):
            continue
        while at < len(lines) and ((person and _continues(value, lines[at])) or _folds(lines[at], low)):
            value = f"{value} {lines[at].strip()[:MAX_VALUE]}"
            at += 1
        found.append(_trailer(name, value[:MAX_VALUE], person=person))
    return tuple(found)


def _wanted(low: str, value: str, *, person: bool, within: bool, answer: bool, indented: bool) -> bool:
    if not value and not person:
        return False
    if answer:
        if low in _ANSWER:
            return bool(_FIXES.match(value)) if low == "fixes" else value.startswith(("http://", "https://"))
        return bool(_BY.search(low)) and len(low) > 4 and low.count("-") < 6 and len(value) < 300
    if within:
        return True
    if indented:
        return False
    if _BY.search(low):
        return "@" in value or len(value) < 60
    if low == "cc":
        return "@" in value
    return low == "fixes" and bool(_FIXES.match(value))


def _continues(value: str, line: str) -> bool:
    """A person whose address stands on the next line."""
    return "@" not in value and bool(value) and bool(_ADDRESS_LINE.match(line[:MAX_VALUE]))


def _folds(line: str, low: str) -> bool:
    """An indented line belongs to the trailer above, unless it is a trailer itself."""
    return line[:1] in (" ", "\t") and bool(line.strip()) and not _LINE.match(line.strip()) and low != "cc"


def _trailer(name: str, value: str, *, person: bool) -> Trailer:
    if not person:
        return Trailer(name, value, None, None)
    if simple := _SIMPLE_PERSON.match(value):
        return Trailer(name, value, simple.group(1).strip() or None, simple.group(2))
    who = address.person(value.partition(" #")[0])
    return Trailer(name, value, who.name or None, who.email or None)

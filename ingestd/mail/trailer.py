"""Trailers as git and b4 read them: `Name: value` lines, the person apart, in patches and in answers."""

import re
from itertools import chain, islice

from ingestd.mail import address, charset, limits
from ingestd.mail.values import Trailer

# And one for each 32 characters beyond twenty: the last ones, where a paragraph has more. A mail of an archive of
# 16,945 has fifty.
MAX_TRAILERS = 2_000
MAX_VALUE = 2_000
MAX_FOLDS = 20

_INDENT, _WORD, _COLON = r"([ \t\u00a0]{0,3}+)", r"[A-Za-z][A-Za-z0-9-]{0,60}+", r"[ \t\u00a0]{0,30}+:(?!//)"
_VALUE = r"([^\n]{0,2000})"
_NAMED = re.compile(rf"\n{_INDENT}({_WORD}){_COLON}")
_LINE = re.compile(rf"\n{_INDENT}({_WORD}){_COLON}{_VALUE}")
# The same for names that can count outside the last paragraph.
# Nearly no line begins with these letters, and ignoring case is slow.
_KNOWN = re.compile(
    rf"\n(?=[ \t\u00a0A-Za-z]){_INDENT}({_WORD}(?<=-[Bb][Yy])|(?=[CcFfLl])(?ai:cc|fixes|closes|link))"
    f"{_COLON}{_VALUE}"
)
# What git-format-patch(1) and b4 write below a cover of the commits it stands on: no trailers, but bases and links.
# They write it so; `Change-Id` is a trailer of Gerrit's.
_BASES = frozenset(
    ("base-commit", "change-id", "prerequisite-change-id", "prerequisite-message-id", "prerequisite-patch-id")
)
# Known names that take a person; every other name must end in -by to count outside the last paragraph.
_PERSON = frozenset(("cc", "to", "from", "acked-for-mfd-by", "author", "fix-suggested-by", "thanks"))
_ANSWER = ("fixes", "link", "closes")  # what counts in an answer beside -by trailers
_ANSWER_WORDS = ("-by", *_ANSWER)
_FIXES = re.compile(r"(?:commit )?[0-9a-f]{7,64}\b", re.IGNORECASE)
_BLANKS = (" ", "\t")
_AT_AHEAD = re.compile(r"[^@\n]*+@")
_ADDRESS_LINE = re.compile(r"\s*<?[^\s<>@]+@[^\s<>@]+>?\s*\Z")
_SIMPLE_PERSON = re.compile(r'([^"(),:;<>@\[\]\\=?]*)<([^<>@\s]+@[^<>@\s]+)>')


def of_message(message: str) -> tuple[Trailer, ...]:
    """Trailers of a commit message: its last paragraph's, and person trailers wherever they stand unquoted.

    Rule of git-interpret-trailers(1): the last paragraph counts when it is all trailers, or a quarter of it is.
    Folded lines, `# note` and `[note]` are taken into the value.
    """
    message = message.rstrip()
    start = message.rfind("\n\n") + 1
    low = "\n" + charset.lower(message[:start])
    any_above = "-by" in low or "\ncc" in low or "\nfixes" in low  # all that counts there
    if not is_block(message[start:].strip("\n")):
        return _collect(message, 0, len(message) + 1, None, answer=False)
    return _collect(message, 0 if any_above else start, start, start, answer=False)


def of_answer(text: str) -> tuple[Trailer, ...]:
    """Trailers that an answer gives: unquoted `...-by:` lines, and Fixes, Link and Closes that can be ones."""
    first, last = _words(text)
    if first < 0:
        return ()
    start, end = text.rfind("\n", 0, first) + 1, text.find("\n", last)
    return _collect(text, start, end + 1 if end >= 0 else len(text) + 1, None, answer=True)


def may_answer(text: str) -> bool:
    """Can `of_answer` find anything in this text? Quickly said, since most answers give no trailers."""
    low = charset.lower(text)
    return any(word in low for word in _ANSWER_WORDS)


def _words(text: str) -> tuple[int, int]:
    """Where the first and the last word stand that begin or end the name of an answer's trailer; -1 without one."""
    low = charset.lower(text)
    firsts = [(at, word) for word in _ANSWER_WORDS if (at := low.find(word)) >= 0]
    return min(firsts)[0] if firsts else -1, max((low.rfind(word) for _, word in firsts), default=-1)


def is_block(paragraph: str) -> bool:
    """Is this paragraph one of trailers? All of it, or a quarter (git-interpret-trailers(1))."""
    text = "\n" + paragraph
    lines = text.count("\n")
    hits = _NAMED.subn("", text)[1]  # only counted
    if hits * 4 >= lines:
        return hits > 0
    return hits > 0 and hits + sum(text.count(f"\n{mark}") for mark in " \t[(#") >= lines


def _collect(text: str, start: int, end: int, block: int | None, *, answer: bool) -> tuple[Trailer, ...]:
    """Trailers in order: of the lines from `start` to `end` those with known names, and all from `block` on.

    The places are those of `text` with a line end in front.
    """
    text = "\n" + text
    most = limits.room(len(text), few=20, each=32, most=MAX_TRAILERS)
    below: list[re.Match[str]] = []
    if block is not None:  # a sign-off stands last
        below = list(_LINE.finditer(text, _last_lines(text, block, 2 * most)))[-most:]
    above = islice(_KNOWN.finditer(text, start, end), most - len(below))
    found: list[Trailer] = []
    behind = 0
    for hit in chain(above, below):
        if hit.start() + 1 < behind:
            continue
        indent, name, value = hit.groups()
        low, value = name.lower(), value.strip()
        person = low.endswith("-by") or low in _PERSON
        if name in _BASES or (not value and not person):
            continue
        within = block is not None and hit.start() >= block
        if not _wanted(low, value, within=within, answer=answer, indented=bool(indent)):
            continue
        behind = hit.end() + 1  # where the next line begins
        for _ in range(MAX_FOLDS):
            bare = person and bool(value) and "@" not in value
            if not (text.startswith(_BLANKS, behind) or (bare and _AT_AHEAD.match(text, behind))):
                break
            end = text.find("\n", behind, behind + MAX_VALUE)
            line = text[behind : end if end >= 0 else behind + MAX_VALUE]
            if not (_folds(line, low) or (bare and _ADDRESS_LINE.match(line))):
                break
            value = f"{value} {line.strip()}"
            behind += len(line) + 1
        found.append(_trailer(name, value[:MAX_VALUE], person=person))
    return tuple(found)


def _last_lines(text: str, start: int, count: int) -> int:
    """Where the line end in front of the last so many lines stands; `start` where no more lines begin there."""
    if text.count("\n", start) <= count:
        return start
    return len(text.rsplit("\n", count)[0])


def _wanted(low: str, value: str, *, within: bool, answer: bool, indented: bool) -> bool:
    if answer:
        if low in _ANSWER:
            return bool(_FIXES.match(value)) if low == "fixes" else value.startswith(("http://", "https://"))
        return low.endswith("-by") and len(low) > 4 and low.count("-") < 6 and len(value) < 300
    if within:
        return True
    if indented:
        return False
    if low.endswith("-by"):
        return "@" in value or len(value) < 60
    if low == "cc":
        return "@" in value
    return low == "fixes" and bool(_FIXES.match(value))


def _folds(line: str, low: str) -> bool:
    """An indented line belongs to the trailer above, unless it is a trailer itself or ends a message."""
    text = line.strip()
    if line[:1] not in _BLANKS or low == "cc" or text in ("", "---"):
        return False
    return not (":" in text and _LINE.match("\n" + text))


def _trailer(name: str, value: str, *, person: bool) -> Trailer:
    if not person:
        return Trailer(name, value, None, None)
    if ">" in value and (simple := _SIMPLE_PERSON.match(value)):
        return Trailer(name, value, simple.group(1).strip() or None, simple.group(2))
    who = address.person(value.partition(" #")[0])
    return Trailer(name, value, who.name or None, who.email or None)

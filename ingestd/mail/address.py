"""Names and addresses of From and its kin (RFC 5322 section 3.4), read with patience and in linear time."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from ingestd.mail import header, limits
from ingestd.mail.values import Person

# Places between commas of a field, or of all that are asked, and one for each 40 characters beyond sixty. A mail of
# an archive of 16,945 has 208.
MAX_PEOPLE = 1_000
MAX_BEFORE = 20  # places in which the first person of a field is looked for
MAX_LENGTH = 998  # characters of a name or an address

_SHORT = 200  # characters of what is remembered

_MANY = 100  # pieces that a pattern takes at once; unbounded it is not safe, see tests/test_patterns.py
# What is passed over: a quote whose end is near, and a comment without another one within.
_WHOLE = rf'"(?=[^"]{{0,{MAX_LENGTH - 1}}}+")(?:[^"\\]++|\\(?!(?<!\\\\)"))*"|\([^()]*+\)'


def _passing(others: str) -> str:
    """Such characters, and what is passed over among them."""
    return rf"{others}*+(?:(?:{_WHOLE}){others}*+){{0,{_MANY}}}"


_OPEN, _CLOSED = _passing('[^<>("]'), _passing('[^,;<>("]')  # what stands behind an angle
# What decides where a field is cut: commas, the last angle, a quote or comment that is not passed over. A comma between
# angles says nothing.
_MARKS = re.compile(
    rf'[,;][\s,;]*+|(?:(?:{_WHOLE})[^,;<>("]*+){{1,{_MANY}}}|["(]|(?:([<>])(?:(?<=<){_OPEN}|{_CLOSED})){{1,{_MANY}}}'
)
_IN_COMMENT = re.compile(rf"\((?:[^()]*+\))?(?:[^()]++|\([^()]*+\)|\(){{0,{_MANY}}}|\)++")
_CLOSING_QUOTE = re.compile(r'(?<!\\)"|(?<=\\\\)"')  # behind no backslash, or behind two
_ESCAPE = re.compile(r"\\(.)")
_ENDS = r"\s<>()\[\],;:\""  # what ends a word
# A word with an @ in it, not only at its ends; looked for at the beginning of words only.
_ADDRESS = re.compile(f"(?<![^{_ENDS}])@*+[^{_ENDS}@]++@++[^{_ENDS}@][^{_ENDS}]*+")
_MERE_NAME = re.compile(r"[^<(@=\"'\\]*+")
_AT = re.compile(r"^([\w.+-]+) at ([\w.-]+)$", re.ASCII)
_MAILTO = re.compile(r"<mailto:[^<>]*>?", re.IGNORECASE)


def people(value: str) -> list[Person]:
    """Everybody a field names, in order; groups are opened, empty places skipped."""
    return _of_values([value], MAX_PEOPLE)


def of_fields(headers: header.Headers, *names: str, most: int = MAX_PEOPLE) -> list[Person]:
    """Everybody whom the fields of these names (in lower case) name, in order, in the first so many places."""
    return _of_values([value for name in names for value in headers.all(name)], most)


def _of_values(values: list[str], most: int) -> list[Person]:
    pieces = (piece for value in values for piece in _pieces(value))
    return list(_everybody(pieces, limits.room(sum(map(len, values)), few=60, each=40, most=most)))


def _everybody(pieces: Iterator[str], most: int) -> Iterator[Person]:
    return (one for one in map(_place, islice(pieces, most)) if one.name or one.email)


def _place(piece: str) -> Person:
    """Who stands between two commas."""
    return _same_place(piece) if len(piece) < _SHORT else _person(piece)


def person(value: str) -> Person:
    """The first one a field names; where commas in an unquoted name hide him, the name takes them in."""
    return _known(value) if len(value) < _SHORT else _first(value)


@lru_cache(4096)
def _known(value: str) -> Person:
    """On a list the same people write again and again."""
    return _first(value)


def _first(value: str) -> Person:
    names = []  # `Matuszczak, Piotr <p@x>` without quotes: what stands before the first address is one name
    for one in _everybody(_pieces(value), MAX_BEFORE):
        names.append(one.name)
        if one.email:
            return Person(", ".join(name for name in names if name), one.email)
    return Person(names[0] if names else "", "")


def _pieces(value: str) -> Iterator[str]:
    """Cut at the commas and semicolons that are outside quotes, comments and brackets."""
    start = at = depth = 0
    angle = False
    while mark := (_IN_COMMENT if depth else _MARKS).search(value, at):
        at = mark.end()
        run = mark.group()
        if depth:
            depth = max(depth + run.count("(") - run.count(")"), 0)
        elif run == "(":
            depth = 1
        elif run == '"':
            if value.find('"', at, at + MAX_LENGTH) >= 0:
                closing = _CLOSING_QUOTE.search(value, at)
                if closing is None:
                    break
                at = closing.end()
        elif mark[1]:
            angle = mark[1] == "<"
        elif run[0] in ",;" and not angle:
            yield value[start : mark.start()]
            start = at
    yield value[start:]


def _person(piece: str) -> Person:
    """One name and address: `"name" <addr>`, `addr (name)`, `user at host (name)` or `addr`."""
    if _MERE_NAME.fullmatch(piece) and " at " not in piece:
        return Person(" ".join(piece.split())[:MAX_LENGTH], "")
    text = piece.strip()
    start = text.rfind("<")
    end = text.find(">", start)
    if start >= 0:
        if "mailto:" in text.lower() and _MAILTO.search(text):
            text = _MAILTO.sub(">" if "<" in text[: text.lower().find("<mailto:")] else "", text)
            return _person(text) if "<mailto:" not in text.lower() else Person(_name(text), "")
        email = text[start + 1 : end if end >= 0 else len(text)]
        behind = text[end + 1 :].strip() if end >= 0 else ""
        name = _name(text[:start])
        if not name and behind.startswith("("):
            name = _name(behind.strip("()"))
        return Person(name, _email(email))
    before, paren, comment = text.partition("(")
    before = before.strip().strip('"')
    if found := _AT.match(before):
        return Person(_name(comment.rstrip(") ")), f"{found.group(1)}@{found.group(2)}")
    if "@" in before and " " not in before:
        return Person(_name(comment.rstrip(") ")) if paren else "", _email(before))
    decoded = header.one_line(text)
    if "<" in decoded and decoded != text:  # the whole field in one encoded word
        return _person(decoded)
    if word := _ADDRESS.search(decoded) if "@" in decoded else None:
        return Person(_name(decoded[: word.start()]), _email(word.group()))
    return Person(_name(text, decoded), "")


_same_place = lru_cache(4096)(_person)  # the same people are on copy again and again


def _name(text: str, decoded: str | None = None) -> str:
    """Quotes and escapes off, encoded words read, blanks collapsed; `decoded` is `header.one_line(text)`, if known."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
        if "\\" in text:
            text = "".join(_ESCAPE.split(text))
        decoded = None
    name = header.one_line(text) if decoded is None else decoded
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1].strip()
    return name[:MAX_LENGTH]


def _email(text: str) -> str:
    return "".join(header.decode(text).split())[:MAX_LENGTH]

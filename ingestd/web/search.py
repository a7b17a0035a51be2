"""public-inbox's search language, as much of it as b4 speaks, as what the store looks for."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ingestd.store.api.search import Group, Term
from ingestd.web.answer import RefusalError

MOST_IDS = 1_000  # patch ids and Message-IDs: b4 asks for all of a series at once
MOST_TERMS = 30  # of all others
MOST_LENGTH = 500  # characters of a term; a Message-ID has 500 at most in real mail
MOST_LEVELS = 20  # of parentheses

_TOKEN = re.compile(r"""\s*(?:([()])|(?:([A-Za-z]+):)?(?:"([^"]*)"|([^\s()"]+)))""")
_CHANGE_ID = re.compile(r"change-id:\s*(\S+)\s*", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>]+@[^\s<>]+")
_TIME = re.compile(r"(\d{4}-?\d\d-?\d\d)(\d{6})?", re.ASCII)
_EPOCH = re.compile(r"\d{9,11}", re.ASCII)
_RANGES = {"d": ("since", "before"), "dt": ("since", "before"), "rt": ("received_since", "received_before")}
_WORDS = {"s": "subject", "nq": "text", "b": "text", "": "text"}
_IDS = {"m": "message", "mid": "message", "patchid": "patch_id"}


def read(query: str) -> Term | Group:
    """What is asked for: terms with AND (or nothing) and OR between them, and parentheses; AND binds closer.

    `patchid:` and `m:` are ids; `f:` is an address or a name; `s:` words of the subject; `nq:`, `b:` and none words of
    subject or text, or `change-id: ID`; `d:A..B` and `dt:A..B` days or seconds of the Date, `rt:A..B` those of the
    arrival, also in seconds since 1970, all in UTC; either end may be missing. RefusalError (400) for anything else.
    """
    reader = _Reader(query)
    wanted = reader.alternatives(0)
    if reader.token is not None:
        raise _wrong("')' without '('")
    return wanted


def _wrong(what: str) -> RefusalError:
    return RefusalError(400, f"The search cannot be read: {what}.")


class _Reader:
    """Recursive descent, a function for each level of the language."""

    def __init__(self, query: str) -> None:
        self._tokens = _tokens(query)
        self._ids = self._others = 0
        self.token = next(self._tokens, None)

    def _next(self) -> None:
        self.token = next(self._tokens, None)

    def alternatives(self, level: int) -> Term | Group:
        parts = [self._together(level)]
        while self.token == ("", "OR"):
            self._next()
            parts.append(self._together(level))
        return parts[0] if len(parts) == 1 else Group(tuple(_merged(parts)), either=True)

    def _together(self, level: int) -> Term | Group:
        parts = [self._one(level)]
        while self.token not in (None, (")", ""), ("", "OR")):
            if self.token == ("", "AND"):
                self._next()
            parts.append(self._one(level))
        return parts[0] if len(parts) == 1 else Group(tuple(parts))

    def _one(self, level: int) -> Term | Group:
        token = self.token
        if token in (None, (")", ""), ("", "AND"), ("", "OR"), ("", "NOT"), ("", "XOR")):
            raise _wrong("a term is missing" if token is None else f"{token[0] or token[1]!r} is out of place")
        self._ids += token[0] in _IDS
        self._others += token[0] not in _IDS
        if self._ids > MOST_IDS or self._others > MOST_TERMS or level > MOST_LEVELS:
            raise _wrong("too many terms")
        self._next()
        if token != ("(", ""):
            return _term(*token)
        inside = self.alternatives(level + 1)
        if self.token != (")", ""):
            raise _wrong("'(' without ')'")
        self._next()
        return inside


def _merged(parts: list[Term | Group]) -> Iterator[Term | Group]:
    """The alternatives; ids of one kind are one term."""
    values: dict[str, tuple[str, ...]] = {}
    for part in parts:
        if isinstance(part, Term) and isinstance(part.value, tuple):
            values[part.name] = values.get(part.name, ()) + part.value
        else:
            yield part
    for name, several in values.items():
        yield Term(name, several)


def _tokens(query: str) -> Iterator[tuple[str, str]]:
    """Pairs: a parenthesis and nothing, or a prefix (or none) and what stands behind it."""
    at, query = 0, query.rstrip()
    while at < len(query):
        found = _TOKEN.match(query, at)
        if found is None:
            raise _wrong("a quote is not closed")
        at = found.end()
        sign, prefix, quoted, word = found.groups()
        if sign:
            yield sign, ""
        elif quoted is not None:
            # A quoted AND is a word like any other, and so is one with blanks.
            yield (prefix or "").lower(), f" {quoted} "
        else:
            yield (prefix or "").lower(), word


def _term(prefix: str, value: str) -> Term | Group:
    said = value.strip()
    if "\0" in said or not re.search(r"\w", said):
        raise _wrong("a term says nothing")
    if len(said) > MOST_LENGTH:
        raise _wrong("a term is too long")
    if prefix in _IDS:
        return Term(_IDS[prefix], (said.strip("<>") if prefix != "patchid" else said.lower(),))
    if value[0] in "-+" or value[-1] == "*":  # of what is not quoted
        raise _wrong("there is no NOT, and no part of a word")
    if prefix == "f":
        address = next((word.strip("<>") for word in said.split() if "@" in word), None)
        return Term("name", said) if address is None else Term("address", (address.lower(),))
    if prefix in _RANGES:
        return _range(said, *_RANGES[prefix])
    if prefix in _WORDS:
        if prefix != "s" and (found := _CHANGE_ID.fullmatch(said)):
            return Term("change_id", (found[1],))
        return Term(_WORDS[prefix], said)
    raise _wrong(f"nothing is known by {prefix[:20]!r}")


def _range(said: str, since: str, before: str) -> Group:
    first, dots, last = said.partition("..")
    parts = []
    if first:
        parts.append(Term(since, _time(first)[0]))
    if last or not dots:
        parts.append(Term(before, _time(last or first)[1]))
    if not parts:
        raise _wrong("a term says nothing")
    return Group(tuple(parts))


def _time(said: str) -> tuple[datetime, datetime]:
    """When it begins and when it ends: a day or a second."""
    try:
        if _EPOCH.fullmatch(said):
            began = datetime.fromtimestamp(int(said), UTC)
            return began, began + timedelta(seconds=1)
        if found := _TIME.fullmatch(said):
            day, clock = found[1].replace("-", ""), found[2]
            began = datetime.strptime(day + (clock or "000000"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            return began, began + (timedelta(seconds=1) if clock else timedelta(days=1))
    except (ValueError, OverflowError) as error:
        raise _wrong(f"{said[:40]!r} is no time") from error
    raise _wrong(f"{said[:40]!r} is no time")

"""Plain text out of HTML-only mail: readable, linear in size, no more."""

import html
import re
from itertools import islice

from ingestd.mail import limits

_BREAKS = "br|p|div|tr|li|ul|ol|table|blockquote|h[1-6]|hr"
_HIDDEN = "script|style|head|title"
_REST = r"(?![A-Za-z0-9])[^>]*(?:>|\Z)"  # of a tag behind its name: up to the first `>`, or the end of the text
_FLAGS = re.ASCII | re.DOTALL | re.IGNORECASE

_MEANT = rf"/?(?:{_BREAKS}|{_HIDDEN}|pre){_REST}"  # a tag that means something to us, behind its `<`

# Text and tags that mean something are the group; comments and all other tags stand outside it.
_TOKENS = re.compile(rf"([^<]+|<{_MEANT})|(?:<!--(?:.*?-->|.*)|<(?!{_MEANT})[^>]*(?:>|\Z))+", _FLAGS)
_TAG_IN_TAG = re.compile(r"<[^<>]*<[^>]*")  # as in `<p <b>`, which is one tag
_HIDDEN_TEXT = re.compile(rf"<({_HIDDEN}){_REST}(?:.*?</\1{_REST}|.*)|</(?:{_HIDDEN}){_REST}", _FLAGS)
_PRE = re.compile(rf"<(/?)pre{_REST}", _FLAGS)
_QUOTE = re.compile(rf"<(/?)blockquote({_REST})", _FLAGS)
_TAG = re.compile(r"<[^>]*(?:>|\Z)")
# These begin with one character, for a quick search.
_BLANKS = re.compile(r"[ \t][ \t]+")
_EMPTY_LINES = re.compile(r"\n\n\n+")
# What html.unescape looks at, but for numbers that no character has: it fails for those of thousands of digits.
_ENTITY = re.compile(
    r"(&(?:#0{0,99}[0-9]{1,10}+(?![0-9]);?|#[xX]0{0,99}[0-9a-fA-F]{1,8}+(?![0-9a-fA-F]);?|[^\t\n\f <&#;]{1,32};?))"
)
_KEPT = "\1"  # stands before a line of `pre` until lines are told apart
_QUOTED, _UNQUOTED = "\2", "\3"  # stand on lines of their own where a `blockquote` begins and ends
_INDENTED = re.compile(r"border:\s*none", re.IGNORECASE)  # what mail programs indent the sender's own text with
_DEEPEST = 8  # quote signs before a line


def text(source: str, *, exact: bool = False) -> str:
    """The visible text: blocks begin on a new line, markup, scripts and styles are gone, entities are read.

    A quote sign stands before each line of a `blockquote`, as mail programs write them into plain text.
    `exact`: blanks that a browser shows stay, those in `pre` and those that do not break, as a diff needs them.
    """
    return texts(source, exact=exact)[0]


def texts(source: str, *, exact: bool = False) -> tuple[str, str]:
    """What `text` gives, and the same without quote signs."""
    quotable = _QUOTED not in source and _UNQUOTED not in source
    source = _TAG_IN_TAG.sub(_one_tag, "".join(_TOKENS.findall(source)))
    flowing, *kept = _PRE.split(_HIDDEN_TEXT.sub("", source))
    out = [flowing.replace("\n", " ")]
    for closing, piece in zip(kept[::2], kept[1::2], strict=True):
        if closing:
            out.append(piece.replace("\n", " "))
        else:
            out.append(_KEPT + piece.replace("\n", f"\n{_KEPT}") if exact else piece)
    said, quotes = _with_marks("\n".join(out)) if quotable else ("\n".join(out), False)
    said = _unescaped(_TAG.sub("\n", said))
    if not quotes:
        plain = _lines(said, exact=exact) + "\n"
        return plain, plain
    plain = said.replace(f"\n{_QUOTED}\n", "\n").replace(f"\n{_UNQUOTED}\n", "\n")
    return _quoted(_lines(said, exact=exact)) + "\n", _lines(plain, exact=exact) + "\n"


def _lines(said: str, *, exact: bool) -> str:
    """The text with blanks and empty lines as a browser shows them; `exact` as `text` says."""
    if exact:
        return "\n".join(map(_exact, said.split("\n")))
    lines = map(str.strip, _BLANKS.sub(" ", said.replace("\u00a0", " ")).split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def _with_marks(source: str) -> tuple[str, bool]:
    """Marks where a quote begins and ends, and whether there is any. A `blockquote` may be a mere indent, too."""
    pieces = _QUOTE.split(source)  # in turn: text, and a tag: its slash and its rest
    quotes: list[bool] = []  # of those that are open
    for at in range(1, len(pieces), 3):
        if not pieces[at]:
            quotes.append(not _INDENTED.search(pieces[at + 1]))
            pieces[at] = f"\n{_QUOTED}\n" if quotes[-1] else "\n"
        else:
            pieces[at] = f"\n{_UNQUOTED}\n" if quotes and quotes.pop() else "\n"
        pieces[at + 1] = ""
    said = "".join(pieces)
    return said, _QUOTED in said


def _quoted(text: str) -> str:
    """Quote signs instead of the marks."""
    lines: list[str] = []
    depth = 0
    marked = False
    for line in text.split("\n"):
        if line in (_QUOTED, _UNQUOTED):
            depth = max(depth + (1 if line == _QUOTED else -1), 0)
            marked = True
        elif line or not marked:  # an empty line behind a mark is the mark's own
            marked = False
            lines.append(f"{'>' * min(depth, _DEEPEST)} {line}".rstrip() if depth else line)
    return "\n".join(lines).strip("\n")


def _unescaped(text: str) -> str:
    """Entities read: numbers, and so many different names; to look for one that is none takes long."""
    pieces = _ENTITY.split(text)  # in turn: text, and an entity
    different = dict.fromkeys(pieces[1::2])
    names = islice((one for one in different if one[1] != "#"), limits.room(len(text), few=20, each=64))
    read = {one: html.unescape(one) for one in (*names, *(one for one in different if one[1] == "#"))}
    pieces[1::2] = [read.get(one, one) for one in pieces[1::2]]
    return "".join(pieces)


def _one_tag(found: re.Match[str]) -> str:
    return "<" + found.group().replace("<", " ")[1:]


def _exact(line: str) -> str:
    if line.startswith(_KEPT):
        return line[1:]
    return _BLANKS.sub(" ", line).strip(" \t").replace("\u00a0", " ")

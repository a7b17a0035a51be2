"""Plain text out of HTML-only mail: readable, linear in size, no more."""

import html
import re

_BREAKS = frozenset(
    ["br", "p", "div", "tr", "li", "ul", "ol", "table", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "pre"]
)
_HIDDEN = frozenset(("script", "style", "head", "title"))
_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)")
_BLANKS = re.compile(r"[ \t\u00a0]{2,}")
_BREAKING_BLANKS = re.compile(r"[ \t]{2,}")
_KEPT = "\1"  # stands before a line of `pre` until lines are told apart


def text(source: str, *, exact: bool = False) -> str:
    """The visible text: blocks begin on a new line, markup, scripts and styles are gone, entities are read.

    `exact`: blanks that a browser shows stay, those in `pre` and those that do not break, as a diff needs them.
    """
    out: list[str] = []
    at = 0
    hidden = ""
    preformatted = 0
    while at < len(source):
        opening = source.find("<", at)
        piece = source[at:] if opening < 0 else source[at:opening]
        if piece and not hidden:
            shown = piece.replace("\n", f"\n{_KEPT}") if exact else piece
            out.append(shown if preformatted else " ".join(piece.split("\n")))
        if opening < 0:
            break
        at = _tag_end(source, opening)
        found = _NAME.match(source, opening)
        name = found.group(1).lower() if found else ""
        closing = source.startswith("</", opening)
        if hidden:
            hidden = "" if closing and name == hidden else hidden
        elif name in _HIDDEN:
            hidden = "" if closing else name
        elif name == "pre":
            preformatted = 0 if closing else 1
            out.append(f"\n{_KEPT}" if exact and not closing else "\n")
        elif name in _BREAKS:
            out.append("\n")
    lines = html.unescape("".join(out)).split("\n")
    if exact:
        return "\n".join(map(_exact, lines)) + "\n"
    lines = [_BLANKS.sub(" ", line.replace("\u00a0", " ")).strip() for line in lines]
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip() + "\n"


def _exact(line: str) -> str:
    if line.startswith(_KEPT):
        return line[1:]
    return _BREAKING_BLANKS.sub(" ", line).strip(" \t").replace("\u00a0", " ")


def _tag_end(source: str, opening: int) -> int:
    if source.startswith("<!--", opening):
        end = source.find("-->", opening + 4)
        return len(source) if end < 0 else end + 3
    end = source.find(">", opening)
    return len(source) if end < 0 else end + 1

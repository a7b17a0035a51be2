"""Plain text out of HTML-only mail: readable, linear in size, no more."""

import html
import re

_BREAKS = frozenset(
    ["br", "p", "div", "tr", "li", "ul", "ol", "table", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "pre"]
)
_HIDDEN = frozenset(("script", "style", "head", "title"))
_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)")
_BLANKS = re.compile(r"[ \t\u00a0]{2,}")


def text(source: str) -> str:
    """The visible text: blocks begin on a new line, markup, scripts and styles are gone, entities are read."""
    out: list[str] = []
    at = 0
    hidden = ""
    preformatted = 0
    while at < len(source):
        opening = source.find("<", at)
        piece = source[at:] if opening < 0 else source[at:opening]
        if piece and not hidden:
            out.append(piece if preformatted else " ".join(piece.split("\n")))
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
            out.append("\n")
        elif name in _BREAKS:
            out.append("\n")
    lines = [_BLANKS.sub(" ", line).strip() for line in html.unescape("".join(out)).replace("\u00a0", " ").split("\n")]
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip() + "\n"


def _tag_end(source: str, opening: int) -> int:
    if source.startswith("<!--", opening):
        end = source.find("-->", opening + 4)
        return len(source) if end < 0 else end + 3
    end = source.find(">", opening)
    return len(source) if end < 0 else end + 1

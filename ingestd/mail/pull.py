"""Pull requests: the URL and ref that `git request-pull` writes, as Patchwork keeps them."""

import re

_START = "the following changes since commit"
_PLACE = re.compile(r"^are available in the git repository at:", re.IGNORECASE | re.MULTILINE)
# A scheme or user@, then the ref on the same line, behind a backslash or on the next line.
_URL = re.compile(
    r"\s*\n\s*((?:[A-Za-z][A-Za-z0-9+.-]{0,20}://|[\w.-]{1,100}@)[\w/.@:~-]{1,1000}[\s\\]*[\w/._-]{0,500})\s*$",
    re.MULTILINE,
)
_WINDOW = 3_000  # characters behind the place line; keeps the pattern's work bounded


def url(text: str) -> str | None:
    """`URL` or `URL ref` of an unquoted request (reference: mail rules, section 8); None without one."""
    low = text.lower()
    at = 0 if low.startswith(_START) else low.find("\n" + _START)
    if at < 0:
        return None
    for place in _PLACE.finditer(text, at):
        found = _URL.match(text[place.end() : place.end() + _WINDOW])
        if found:
            return " ".join(found.group(1).split())
    return None

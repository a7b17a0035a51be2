"""Pull requests: the URL and ref that `git request-pull` writes, as Patchwork keeps them."""

import re
from itertools import islice

from ingestd.mail import charset

_START = "the following changes since commit"
_PLACE = re.compile(r"^are available in the git repository at:", re.IGNORECASE | re.MULTILINE)
# A scheme or user@, then the ref on the same line, behind a backslash or on the next line. Nothing is tried twice.
_URL = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]{0,20}://|[\w.-]{1,100}@)[\w/.@:~-]{1,1000}+"
    r"(?:[\s\\]*+[\w/._-]{1,500}+(?=[^\S\n]*+$)|[^\S\n]*+(?:\\[^\S\n]*+)*+$)",
    re.MULTILINE,
)
_WINDOW = 3_000  # characters behind the place line, and how many such lines; keeps the pattern's work bounded
_MAX_PLACES = 10


def url(text: str) -> str | None:
    """`URL` or `URL ref` of an unquoted request (reference: mail rules, section 8); None without one."""
    low = charset.lower(text)
    at = 0 if low.startswith(_START) else low.find("\n" + _START)
    if at < 0:
        return None
    for place in islice(_PLACE.finditer(text, at), _MAX_PLACES):
        below = text[place.end() : place.end() + _WINDOW]
        start = len(below) - len(below.lstrip())
        found = _URL.match(below, start) if "\n" in below[:start] else None
        if found:
            return " ".join(found.group().split())
    return None

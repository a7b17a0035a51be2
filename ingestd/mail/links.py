"""A mail's word on other mails and on its base: Based-on, Supersedes, prerequisites, base-commit, change-id."""

import re
from itertools import islice

from ingestd.mail import charset, limits
from ingestd.mail.header import MAX_ID
from ingestd.mail.values import Link

MAX_LINKS = 500  # and lines that tell them, one for each 40 characters beyond ten; an archive has 20 at most

# The first letters apart (the long s is one without case): ignoring case is slow, and few lines begin with these.
_LINE = re.compile(
    r"\n(?=[bBcCdDoOpPsS\u017f][aAbBeEhHrRuU])(?i:(based-on|supersedes|obsoletes|depends-on|prerequisite-patch-id|"
    r"prerequisite-message-id|prerequisite-change-id|base-commit|change-id)[ \t]*:[ \t]*(\S[^\n]{0,2000}))"
)
_BRACKETS = re.compile(r"<([^<>\s]+)>")
_ENDS = r"\s<>()\[\]\",;"  # what ends a word
# A word with an @ in it, not only at its ends; looked for at the beginning of words only.
_BARE = re.compile(f"(?<![^{_ENDS}])@*+[^{_ENDS}@]++@++[^{_ENDS}@][^{_ENDS}]*+")
_LORE = re.compile(r"https?://[^\s<>()\"]+")
_HEX = re.compile(r"[0-9a-f]{7,64}\b", re.IGNORECASE)
_GERRIT = re.compile(r"I[0-9a-f]{40}\b")
_CHANGE_ID = re.compile(r"[\w.+@-]{1,200}")
_TYPES = {
    "based-on": "based-on",
    "supersedes": "supersedes",
    "obsoletes": "obsoletes",
    "depends-on": "depends-on",
    "prerequisite-message-id": "depends-on",
}


def read(text: str) -> tuple[tuple[Link, ...], str | None, str | None]:
    """Links in order without repeats, base-commit (hex, lower case), and b4's change-id (not Gerrit's).

    Only at the start of a line: quoted ones are somebody else's. Ids without brackets, of `<id>`, of a bare id, or
    of a list archive's URL.
    """
    links: dict[Link, None] = {}
    base = change = None
    low = charset.lower(text)
    if not ("-on:" in low or "-id:" in low or "supersedes:" in low or "obsoletes:" in low or "base-commit:" in low):
        return (), None, None
    most = limits.room(len(text), few=10, each=40, most=MAX_LINKS)
    for found in islice(_LINE.finditer("\n" + text), most):
        key, value = found.group(1).lower(), found.group(2).strip()
        if key == "base-commit":
            hexes = _HEX.match(value)
            base = base or (hexes.group().lower() if hexes else None)
        elif key == "change-id":
            if not _GERRIT.match(value) and (word := _CHANGE_ID.match(value)):
                change = change or word.group()
        elif key == "prerequisite-patch-id":
            if hexes := _HEX.match(value):
                links[Link("prerequisite", hexes.group().lower())] = None
        elif key == "prerequisite-change-id":
            if word := _CHANGE_ID.match(value):
                links[Link("depends-on", "change-id:" + word.group())] = None
        else:
            for target in _targets(value):
                links[Link(_TYPES[key], target)] = None
    return tuple(links)[:most], base, change


def _targets(value: str) -> list[str]:
    brackets = _BRACKETS.findall(value) if "<" in value else ()
    if found := [hit for hit in brackets if "@" in hit and "/" not in hit.partition("@")[0]]:
        return [one[:MAX_ID] for one in found]
    if urls := _LORE.findall(value) if "://" in value else ():
        ids = [part for url in urls for part in url.split("/") if "@" in part]
        return [one.rstrip(".")[:MAX_ID] for one in ids] or [url[:MAX_ID] for url in urls]
    bare = _BARE.search(value)
    return [bare.group().rstrip(".")[:MAX_ID]] if bare else []

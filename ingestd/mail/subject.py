"""The grammar of subjects: Patchwork's name and prefixes, and what the tags say of version, number and total."""

import re
from typing import NamedTuple

from ingestd.mail.values import Subject

MAX_NAME = 255  # characters, Patchwork's column
MAX_TEXT = 1_000  # characters; an archive of 16,945 mails has 160 at most

_PATCHWORK_REPLY = re.compile(r"(?:re|fwd?)[:\s]\s*", re.IGNORECASE)
_GROUP = re.compile(r"\[([^\]]*)\]\s*")
_MERCURIAL = re.compile(r"PATCH (\d+) of (\d+)(.*)", re.DOTALL)

# What mail programs put before the subject of an answer, in the languages seen on lists; full-width colons too.
_REPLY = re.compile(
    r"(?:re|r|aw|antw|antwort|sv|vs|odp|ynt|rif|res|ref|ang|bls|atb|回复|回覆|答复|答覆|返信|답장|回信|ответ)"
    r"(?:\s?\[\d{1,3}\]|\(\d{1,3}\)|\^\d{1,3})?\s?[:：]\s*|re\s+(?=\[)",
    re.IGNORECASE,
)
_FORWARD = re.compile(r"(?:fwd?|fw|wg|tr|vb|rv|enc|doorst|转发|轉寄|転送)\s?[:：]\s*", re.IGNORECASE)
_INNER_SUBJECT = re.compile(r"subject\s?:\s*(?=\[)", re.IGNORECASE)
_LEADING = re.compile(r"[\[(]\s*(?=\[)|[\])}]\s*")

# All that most brackets hold, as git-format-patch(1) writes it; read the long way round it says the same.
_USUAL = re.compile(r"(RFC )?PATCH(?: v(\d{1,3}))?(?: (\d{1,4})/(\d{1,4}))?")
_NUMBER = re.compile(r"(?<![\d./])(\d{1,4})\s*(?:/|\bof\b)\s*(\d{1,4})(?![\d./]|\w)", re.IGNORECASE)
_VERSION = re.compile(
    r"(?:^|(?<=[\s,;:(\-_]))(?:patch|rfc|rft|pull)?[-_.]?v(?:er(?:sion)?)?[-_. ]?(\d{1,3})(?:\.(\d{1,2}))?"
    r"(?=$|[\s,;:)\]?]|patch|rfc)",
    re.IGNORECASE,
)
_TITLE_VERSION = re.compile(r"v(\d{1,2})\s", re.IGNORECASE)
_PAREN_VERSION = re.compile(r"\(v(\d{1,3})\)", re.IGNORECASE)
_BARE_VERSION = re.compile(r"\bPATCH (\d{1,2})[ ,]+\d{1,4}/\d{1,4}", re.IGNORECASE)
_UNBRACKETED = re.compile(r"(?:RFC\s+)?PATCH(?:\s+v\d{1,3})?\s+\d{1,4}/\d{1,4}(?=[\]:\s])", re.IGNORECASE)
_LATE_GROUP = re.compile(r"\[([^\[\]]*)\]\s*")
_PATCH_WORD = re.compile(r"\b(?:RFC|PATCH|PULL)", re.IGNORECASE)
_WAS = re.compile(r"\s*[(\[]was\b.*", re.IGNORECASE)  # `new subject (Was: old subject)`
_RESEND = re.compile(r"re-?(?:sen[dt]|post)", re.IGNORECASE)
_RFC = re.compile(r"(?<![^\s,;:/|&+(_-])rf[ct](?=v\d|_|\b)", re.IGNORECASE)  # also `PATCH/RFC`, `PATCH-RFC`, `RFCv2`
_BRANCH_WORDS = frozenset(("for", "stable", "linux", "u-boot", "backport", "qemu", "openbmc", "lts"))


def parse(text: str, list_name: str | None = None) -> Subject:
    """Read a decoded, one-line subject. `list_name` is the tag a list adds (the first label of its List-Id)."""
    text = text[:MAX_TEXT]
    name, prefixes = _patchwork(text, list_name)
    reply, groups, title = _peel(text)
    inside = groups[0] if len(groups) == 1 else " ".join(groups)
    if len(groups) > 1 or "[" in inside:
        inside = inside.replace("[", " ").replace("]", " ")
    number, total, version, reroll, resend, rfc = _usual(inside) or _told(inside)
    written = version is not None
    if version is None and (found := _title_version(title, number is not None)):
        version, written = found, True
    return Subject(
        text=text,
        name=name,
        prefixes=prefixes,
        title=title,
        tags=tuple(inside.replace(",", " ").split()),
        reply=reply,
        number=number,
        total=total,
        version=1 if version is None else version,
        version_written=written,
        reroll=reroll,
        resend=resend,
        rfc=rfc,
    )


class _Told(NamedTuple):
    """What the leading brackets say; the fields of `Subject` tell of them."""

    number: int | None
    total: int | None
    version: int | None
    reroll: int | None
    resend: bool
    rfc: bool


def _usual(inside: str) -> _Told | None:
    """What brackets say that hold nothing but what git writes; None for others."""
    found = _USUAL.fullmatch(inside)
    if found is None:
        return None
    rfc, version, number, total = found.groups()
    numbered = total is not None and int(total) > 0
    return _Told(
        int(number) if numbered else None,
        int(total) if numbered else None,
        None if version is None else int(version),
        None,
        resend=False,
        rfc=rfc is not None,
    )


def _told(inside: str) -> _Told:
    number, total = _number(inside)
    version, reroll = _version(inside, number is not None)
    return _Told(
        number, total, version, reroll, resend=_RESEND.search(inside) is not None, rfc=_RFC.search(inside) is not None
    )


def _tokens(inside: str, dropped: frozenset[str]) -> list[str]:
    """Patchwork's tokens of one bracket: PATCH and the list's own tag dropped."""
    if " of " in inside and (found := _MERCURIAL.match(inside)):
        tokens = ["PATCH", f"{found.group(1)} of {found.group(2)}", *found.group(3).replace(",", " ").split()]
    else:
        tokens = inside.replace(",", " ").split()
    return [token for token in tokens if token.lower() not in dropped]


def _patchwork(text: str, list_name: str | None) -> tuple[str, tuple[str, ...]]:
    """Patchwork's `name` and `prefixes` (reference: mail rules, section 4)."""
    at = 0
    if found := _PATCHWORK_REPLY.match(text):
        at = found.end()
    dropped = frozenset(("patch", (list_name or "").lower()))
    tokens: list[str] = []
    while text[at : at + 1] == "[" and (found := _GROUP.match(text, at)):
        tokens += _tokens(found.group(1), dropped)
        at = found.end()
    rest = text[at:]
    name = f"[{','.join(tokens)}] {rest}" if tokens else rest
    name = " ".join(name.split())[:MAX_NAME]
    if len(name) < MAX_NAME and " of " not in name:
        return name, tuple(tokens)
    if not tokens or not (found := _GROUP.match(name)):
        return name, ()
    return name, tuple(_tokens(found.group(1), dropped))


def _peel(text: str) -> tuple[bool, list[str], str]:
    """Reply marks and brackets off the front, in any order: is it a reply, the insides, the title."""
    reply = False
    groups: list[str] = []
    at = 0
    while True:
        bracket = text[at : at + 1] == "["
        mark = None if bracket else _REPLY.match(text, at) or _FORWARD.match(text, at)
        inner = None if groups or bracket else _INNER_SUBJECT.match(text, at)
        if front := mark or inner:
            reply = reply or mark is not None
            at = front.end()
        elif inside := _nested(text, at):
            groups.append(inside)
            at = _skip_blanks(text, at + len(inside) + 2)
        else:
            break
    title = text[at:].strip().lstrip(" :") if groups else text[at:].strip()  # `[PATCH]: title`, as git reads it
    if "was" in title.lower():
        title = _WAS.sub("", title)
    if not groups:
        if found := _UNBRACKETED.match(title):
            return reply, [found.group()], title[found.end() :].lstrip("]: ").strip()
        late = next((found for found in _LATE_GROUP.finditer(title) if _PATCH_WORD.search(found.group(1))), None)
        if late and late.end() < len(title):
            return reply, [late.group(1)], title[late.end() :].strip()
    return reply, groups, title


def _skip_blanks(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _nested(text: str, at: int) -> str:
    """The inside of the bracket that opens at `at`, inner brackets and all; empty where none opens or closes."""
    if text[at : at + 1] != "[":
        return ""
    end = text.find("]", at)
    if end < 0 or "[" not in text[at + 1 : end]:
        return text[at + 1 : max(end, 0)]
    depth = 0
    for end in range(at, min(len(text), at + 500)):
        if text[end] == "[":
            depth += 1
        elif text[end] == "]":
            depth -= 1
            if not depth:
                return text[at + 1 : end]
    return text[at + 1 : text.find("]", at)]


def _number(inside: str) -> tuple[int | None, int | None]:
    for found in _NUMBER.finditer(inside) if inside else ():
        number, total = int(found.group(1)), int(found.group(2))
        if total:
            return number, total
    return None, None


def _version(inside: str, numbered: bool) -> tuple[int | None, int | None]:
    """Version and re-roll as written. `v3.1 4/7` is a re-roll of v3; `v6.6` alone and `for v5.9` are branches."""
    dotted = None
    for found in _VERSION.finditer(inside) if "v" in inside or "V" in inside else ():
        if found.group(2) is None:
            return int(found.group(1)), None
        before = inside[: found.start()].split()
        branch = bool(before) and before[-1].lower().strip(",-") in _BRANCH_WORDS
        if dotted is None and not branch and (numbered or int(found.group(1)) <= 3):
            dotted = int(found.group(1)), int(found.group(2))
    if dotted is None and (bare := _BARE_VERSION.search(inside)):
        return int(bare.group(1)), None
    return dotted or (None, None)


def _title_version(title: str, numbered: bool) -> int | None:
    if "(" in title and (found := _PAREN_VERSION.search(title)):
        return int(found.group(1))
    if numbered and (found := _TITLE_VERSION.match(title)):
        return int(found.group(1))
    return None

"""Who wrote a mail: From, and behind a From that a list or relay has munged."""

import re
from typing import NamedTuple

from ingestd.mail import address, header
from ingestd.mail.values import Parts, Person

MAX_ANSWER_TO = 20  # places of Reply-To that are looked at; real mail has one

_VIA = re.compile(r"\s+via(?:\s+|\s*$)", re.IGNORECASE)
_RELAY = re.compile(r"devnull\+(.+)@kernel\.org\Z", re.IGNORECASE)
_PERSON_TRAILER = re.compile(r"^[A-Za-z-]{1,60}-by:[ \t]*([^\n]{1,500})", re.MULTILINE)
_QUOTES = re.compile(r"[\\\"']+")
_ROLE = re.compile(r"(?:-bounces|-owner|-request|-admin)?@", re.IGNORECASE)


class Origin(NamedTuple):
    """Who sent the mail by its header, munging undone, and how that is known."""

    sender: Person  # as From says
    submitter: Person  # the person behind it
    evidence: str
    munged: bool


def of_header(headers: header.Headers, list_name: str | None) -> Origin:
    """The person behind From.

    "X via LIST <list address>" is undone by X-Original-From (lists, b4's relay), X-Original-Sender, Author:, a
    Reply-To or Cc of the same name, and at last a Reply-To that names one person who is not the list. Where all
    fail the sender stays as he is: two strangers must not become one person.
    """
    sender = address.person(headers.first("from") or "")
    if not sender.name and not sender.email:
        fallback = address.person(headers.first("sender") or "")
        return Origin(sender, fallback, "sender" if str(fallback) else "none", munged=False)
    via = _VIA.search(sender.name)
    relay = _RELAY.match(sender.email)
    if not (via and via.start()) and not relay and not _is_list(sender.email, headers, list_name):
        return Origin(sender, sender, "from", munged=False)
    if not via and not relay:
        return _unmunge(headers, sender, sender.name)
    return _unmunge(headers, sender, sender.name[: via.start()].strip() if via else sender.name)


def of_text(came: Origin, parts: Parts, headers: header.Headers) -> tuple[Person, str]:
    """The author of a patch: the in-body From (git-am(1)), else the person behind the header's.

    An in-body From that a list has munged is healed by a trailer or a Cc of the same name. Two in-body Froms on
    top of each other contradict each other: then the header stands.
    """
    value = next((value for name, value in parts.in_body if name == "From"), None)
    found = address.person(value) if value else Person("", "")
    if "@" not in found.email:
        return came.submitter, came.evidence
    if parts.message.startswith("From: ") and "@" in parts.message.partition("\n")[0]:
        return came.submitter, f"{came.evidence}, in-body Froms disagree"
    via = _VIA.search(found.name)
    if not via or not via.start():
        return found, "in-body From"
    name = found.name[: via.start()].strip()
    trailers = [address.person(hit) for hit in _PERSON_TRAILER.findall(parts.message)]
    copies = address.of_fields(headers, "cc", "to")
    wanted = _plain(name)
    for evidence, people in (("trailer", trailers), ("cc", copies)):
        for one in people:
            if _plain(one.name) == wanted and "@" in one.email:
                return one, f"in-body From, munged; {evidence}"
    return found, "in-body From, munged"


def _is_list(email: str, headers: header.Headers, list_name: str | None) -> bool:
    """Is this the list's own address? (`List-Post`, or the list's name before the @.)"""
    low = email.lower()
    post = headers.first("list-post")
    if post and f"mailto:{low}>" in post.lower():
        return True
    return bool(list_name) and low.partition("@")[0] == list_name and low in (headers.first("to") or "").lower()


def _unmunge(headers: header.Headers, sender: Person, name: str) -> Origin:
    name = name.strip().strip("\"'")
    for field in ("x-original-from", "x-mailman-original-from", "author", "x-original-sender"):
        value = headers.first(field)
        found = address.person(value) if value else Person("", "")
        if "@" in found.email and found.email.lower() != sender.email.lower():
            return Origin(sender, Person(found.name or name, found.email), field, munged=True)
    answer_to = address.of_fields(headers, "reply-to", most=MAX_ANSWER_TO)
    wanted = _plain(name)
    copies = address.of_fields(headers, "cc") if _may_name(headers.all("cc"), wanted) else []
    for field, people in (("reply-to", answer_to), ("cc", copies)):
        for one in people:
            if name and _plain(one.name) == wanted and one.email.lower() != sender.email.lower():
                return Origin(sender, one, field, munged=True)
    firsts = {one.email.lower(): one for one in reversed(answer_to) if "@" in one.email}
    others = [one for email, one in firsts.items() if not _listlike(email, headers, sender)]
    if len(others) == 1:
        return Origin(sender, Person(others[0].name or name, others[0].email), "reply-to", munged=True)
    return Origin(sender, sender, "from, munged", munged=True)


def _may_name(values: list[str], wanted: str) -> bool:
    """May a plain name stand in these fields? Its last word tells, unless some are encoded: to read all takes long."""
    word = wanted[wanted.rfind(" ") + 1 :]
    return any("=?" in value or word in _QUOTES.sub("", value).lower() for value in values)


def _plain(name: str) -> str:
    """The same for names that are equal but for order around a comma, quotes and case."""
    last, comma, first = name.lower().replace('"', "").replace("'", "").partition(",")
    return " ".join((f"{first} {last}" if comma else last).split())


def _listlike(low: str, headers: header.Headers, sender: Person) -> bool:
    if low == sender.email.lower():
        return True
    post = (headers.first("list-post") or "").lower()
    return low in post or bool(_ROLE.search(low) and _ROLE.search(low).group() != "@")  # type: ignore[union-attr]

"""The mails of a thread with their keys, in the order of what they say, each with the mail it answers."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingestd.series import link
from ingestd.series.values import Fact

_KEY_LIKE = re.compile(r"#[0-9a-f]{8}(?:[0-9a-f]{56})?\Z")
_COVERS = ("cover", "pull")  # kinds
HOPELESS = datetime.max.replace(tzinfo=UTC)  # stands for a Date that nobody can read: sorts last


@dataclass(slots=True, eq=False)
class Mail:
    """A fact on its way through grouping."""

    fact: Fact
    key: str
    references: tuple[str, ...]  # nearest ancestor first
    people: frozenset[str]  # addresses and full names of author and sender, in lower case
    via: frozenset[str]  # the list's address where it stands in From: who sent it may not be known
    parent: "Mail | None" = field(default=None, repr=False)
    place: tuple[datetime, int, str] = field(init=False)

    def __post_init__(self) -> None:
        """Sorts mails by Date, covers before patches, then by key: never by arrival."""
        self.place = (self.date, self.fact.number or 0, self.key)

    @property
    def number(self) -> int:
        """The slot: N of N/M; a patch without a number, or an answer with a diff, is the first of one."""
        if self.fact.number is not None:
            return self.fact.number
        return 1 if self.fact.kind == "patch" or (self.fact.has_diff and self.fact.kind not in _COVERS) else 0

    @property
    def date(self) -> datetime:
        """The Date, or the end of time."""
        return self.fact.date or HOPELESS


def read(facts: Collection[Fact]) -> list[Mail]:
    """The mails of `facts` in order of place, keyed and with their parents; no cycles, no mail its own parent."""
    keyed = keys(facts)
    mails = sorted(
        (Mail(fact, keyed[fact.identity], link.references(fact), _people(fact), _via(fact)) for fact in _unique(facts)),
        key=lambda mail: mail.place,
    )
    _find_parents(mails)
    return mails


def keys(facts: Iterable[Fact]) -> dict[tuple[str, str], str]:
    """Identity -> key: the Message-ID; further mails under the same id get `#` and 8 digits of their content key.

    The variant with the smallest (Date, content key) has the bare id; without a Date comes last. Where 8 digits are
    not enough to tell variants apart, all 64 are taken. A Message-ID that looks like such a key itself is never one,
    so that nobody can forge the key of another mail.
    """
    variants: dict[str, set[tuple[datetime, str]]] = defaultdict(set)
    for fact in facts:
        variants[fact.message_id].add((fact.date or HOPELESS, fact.content_key))
    keyed: dict[tuple[str, str], str] = {}
    for message_id, contents in variants.items():
        further = sorted(contents)
        if not _KEY_LIKE.search(message_id):
            (_, first), *further = further
            keyed[message_id, first] = message_id
        short = Counter(content_key[:8] for _, content_key in further)
        for _, content_key in further:
            digits = content_key[:8] if short[content_key[:8]] == 1 else content_key
            keyed.setdefault((message_id, content_key), f"{message_id}#{digits}")
    return keyed


def _unique(facts: Iterable[Fact]) -> list[Fact]:
    """One fact for each identity: which one, should they differ, does not hang on the order given."""
    unique: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        known = unique.setdefault(fact.identity, fact)
        if known != fact:
            unique[fact.identity] = min(known, fact, key=repr)
    return list(unique.values())


def _people(fact: Fact) -> frozenset[str]:
    people = {fact.author_email.lower(), " ".join(fact.author_name.lower().split())}
    if not fact.munged:
        people |= {fact.sender_email.lower(), " ".join(fact.sender_name.lower().split())}
    # A single word is no proof of anything.
    return frozenset(one for one in people if "@" in one or " " in one)


def _via(fact: Fact) -> frozenset[str]:
    return frozenset((fact.sender_email.lower(),)) if fact.munged else frozenset()


def _find_parents(mails: Iterable[Mail]) -> None:
    """Point each mail at its nearest ancestor that is there; cut cycles at their first mail."""
    by_id: dict[str, Mail] = {}
    for mail in mails:
        # A Message-ID alone means the first variant; a former id is weaker than any real one.
        rival = by_id.setdefault(mail.fact.message_id, mail)
        by_id[mail.fact.message_id] = min(rival, mail, key=lambda one: (one.date, one.fact.content_key))
    for mail in mails:
        for id_ in mail.fact.former_ids:
            by_id.setdefault(id_, mail)
    for mail in mails:
        found = (by_id[id_] for id_ in mail.references if id_ in by_id)
        mail.parent = next((one for one in found if one is not mail), None)
    _cut_cycles(mails)


def _cut_cycles(mails: Iterable[Mail]) -> None:
    done: set[str] = set()
    for mail in mails:
        walked: dict[str, Mail] = {}
        at: Mail | None = mail
        while at is not None and at.key not in done and at.key not in walked:
            walked[at.key] = at
            at = at.parent
        if at is not None and at.key in walked:
            cycle = [at]
            while (following := cycle[-1].parent) is not None and following is not at:
                cycle.append(following)
            min(cycle, key=lambda one: one.place).parent = None
        done.update(walked)


def parents(mails: Iterable[Mail]) -> dict[str, str | None]:
    """Key -> key of the parent."""
    return {mail.key: None if mail.parent is None else mail.parent.key for mail in mails}

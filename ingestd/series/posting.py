"""A posting in the making: mails that one person sent as one thing, in numbered slots."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ingestd.series.thread import HOPELESS, Mail

# Version, total, re-roll and RESEND: what all patches of one posting have in common.
Shape = tuple[int, int, int | None, bool]

_DAWN = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True, eq=False)
class Posting:
    """Mails of one posting, and how each came into it."""

    slots: dict[int, list[Mail]] = field(default_factory=dict)  # number -> mails; numbered covers in slot 0
    shapes: Counter[Shape] = field(default_factory=Counter)  # of the patches
    people: set[str] = field(default_factory=set)
    via: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)  # key of a member -> why it is one
    rerolls: list[Mail] = field(default_factory=list)  # laid over this posting
    by_hand: set[str] = field(default_factory=set)  # keys of members that a human put here
    cover: Mail | None = None  # one that has no number
    supersedes: set[str] = field(default_factory=set)  # Message-IDs named in its mails and in answers to them
    run_goes_on: bool = False  # other mails of its send run are in other postings
    foremost: Mail | None = None  # the first mail of the lowest slot
    highest: int = -1  # number
    first: datetime = HOPELESS
    last: datetime = _DAWN

    def add(self, mails: Iterable[Mail], reason: str) -> None:
        """Take mails in."""
        for mail in mails:
            self.slots.setdefault(mail.number, []).append(mail)
            self.people |= mail.people
            self.via |= mail.via
            self.reasons[mail.key] = reason
            if self.foremost is None or (mail.number, mail.place) < (self.foremost.number, self.foremost.place):
                self.foremost = mail
            self.highest = max(self.highest, mail.number)
            self.first = min(self.first, mail.date)
            self.last = max(self.last, mail.date)
            if mail.number:
                self.shapes[shape(mail)] += 1

    def place(self, mail: Mail, reason: str) -> None:
        """Take in a mail that a human puts here; it says nothing about shape and people of the others."""
        self.by_hand.add(mail.key)
        self.reasons[mail.key] = reason
        if mail.number in self.slots and mail.number:
            self.rerolls.append(mail)
        elif mail.number or self.cover is not None:
            self.slots.setdefault(mail.number, []).append(mail)
        elif 0 in self.slots:  # its cover stays the first, whatever the Dates
            self.cover, *copies = sorted(self.slots[0], key=lambda one: one.place)
            self.slots[0] = [*copies, mail]
        else:
            self.cover = mail

    @property
    def mails(self) -> Iterator[Mail]:
        """The mails in slots by number, those of one slot in order of place."""
        for _, held in sorted(self.slots.items()):
            yield from held if len(held) == 1 else sorted(held, key=lambda mail: mail.place)

    @property
    def lead(self) -> Mail:
        """The cover, else the first patch."""
        lead = self.cover or self.foremost
        if lead is None:
            raise ValueError("a posting without mails has no lead")
        return lead

    @property
    def shape(self) -> Shape:
        """What most of its patches say; of equals the smallest. What the cover says where it is alone."""
        if len(self.shapes) == 1:
            return next(iter(self.shapes))
        if not self.shapes:
            return shape(self.lead)
        most = max(self.shapes.values())
        return min((one for one, count in self.shapes.items() if count == most), key=_sortable)

    @property
    def is_numbered(self) -> bool:
        """Whether it is a series, not a lone patch or pull request."""
        return self.foremost is not None and self.foremost.fact.number is not None

    @property
    def is_partial(self) -> bool:
        """Whether it lacks the cover and some patches: so are re-rolls of single patches posted."""
        _, total, _, _ = self.shape
        whole = all(number in self.slots for number in range(1, total + 1))
        return self.cover is None and 0 not in self.slots and not whole

    def takes(self, mails: Iterable[Mail]) -> bool:
        """Whether the slots of `mails` are free, or hold the very same text (a copy that took another road)."""
        return all(
            any(one.fact.content_key == mail.fact.content_key for one in self.slots[mail.number])
            for mail in mails
            if mail.number in self.slots
        )


def shape(mail: Mail) -> Shape:
    """The shape that a mail's subject says; a patch without a number is the only one of one."""
    fact = mail.fact
    return fact.version, mail.number if fact.total is None else fact.total, fact.reroll, fact.resend


def gap(one: Posting, other: Posting) -> timedelta:
    """Time between two postings; none where they overlap."""
    return max(one.first - other.last, other.first - one.last, timedelta(0))


def _sortable(one: Shape) -> tuple[int, int, int, bool]:
    version, total, reroll, resend = one
    return version, total, -1 if reroll is None else reroll, resend

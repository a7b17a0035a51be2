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
    reasons: dict[str, str] = field(default_factory=dict)  # key of a member -> why it is one
    rerolls: list[Mail] = field(default_factory=list)  # laid over this posting
    cover: Mail | None = None  # one that has no number
    first: datetime = HOPELESS
    last: datetime = _DAWN

    def add(self, mails: Iterable[Mail], reason: str) -> None:
        """Take mails in."""
        for mail in mails:
            self.slots.setdefault(mail.number, []).append(mail)
            self.people |= mail.people
            self.reasons[mail.key] = reason
            self.first = min(self.first, mail.date)
            self.last = max(self.last, mail.date)
            if mail.number:
                self.shapes[shape(mail)] += 1

    @property
    def mails(self) -> Iterator[Mail]:
        """The mails in slots by number, those of one slot in order of place."""
        for number in sorted(self.slots):
            yield from sorted(self.slots[number], key=lambda mail: mail.place)

    @property
    def lead(self) -> Mail:
        """The cover, else the first patch."""
        return self.cover or min(self.slots[min(self.slots)], key=lambda mail: mail.place)

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

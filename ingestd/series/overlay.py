"""Re-rolls: patches posted anew for slots of a posting that is already in the thread."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from ingestd.series.posting import Posting
from ingestd.series.thread import Mail

_CLIMBED = 64  # members of other postings above a mail that are looked at: a bound on work


class Home:
    """Where each member of a posting is at home, and what stands above it."""

    def __init__(self, postings: Iterable[Posting], mails: Iterable[Mail]) -> None:
        """`postings`: all of the thread; `mails`: all of the thread, with their parents."""
        self.of: dict[str, Posting] = {}
        for posting in postings:
            for mail in (*posting.mails, *posting.rerolls, *([] if posting.cover is None else [posting.cover])):
                self.of[mail.key] = posting
        self._above = _nearest_members(mails, self.of)

    def nearest(self, mail: Mail) -> Posting | None:
        """The posting a mail is a member of, or answers, however deep."""
        member = mail if mail.key in self.of else self._above[mail.key]
        return None if member is None else self.of[member.key]

    def ancestors(self, mail: Mail) -> Iterator[Mail]:
        """The members of other postings above `mail`, nearest first."""
        return islice(self._climb(mail), _CLIMBED)

    def _climb(self, mail: Mail) -> Iterator[Mail]:
        own = self.of[mail.key]
        above = self._above[mail.key]
        while above is not None:
            if self.of[above.key] is not own:
                yield above
            above = self._above[above.key]

    def bases(self, posting: Posting, most: int) -> list[str]:
        """Keys of the mails of other postings that this one answers, and of the leads of those postings."""
        found: dict[str, None] = {}
        for mail in posting.mails:
            above = self._above[mail.key]
            if above is not None and self.of[above.key] is posting:
                continue  # that one has been asked
            for one in self.ancestors(mail):
                found |= {one.key: None, self.of[one.key].lead.key: None}
                if len(found) >= most:
                    return list(found)[:most]
        return list(found)


def lay(postings: Iterable[Posting], home: Home) -> list[Posting]:
    """Lay re-rolls over the postings they belong to; answer the postings that stay.

    A partial posting (no cover, not all patches) is a re-roll of another posting of the same people and version, where
    - its mails are marked as one (`[PATCH v3.1 4/7]`) and the first answers, however deep, that posting; or
    - it does not say RESEND, has the same total, and the first answers the patch under its own number
      (`[PATCH v2 3/5]` again, below v2 3/5), or all have the titles of the patches they replace.
    A partial posting of a newer version stays a series of its own: `revise` carries over what it leaves out.
    """
    kept: list[Posting] = []
    # In order of place: a re-roll of a re-roll finds the first one at home in the posting both belong to.
    for posting in sorted(postings, key=lambda one: one.lead.place):
        base = _base(posting, home)
        if base is None:
            kept.append(posting)
            continue
        # By a wrong Date, a re-roll of this re-roll may have come first.
        for mail in (*posting.mails, *posting.rerolls):
            base.rerolls.append(mail)
            base.reasons[mail.key] = "re-roll of a patch of this version"
            home.of[mail.key] = base
    return kept


def _base(posting: Posting, home: Home) -> Posting | None:
    if not posting.is_partial:
        return None
    version, total, reroll, resend = posting.shape
    for above in home.ancestors(posting.lead):
        base = home.of[above.key]
        base_version, base_total, base_reroll, _ = base.shape
        if not base.is_numbered or base_version != version or base.people.isdisjoint(posting.people):
            continue
        if reroll is not None and base_reroll is None:
            return base
        if (base_total, base_reroll) == (total, reroll) and not resend and _replaces(posting, above, base):
            return base
    return None


def _replaces(posting: Posting, above: Mail, base: Posting) -> bool:
    """Whether all mails of a partial posting stand for patches that are there."""
    if above.number == posting.lead.number:
        return all(mail.number in base.slots for mail in posting.mails)
    return all(any(_same_title(mail, one) for one in base.slots.get(mail.number, ())) for mail in posting.mails)


def _same_title(mail: Mail, other: Mail) -> bool:
    return mail.fact.title.casefold() == other.fact.title.casefold()


def _nearest_members(mails: Iterable[Mail], members: Mapping[str, Posting]) -> dict[str, Mail | None]:
    """Key of a member -> the nearest member above it, whatever stands between."""
    above: dict[str, Mail | None] = {}
    for mail in mails:
        walked = [mail]
        # Up to a mail whose answer is known, or that has no parent; then down again: each mail is walked once.
        while walked[-1].key not in above and (parent := walked[-1].parent) is not None:
            walked.append(parent)
        for one in reversed(walked):
            if one.key not in above:
                parent = one.parent
                above[one.key] = parent if parent is None or parent.key in members else above[parent.key]
    return above

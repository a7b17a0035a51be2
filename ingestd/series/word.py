"""A human's word: mails that belong where somebody said, whatever the rules say (`ingestd relink`)."""

from collections.abc import Iterable, Mapping

from ingestd.series import overlay
from ingestd.series.posting import Posting
from ingestd.series.thread import Mail
from ingestd.series.values import Fact

REASON = "somebody said so (ingestd relink)"


def can_belong(fact: Fact) -> bool:
    """Whether a mail can be put into a series: it has a diff, or could be a cover."""
    return fact.has_diff or fact.kind in ("patch", "cover", "pull", "other")


def heads(mails: Iterable[Mail]) -> dict[str, Mail]:
    """Key of each mail that somebody spoke of -> the mail whose series it belongs to; itself for one of its own.

    Words are followed: who is sent to a mail that is sent on goes with it. Of a circle the first mail by place is the
    head. A word is void where the mail cannot belong to any series, or where the mail it names is not there.
    """
    mails = list(mails)
    by_identity = {mail.fact.identity: mail for mail in mails}
    said: dict[str, Mail] = {}
    for mail in mails:
        named = None if mail.fact.belongs is None else by_identity.get(mail.fact.belongs)
        if named is not None and can_belong(mail.fact):
            said[mail.key] = named
    found: dict[str, Mail] = {}
    for mail in mails:
        walked: dict[str, Mail] = {}
        at = mail
        while at.key in said and at.key not in found and at.key not in walked:
            walked[at.key] = at
            at = said[at.key]
        if at.key in walked:
            circle = list(walked.values())[list(walked).index(at.key) :]
            at = min(circle, key=lambda one: one.place)
        found |= dict.fromkeys(walked, found.get(at.key, at))
    return found


def follow(postings: list[Posting], home: overlay.Home, spoken: Mapping[str, Mail], mails: Iterable[Mail]) -> None:
    """Put each mail that somebody spoke of into the posting of its head.

    `postings`, `home`: of all other mails, re-rolls laid; changed in place. A head that is in no posting starts one.
    In a free slot the mail stands as posted, in a taken one it is laid over; a second cover is a copy of the first.
    It has no say in what the posting's version and total are.
    """
    for mail in mails:
        head = spoken.get(mail.key)
        if head is None:
            continue
        posting = home.of.get(head.key)
        if posting is None:
            posting = Posting()
            posting.add([head], REASON)
            home.of[head.key] = posting
            postings.append(posting)
        if mail is not head:
            posting.place(mail, REASON)
            home.of[mail.key] = posting

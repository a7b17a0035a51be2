"""Parcels joined into postings: by what their mails answer, else by shape and time."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import islice

from ingestd.series import link
from ingestd.series.posting import Posting, Shape, gap
from ingestd.series.thread import Mail

# A version or total that is mistyped is forgiven between mails sent this near to each other.
_AT_ONCE = timedelta(minutes=10)

# Bounds on work, far above what people send: references of a mail, and postings that one id or shape leads to.
_REFERENCES = 32
_LOOKED_AT = 32

_Held = dict[Posting, None]  # postings in the order they were noted
_Test = Callable[[Posting, Posting], bool]


def join(parcels: Iterable[Posting]) -> list[Posting]:
    """The postings of a thread, in order of their first parcels.

    A parcel joins a posting of the same people that has its slots free. In this order, the nearest in time first:
    1. one that has, or waits for, the mail that the parcel's lead answers: of the same shape, or sent at once and of
       the same version or total;
    2. one that answers a mail of the parcel: likewise;
    3. one that any other reference leads to, nearest first: of the same shape;
    4. one of the same shape and tree in the thread, not further off than `link.NEAR`: a series sent one run a mail,
       without threading or each patch in reply to its former version. Not where either's run went on with other
       mails: those were sent as they should be.
    `parcels`: in order of their leads.
    """
    joiner = _Joiner()
    for parcel in parcels:
        joiner.place(parcel)
    return joiner.postings


class _Joiner:
    """The postings so far, and what leads to each."""

    def __init__(self) -> None:
        self.postings: list[Posting] = []
        self.by_id: dict[str, Posting] = {}  # id of a member, or one it had before -> its posting
        self.waiting: dict[str, _Held] = defaultdict(dict)  # id -> postings with members that refer to it
        self.shaped: dict[Shape, _Held] = defaultdict(dict)

    def place(self, parcel: Posting) -> None:
        """Join a parcel to its posting, or make it one of its own."""
        mails = list(parcel.mails)
        host, reason = self._find(parcel, mails)
        if host is None:
            host = parcel
            self.postings.append(parcel)
        else:
            host.add(mails, reason)
        for mail in mails:
            for id_ in _ids(mail):
                self.by_id.setdefault(id_, host)
            for id_ in _references(mail):
                self.waiting[id_].setdefault(host)
        self.shaped[host.shape].setdefault(host)

    def _find(self, parcel: Posting, mails: Iterable[Mail]) -> tuple[Posting | None, str]:
        """The posting a parcel belongs to, and why."""
        for hosts, test, reason in self._candidates(parcel, mails):
            for host in hosts:
                if test(host, parcel):
                    return host, reason
        return None, ""

    def _candidates(self, parcel: Posting, mails: Iterable[Mail]) -> Iterator[tuple[Iterable[Posting], _Test, str]]:
        """Postings to ask, the likeliest first, each found only when those before it are not the one."""
        direct, *further = _references(parcel.lead) or ("",)
        above = _nearest(parcel, self._at(direct))
        yield above, _fits, "answers the same posting"
        yield above, _nearly_fits, "answers the same posting, sent at once"
        below = _nearest(parcel, (host for mail in mails for id_ in _ids(mail) for host in self._waiting(id_)))
        yield below, _fits, "answered by its posting"
        yield below, _nearly_fits, "answered by its posting, sent at once"
        if parcel.shape in self.shaped:
            beside = (host for id_ in further for host in _nearest(parcel, self._at(id_)))
            yield beside, _fits, "refers to the same posting"
            yield self._alike(parcel), _fits, "same submitter, version, total and time"

    def _at(self, id_: str) -> list[Posting]:
        owner = self.by_id.get(id_)
        return [*([] if owner is None else [owner]), *self._waiting(id_)]

    def _waiting(self, id_: str) -> list[Posting]:
        return _latest(self.waiting.get(id_, {}))

    def _alike(self, parcel: Posting) -> list[Posting]:
        """Postings of the same shape at the same time: where numbers go on, then of one topic, then the nearest."""
        lead = parcel.lead
        if lead.number == 0 or lead.fact.date is None or parcel.run_goes_on:
            return []
        tree = link.tree(lead.fact)
        near = [
            host
            for host in _latest(self.shaped.get(parcel.shape, {}))
            if gap(host, parcel) <= link.NEAR and link.tree(host.lead.fact) == tree and not host.run_goes_on
        ]
        return sorted(
            near,
            key=lambda host: (
                host.highest != lead.number - 1,
                _topic(host.lead) != _topic(lead),
                gap(host, parcel),
                host.lead.place,
            ),
        )


def _ids(mail: Mail) -> tuple[str, ...]:
    return mail.fact.message_id, *mail.fact.former_ids


def _references(mail: Mail) -> tuple[str, ...]:
    """The nearest ones, and the oldest: mostly the cover, or the root of it all."""
    nearest = mail.references[:_REFERENCES]
    return nearest if len(mail.references) <= _REFERENCES else (*nearest, mail.references[-1])


def _latest(held: _Held) -> list[Posting]:
    return list(islice(reversed(held), _LOOKED_AT))


def _topic(mail: Mail) -> str:
    """What stands before the first colon of the title."""
    return mail.fact.title.partition(":")[0].strip().lower()


def _nearest(parcel: Posting, hosts: Iterable[Posting]) -> list[Posting]:
    return sorted(dict.fromkeys(hosts), key=lambda host: (gap(host, parcel), host.lead.place))


def _fits(host: Posting, parcel: Posting) -> bool:
    return host.shape == parcel.shape and _may_join(host, parcel)


def _nearly_fits(host: Posting, parcel: Posting) -> bool:
    """Sent at once, and the same version or total: one of the two is mistyped, mostly in the cover."""
    (version, total, *rest), (other_version, other_total, *other_rest) = host.shape, parcel.shape
    return (
        (version == other_version or total == other_total)
        and rest == other_rest
        and gap(host, parcel) <= _AT_ONCE
        and _may_join(host, parcel)
    )


def _may_join(host: Posting, parcel: Posting) -> bool:
    # Where a list stands in From and somebody else is the author, the sender is not to be seen.
    same = not host.people.isdisjoint(parcel.people) or not host.via.isdisjoint(parcel.via)
    return same and host.takes(parcel.mails)

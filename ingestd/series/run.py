"""Parcels: the mails of one send run, as their Message-IDs tell, cut where one posting ends and the next begins."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ingestd.series import stem
from ingestd.series.posting import Posting
from ingestd.series.thread import Mail

_OPEN = 8  # postings of one version and total in one run that may still grow: a bound on work


def parcels(numbered: Iterable[Mail]) -> list[Posting]:
    """Mails of one send run and one posting together, mails of no known run alone; in order of their leads."""
    runs: dict[str, list[_Sent]] = defaultdict(list)
    found: list[Posting] = []
    for mail in numbered:
        run = _run(mail)
        if run is None:
            found.append(Posting())
            found[-1].add([mail], "numbered")
        else:
            runs[run.run].append(_Sent(mail, run.index))
    for sent in runs.values():
        found += _cut(sent)
    return sorted(found, key=lambda parcel: parcel.lead.place)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A mail and its place in the run, where the tool says so."""

    mail: Mail
    index: int | None

    @property
    def offset(self) -> int | None:
        """Place less number: stays the same while one series is sent, even where we lack some of it."""
        return None if self.index is None else self.index - self.mail.number


def _run(mail: Mail) -> stem.Stem | None:
    runs = (stem.read(id_) for id_ in (mail.fact.message_id, *mail.fact.former_ids))
    return next((run for run in runs if run is not None), None)


def _cut(run: Iterable[_Sent]) -> list[Posting]:
    """Numbers rise within a posting, version and total stay, and numbers start anew with the next one."""
    open_: dict[tuple[int, int], list[list[_Sent]]] = defaultdict(list)
    stretches: list[list[_Sent]] = []
    for sent in sorted(run, key=_in_order):
        fact = sent.mail.fact
        alike = open_[fact.version, fact.total or 0]
        rising = [stretch for stretch in alike[-_OPEN:] if _follows(sent.mail, stretch[-1].mail)]
        fitting = [stretch for stretch in rising if stretch[-1].offset == sent.offset] or rising
        if fitting:
            fitting[-1].append(sent)
        else:
            stretches.append([sent])
            alike.append(stretches[-1])
    stretches = _give_covers(stretches)
    return [_parcel(stretch, goes_on=len(stretches) > 1) for stretch in stretches]


def _in_order(sent: _Sent) -> tuple[object, ...]:
    return sent.mail.number if sent.index is None else sent.index, sent.mail.number, sent.mail.place


def _follows(mail: Mail, last: Mail) -> bool:
    copy = mail.number == last.number and mail.fact.content_key == last.fact.content_key
    return mail.number > last.number or copy


def _give_covers(stretches: list[list[_Sent]]) -> list[list[_Sent]]:
    """Give a cover that no patch agrees with to the patches sent right after it: versions and totals are mistyped."""
    kept: list[list[_Sent]] = []
    for position, stretch in enumerate(stretches):
        cover = stretch[0].mail
        if len(stretch) == 1 and cover.number == 0:
            heir = next((one for one in stretches[position + 1 : position + 3] if _suits(cover, one[0].mail)), None)
            if heir is not None:
                heir.insert(0, stretch[0])
                continue
        kept.append(stretch)
    return kept


def _suits(cover: Mail, first: Mail) -> bool:
    alike = cover.fact.version == first.fact.version or cover.fact.total == first.fact.total
    return first.number == 1 and alike


def _parcel(stretch: Iterable[_Sent], *, goes_on: bool) -> Posting:
    parcel = Posting(run_goes_on=goes_on)
    parcel.add((sent.mail for sent in stretch), "same send run")
    return parcel

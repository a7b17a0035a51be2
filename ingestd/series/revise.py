"""Revise: which series supersedes which, and what a partial posting carries over: a pure function of neighbours."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from ingestd.series.thread import HOPELESS
from ingestd.series.values import CARRIED, Member, Revision, Series

# A title says little after a year, and a same title at the same version is a second posting only for some months.
_YEAR = timedelta(days=400)
_SEASON = timedelta(days=120)
# Pull requests come every week under one title.
_FORTNIGHT = timedelta(days=14)


def revise(one: Series, neighbours: Collection[Series]) -> Revision:
    """What `one` supersedes, and what it carries.

    `neighbours`: all series of the same list that share at least one of `one.revision_keys`; `one` itself and repeats
    among them change nothing, nor does their order, nor members with role "carried" in any of them. The answer
    depends on nothing else: so whenever a series is made, changed or removed, those that share a revision key with
    it, as it was or as it is, must be revised again, and no others.

    A series supersedes the newest of the older ones (by version, re-roll, Date, key) that it is linked to, by
    - supersedes: it names one of their mails (`Supersedes:`, `Obsoletes:`); goes before all other links;
    - change-id: both have the same one;
    - in-reply-to: it answers one of their mails, is of the same people, and has a higher version or the same title;
    - title: it is of the same people, and its title or most titles of its patches are the same; at the same version
      also the tree in the tags and the total.
    The members it carries are those of the superseded series, and of what that one stood on, for the numbers it lacks,
    where it is a re-roll of some patches: without cover, with the same total, and answering a patch under a number it
    posts itself, marked as a re-roll, or naming what it supersedes.
    """
    older = {series.key: series for series in neighbours if series.key != one.key and _order(series) < _order(one)}
    linked = {key: evidence for key, series in older.items() if (evidence := _evidence(one, series)) is not None}
    if not linked:
        return Revision(None, None, ())
    best = max(linked, key=lambda key: (linked[key] == _SUPERSEDES, _order(older[key])))
    return Revision(best, linked[best], _carried(one, older[best], [older[key] for key in linked]))


_SUPERSEDES = "supersedes"

_Order = tuple[int, int, datetime, str]


def _order(series: Series) -> _Order:
    return series.version, series.reroll or 0, series.date or HOPELESS, series.key


def _evidence(one: Series, other: Series) -> str | None:
    """The strongest link from `one` to an older series."""
    shared = set(one.revision_keys) & set(other.revision_keys)
    if not shared:
        return None
    if not _mails(other).isdisjoint(one.supersedes):
        return _SUPERSEDES
    if one.change_id is not None and one.change_id == other.change_id:
        return "change-id"
    if not _same_people(one, other):
        return None
    same_title = _same_title(one, other, shared)
    if (same_title or _grows(one, other)) and any(f"m:{key}" in shared for key in _mails(other)):
        return "in-reply-to"
    return "title" if same_title else None


def _mails(series: Series) -> set[str]:
    """Keys of the mails it was posted with."""
    own = {member.key for member in series.members if member.role != CARRIED}
    return own if series.cover is None else own | {series.cover}


def _same_people(one: Series, other: Series) -> bool:
    if one.author_email.lower() == other.author_email.lower():
        return True
    name = " ".join(one.author_name.lower().split())
    return " " in name and name == " ".join(other.author_name.lower().split())


def _grows(one: Series, other: Series) -> bool:
    """Whether the one can be the next version of the other though titles differ: not a lone fix in its thread."""
    return one.version > other.version and (one.kind != "single" or other.kind == "single")


def _same_title(one: Series, other: Series, shared: Collection[str]) -> bool:
    """Whether titles say that one is a later version of the other, or the same version posted again."""
    apart = _apart(one, other)
    if "pull" in (one.kind, other.kind):
        return one.version > other.version and apart <= _FORTNIGHT and _share(shared, "h:")
    if one.version == other.version and (one.reroll or 0) == (other.reroll or 0):
        return one.total == other.total and apart <= _SEASON and _share(shared, "u:")
    return apart <= _YEAR and (_share(shared, "h:") or _share_most(one, other, shared))


def _apart(one: Series, other: Series) -> timedelta:
    if one.date is None or other.date is None:
        return timedelta(0)
    return abs(one.date - other.date)


def _share(shared: Iterable[str], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in shared)


def _share_most(one: Series, other: Series, shared: Iterable[str]) -> bool:
    """Whether more than half of the patch titles of the one with fewer are the other's too, and not just one title."""
    fewer = min(sum(key.startswith("t:") for key in series.revision_keys) for series in (one, other))
    same = sum(key.startswith("t:") for key in shared)
    return same * 2 > fewer and (same > 1 or fewer == 1)


def _carried(one: Series, base: Series, linked: Collection[Series]) -> tuple[Member, ...]:
    """What the slots that `one` leaves out hold in `base` and in what `base` stands on."""
    if not _is_reroll_of(one, base):
        return ()
    posted = one.posted
    carried: dict[int, Member] = {}
    # A base that is partial itself stands on older ones: nearest first, as far as they have the same total.
    for series in [base, *sorted((s for s in linked if _order(s) < _order(base)), key=_order, reverse=True)]:
        if series.total != one.total:
            continue
        for number, key in _applied(series).items():
            if 0 < number <= one.total and number not in posted and number not in carried:
                carried[number] = Member(number, key, CARRIED, series.key)
    return tuple(member for _, member in sorted(carried.items()))


def _is_reroll_of(one: Series, base: Series) -> bool:
    if one.kind == "single" or one.cover is not None or one.total != base.total or base.kind == "single":
        return False
    posted = one.posted
    if all(number in posted for number in range(1, one.total + 1)):
        return False
    if one.reroll is not None and one.version == base.version:
        return True
    if not _mails(base).isdisjoint(one.supersedes):
        return True
    answered = {key[2:] for key in one.revision_keys if key.startswith("m:")}
    return any(key in answered for number, keys in base.posted.items() if number in posted for key in keys)


def _applied(series: Series) -> dict[int, str]:
    """Number -> key of its own mail one would apply."""
    return series.with_carried(()).effective

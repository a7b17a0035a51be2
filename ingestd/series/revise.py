"""Revise: which series supersedes which, and what a partial posting carries over: a pure function of neighbours."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from ingestd.series import link
from ingestd.series.thread import HOPELESS
from ingestd.series.title import PULLS_NEAR
from ingestd.series.values import CARRIED, Member, Revision, Series, Succession

# A title says little after a year; one that says no version is posted again within some months, or means another thing.
_YEAR = timedelta(days=400)
_SEASON = timedelta(days=120)
# Clocks are wrong by hours; an older version may bear a later Date.
_SLACK = timedelta(days=1)


def revise(
    one: Series, neighbours: Collection[Series], said: Succession | None = None, newer: Collection[str] = ()
) -> Revision:
    """What `one` supersedes, and what it carries.

    `said`: a human's word on it, which goes before all rules; the series that it names is among the neighbours, else
    the word is void. `newer`: keys of the series that humans said supersede `one`: it supersedes none of these.

    `neighbours`: all series of the same list that share at least one of `one.revision_keys`; `one` itself and repeats
    among them change nothing, nor does their order, nor members with role "carried" in any of them. The answer
    depends on nothing else: so whenever a series is made, changed or removed, those that share a revision key with
    it, as it was or as it is, must be revised again, and no others; of these, only those that it `concerns`.

    A series supersedes the newest of the older ones (by version, re-roll, Date, key) that it is linked to, by
    - supersedes: it names one of their mails (`Supersedes:`, `Obsoletes:`); goes before all other links, and also to a
      higher version of an earlier Date: people start anew under another title;
    - change-id: both have the same one;
    - in-reply-to: it answers one of their mails, is of the same people, and has a higher version or the same title;
    - title: it is of the same people, not older by Date, and its title or half of the titles of its patches are the
      same; at the same version also the tree in the tags and the total;
    - patch-id: it is of the same people, has a higher version, and one of its patches has not changed since.
    It carries members for the numbers it lacks, from the newest of the series it is linked to that has them, where it
    is a re-roll of some patches of one of these: without cover, with the same total, and answering a patch under a
    number it posts itself, marked as a re-roll of the same version, or naming a mail it supersedes. Other such
    re-rolls of that series, older than `one`, count as linked.
    """
    if said is not None and said.key is None:
        return Revision(None, _RELINK, ())
    named = {series.key: series for series in neighbours if said is not None and series.key == said.key}
    older = named | {
        series.key: series
        for series in neighbours
        if series.key != one.key and series.key not in newer and _is_older(series, one)
    }
    mine = set(one.revision_keys)
    linked = {key: how for key, series in older.items() if (how := _evidence(one, mine, series)) is not None}
    linked |= dict.fromkeys(named, _RELINK)
    if not linked:
        return Revision(None, None, ())
    bases = [older[key] for key in linked if _is_reroll_of(one, older[key], said=key in named)]
    # Re-rolls of other patches of the same posting lie between: `one` stands on them too.
    linked |= {
        key: "in-reply-to"
        for key, series in older.items()
        if key not in linked and _same_people(one, series) and any(_is_reroll_of(series, base) for base in bases)
    }
    best = max(linked, key=lambda key: (key in named, linked[key] == _SUPERSEDES, _order(older[key])))
    carried = _carried(one, [older[key] for key in linked]) if bases else ()
    return Revision(best, linked[best], carried)


def concerns(changed: Series, one: Series) -> bool:
    """Whether a neighbour has any say in the revision of `one`: only older ones have, and who says to supersede it.

    Lets a store leave alone most of the series that share a revision key with one that was made, changed or removed:
    ask with that series as it was and as it is.
    """
    # Which mails a series had is not known any more; only who names some is concerned by that.
    return changed.key == one.key or bool(one.supersedes) or _is_older(changed, one)


_RELINK = "relink"
_SUPERSEDES = "supersedes"

_Order = tuple[int, int, datetime, str]


def _order(series: Series) -> _Order:
    return series.version, series.reroll or 0, series.date or HOPELESS, series.key


def _is_older(other: Series, one: Series) -> bool:
    """Whether `one` can supersede the other: of two series, one at most can supersede the other."""
    mine, its = _names(one, other), _names(other, one)
    if mine == its:
        return _order(other) < _order(one)
    # Who names the other is the newer, if it was sent after it.
    later, earlier = (one, other) if mine else (other, one)
    if (later.date or HOPELESS, later.key) > (earlier.date or HOPELESS, earlier.key):
        return mine
    return _order(other) < _order(one)


def _names(one: Series, other: Series) -> bool:
    return not _mails(other).isdisjoint(one.supersedes)


def _evidence(one: Series, mine: set[str], other: Series) -> str | None:
    """The strongest link from `one`, whose revision keys are `mine`, to an older series."""
    shared = mine.intersection(other.revision_keys)
    if not shared:
        return None
    if _names(one, other):
        return _SUPERSEDES
    if one.change_id is not None and one.change_id == other.change_id:
        return "change-id"
    if not _same_people(one, other):
        return None
    same_title = _same_title(one, other, shared)
    if (same_title or _grows(one, other)) and any(link.cut(f"m:{key}") in shared for key in _mails(other)):
        return "in-reply-to"
    if same_title:
        return "title"
    return "patch-id" if _grows(one, other) and _share(shared, "p:") and _after(one, other) >= -_SLACK else None


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
    """Whether the one can be the next version of the other though titles differ: not one patch for a whole series."""
    return one.version > other.version and (one.kind != "single" or other.total == 1)


def _same_title(one: Series, other: Series, shared: Collection[str]) -> bool:
    """Whether titles say that one is a later version of the other, or the same version posted again."""
    after = _after(one, other)
    if after < -_SLACK:
        return False
    if "pull" in (one.kind, other.kind):
        return one.version > other.version and after <= PULLS_NEAR and _share(shared, "h:")
    if one.version == other.version and one.reroll and not other.reroll and one.total == other.total:
        return after <= _YEAR and _share(shared, "t:")
    if one.version == other.version and (one.reroll or 0) == (other.reroll or 0):
        season = _YEAR if one.version > 1 else _SEASON
        return one.total == other.total and after <= season and _share(shared, "u:")
    return after <= _YEAR and (_share(shared, "h:") or _share_most(one, other, shared))


def _after(one: Series, other: Series) -> timedelta:
    if one.date is None or other.date is None:
        return timedelta(0)
    return one.date - other.date


def _share(shared: Iterable[str], prefix: str) -> bool:
    return any(key.startswith(prefix) for key in shared)


def _share_most(one: Series, other: Series, shared: Iterable[str]) -> bool:
    """Whether half of the patch titles of the one with fewer are the other's too; a lone title only of a lone patch."""
    count, older = (sum(key.startswith("t:") for key in series.revision_keys) for series in (one, other))
    same = sum(key.startswith("t:") for key in shared)
    return same * 2 >= min(count, older) and (same > 1 or (same == 1 and older == 1))


def _carried(one: Series, linked: Iterable[Series]) -> tuple[Member, ...]:
    """What the slots that a re-roll of some patches leaves out hold in older series of its total, the newest first."""
    posted = one.posted
    carried: dict[int, Member] = {}
    for series in sorted(linked, key=_order, reverse=True):
        if series.total != one.total:
            continue
        for number, key in series.with_carried(()).effective.items():
            if 0 < number <= one.total and number not in posted and number not in carried:
                carried[number] = Member(number, key, CARRIED, series.key)
    return tuple(member for _, member in sorted(carried.items()))


def _is_reroll_of(one: Series, base: Series, *, said: bool = False) -> bool:
    """Whether one posts anew some patches of an older series of the same total, and leaves the others as they are.

    `said`: a human said that it supersedes that series.
    """
    if not said and not _is_older(base, one):
        return False
    if one.kind == "single" or one.cover is not None or one.total != base.total or base.kind == "single":
        return False
    posted = one.posted
    if all(number in posted for number in range(1, one.total + 1)):
        return False
    if one.reroll is not None and one.version == base.version:
        return True
    if said or _names(one, base):
        return True
    named = set(one.revision_keys)
    same = (key for number, keys in base.posted.items() if number in posted for key in keys)
    return any(link.cut(f"m:{key}") in named for key in same)

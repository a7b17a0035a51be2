"""Group the mails of one thread into series: a pure function of their set."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import timedelta

from ingestd.series import join, link, overlay, run, thread, title, word
from ingestd.series.posting import Posting
from ingestd.series.thread import Mail
from ingestd.series.values import POSTED, REROLL, Fact, Member, Series, Thread

# A mail without a number that patches answer is their cover when they are sent this near to it.
_COVER_NEAR = timedelta(hours=1)


def group(facts: Collection[Fact]) -> Thread:
    """Keys, parents and series of the mails of one thread.

    `facts`: all mails of one connected component of link keys. The answer depends on their set alone: neither on the
    order they are given in, nor on repeats, nor on anything outside. Time is near linear in the number of mails.
    """
    mails = thread.read(facts)
    spoken = word.heads(mails)
    free = [mail for mail in mails if mail.key not in spoken]
    numbered = join.join(run.parcels(mail for mail in free if link.is_numbered(mail.fact)))
    covers = _find_covers(numbered, spoken)
    lone = [_alone(mail) for mail in free if _is_lone(mail.fact) and mail.key not in covers]
    home = overlay.Home([*numbered, *lone], mails)
    postings = [*overlay.lay(numbered, home), *lone]
    if spoken:
        word.follow(postings, home, spoken, mails)
        home = overlay.Home(postings, mails)
    for mail in mails:
        about = home.nearest(mail) if mail.fact.supersedes else None
        if about is not None:
            about.supersedes.update(mail.fact.supersedes)
    return Thread(
        keys={mail.fact.identity: mail.key for mail in mails},
        parents=thread.parents(mails),
        series=tuple(sorted((_series(one, home) for one in postings), key=lambda one: one.key)),
        reasons={key: reason for one in postings for key, reason in sorted(one.reasons.items())},
    )


# --- mails without a number ------------------------------------------------------------------------------------------


def _find_covers(postings: Iterable[Posting], spoken: Iterable[str]) -> set[str]:
    """Give postings without a cover the mail without a number that they answer: `[GIT PULL]`, a plain title.

    `spoken`: keys of mails that are no cover for us to give.
    """
    taken = set(spoken)
    for one in sorted(postings, key=lambda posting: posting.lead.place):
        above = one.lead.parent
        if 0 not in one.slots and above is not None and above.key not in taken and _is_cover(above, one):
            one.cover = above
            one.reasons[above.key] = "its patches answer it"
            taken.add(above.key)
    return taken


def _is_cover(mail: Mail, one: Posting) -> bool:
    fact = mail.fact
    return (
        fact.number is None
        and not fact.reply
        and not fact.has_diff
        and fact.kind in ("cover", "pull", "other")
        and not mail.people.isdisjoint(one.people)
        and abs(one.first - mail.date) <= _COVER_NEAR
    )


def _is_lone(fact: Fact) -> bool:
    """Whether a mail is a series of its own: a patch or a pull request without a number."""
    return link.is_posted(fact) and not link.is_numbered(fact) and (fact.kind == "patch" or link.is_pull(fact))


def _alone(mail: Mail) -> Posting:
    one = Posting()
    if mail.fact.kind == "patch":
        one.add([mail], "a patch without a number")
    else:
        one.cover = mail
        one.reasons[mail.key] = "a pull request"
    return one


# --- values ----------------------------------------------------------------------------------------------------------


def _series(one: Posting, home: overlay.Home) -> Series:
    """A posting as a value."""
    posted = list(one.mails)
    patches = [mail for mail in posted if mail.number]
    covers = [*([] if one.cover is None else [one.cover]), *(mail for mail in posted if not mail.number)]
    mails = [*covers, *patches]
    lead = mails[0]
    _, total, reroll, _ = one.shape
    version, inferred = _version(covers, [mail for mail in patches if mail.key not in one.by_hand])
    author_name, author_email = _submitter(lead)
    key = lead.key if covers else min((mail.number, mail.key) for mail in (*patches, *one.rerolls))[1]
    return Series(
        key=key,
        kind=_kind(mails),
        name=lead.fact.title or None,
        version=version,
        version_inferred=inferred,
        total=total,
        cover=key if covers else None,
        members=_members(one, covers, key),
        author_name=author_name,
        author_email=author_email,
        date=lead.fact.date,
        change_id=next((mail.fact.change_id for mail in mails if mail.fact.change_id), None),
        supersedes=tuple(sorted(one.supersedes)),
        revision_keys=title.revision_keys(covers, patches, _named(one, home)),
        reroll=reroll,
    )


def _named(one: Posting, home: overlay.Home) -> Iterable[str]:
    """Keys of the mails a posting has to do with, beside its own."""
    yield from home.bases(one, title.MOST_BASES)
    yield from one.supersedes
    yield from (mail.key for mail in one.rerolls)


def _members(one: Posting, covers: Collection[Mail], key: str) -> tuple[Member, ...]:
    """What was posted, and the newest re-roll of each slot as the one laid over it."""
    rerolls: dict[int, list[Mail]] = {}
    for mail in one.rerolls:
        rerolls.setdefault(mail.number, []).append(mail)
    newest = {max(again, key=lambda mail: (mail.fact.reroll or 0, mail.place)).key for again in rerolls.values()}
    members = (
        Member(mail.number, mail.key, REROLL if mail.key in newest else POSTED, key)
        for mail in (*one.mails, *one.rerolls)
        if mail not in covers or mail.key != key
    )
    return tuple(sorted(members, key=lambda member: (member.number, member.role, member.key)))


def _version(covers: Iterable[Mail], patches: Collection[Mail]) -> tuple[int, bool]:
    """The version of a posting, and whether the patches do not say it themselves.

    What most patches say of those that say anything; else what the cover says: people forget either.
    """
    written = Counter(mail.fact.version for mail in patches if mail.fact.version_written)
    if written:
        most = max(written.values())
        return max(version for version, count in written.items() if count == most), False
    for cover in covers:
        return cover.fact.version, bool(patches) and cover.fact.version_written
    return 1, False


def _kind(mails: Collection[Mail]) -> str:
    if any(link.is_pull(mail.fact) for mail in mails):
        return "pull"
    return "series" if any(mail.fact.number is not None for mail in mails) else "single"


def _submitter(mail: Mail) -> tuple[str, str]:
    """Name and address of who posted it: the sender, or the author where a list stands in From."""
    fact = mail.fact
    if fact.munged or not fact.sender_email or fact.sender_email.lower() == fact.author_email.lower():
        return fact.author_name or fact.sender_name, fact.author_email
    return fact.sender_name, fact.sender_email

"""Link keys: what binds mails into threads, before anybody groups them."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ingestd.series import stem
from ingestd.series.values import Fact

LONGEST_KEY = 500  # characters
# Patches of one posting that nothing else binds are this near to the next one, by their Dates.
NEAR = timedelta(minutes=15)

# Answers to git send-email's "Message-ID to be used as In-Reply-To?" (y, no) are not ids; real ids are longer.
_SHORTEST_REFERENCE = 4
_NO_REFERENCE = re.compile(
    r"git-send-email-.*"  # the end of an id that was cut
    r"|[^\d@]+@(?:lists?\.[^@]+|vger\.kernel\.org|[^@]*(?:googlegroups|nongnu)\.(?:com|org))",  # a list's address
    re.IGNORECASE,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def keys(fact: Fact) -> frozenset[str]:
    """The link keys of a mail: mails of one list that share any are in one thread.

    `m:` its own Message-ID, each id it refers to, what its mail system says its id was before, and the id of the mail
    that a human says it belongs to;
    `s:` the send run that git send-email, b4 and others write into the id (stem.py);
    `c:` for a numbered mail that refers to nothing: submitter, version, total, tags and a window of time, since its
    series may have been sent without threading, one run a mail. Two such mails not further apart than NEAR share one
    of their two windows. A `c:` key is no proof: `group` looks again.
    No key is longer than LONGEST_KEY characters.
    """
    own = {fact.message_id, *fact.former_ids}
    found = {f"m:{id_}" for id_ in (*own, *references(fact)) if id_}
    if fact.belongs is not None:
        found.add(f"m:{fact.belongs[0]}")
    found |= {f"s:{run.run}" for run in map(stem.read, own) if run is not None}
    found |= coarse(fact)
    return frozenset(map(cut, found))


def references(fact: Fact) -> tuple[str, ...]:
    """The ids a mail refers to, nearest ancestor first: In-Reply-To in order, then References from the last back.

    Without its own ids, repeats, and what is no id: words, and addresses of its author, its sender or of a list.
    """
    own = {fact.message_id, *fact.former_ids}
    nearest = (*fact.in_reply_to, *reversed(fact.references))
    return tuple(id_ for id_ in dict.fromkeys(nearest) if id_ not in own and _is_reference(id_, fact))


def coarse(fact: Fact) -> frozenset[str]:
    """The two `c:` keys of a numbered mail that refers to nothing and has a Date; none for all other mails."""
    if not is_numbered(fact) or fact.date is None or references(fact):
        return frozenset()
    who = (fact.author_email if fact.munged else fact.sender_email).lower()
    shape = f"{who} v{fact.version} /{fact.total} {' '.join(tree(fact))}"
    return frozenset(f"c:{shape} {window}" for window in windows(fact.date, NEAR))


def windows(date: datetime, near: timedelta) -> tuple[str, str]:
    """Two windows of time a date lies in: dates not further apart than `near` share one, from twice that on none."""
    since = date - _EPOCH
    return f"a{since // (2 * near)}", f"b{(since + near) // (2 * near)}"


def is_numbered(fact: Fact) -> bool:
    """Whether a mail stands for one slot of a series: a patch, cover or pull request with N/M."""
    return fact.number is not None and fact.total is not None and is_posted(fact)


def is_posted(fact: Fact) -> bool:
    """Whether a mail can be part of a series at all: no reply, no notice, no diff between two versions."""
    return (
        not fact.reply
        and (fact.kind in ("patch", "cover", "pull") or (fact.kind == "other" and is_pull(fact)))
        and not any(tag.lower().startswith(("interdiff", "range-diff", "rangediff")) for tag in fact.tags)
    )


def is_pull(fact: Fact) -> bool:
    """Whether a mail asks to pull, or is a patch of such a request: by its text or its tags."""
    return fact.kind == "pull" or any(tag.lower() == "pull" for tag in fact.tags)


def tree(fact: Fact) -> tuple[str, ...]:
    """What the tags say beside number, version and the usual words: mostly the tree or branch; lower case, sorted."""
    version = (f"v{fact.version}", f"v{fact.version}.{fact.reroll}", f"{fact.version}")
    found: set[str] = set()
    for tag in map(str.lower, fact.tags):
        rest = tag.strip(",;:-").removeprefix("patch").lstrip("-")
        if rest and rest not in version and rest not in _USUAL and not rest.replace("/", "").isdigit():
            found.add(tag)
    return tuple(sorted(found))


_USUAL = frozenset(
    ("es", "rfc", "rft", "resend", "repost", "reposted", "resent", "pull", "git", "v", "wip"),
)


def _is_reference(id_: str, fact: Fact) -> bool:
    return (
        (len(id_) >= _SHORTEST_REFERENCE or "@" in id_)
        and not _is_junk(id_)
        and id_.lower() not in (fact.author_email.lower(), fact.sender_email.lower())
    )


@lru_cache(maxsize=16_384)  # a long thread asks for the same ids with every mail
def _is_junk(id_: str) -> bool:
    return _NO_REFERENCE.fullmatch(id_) is not None


def cut(key: str) -> str:
    """`key`, or a digest in its place where it is longer than LONGEST_KEY."""
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[:2]}sha256:{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()}"

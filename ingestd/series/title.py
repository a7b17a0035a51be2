"""Revision keys: what series that may be revisions of each other have in common."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from ingestd.series import link
from ingestd.series.thread import Mail

PULLS_NEAR = timedelta(days=14)  # between versions of one pull request
MOST_BASES = 16  # mails of other postings that a posting names as what it answers
_MOST_TITLES = 8  # patches that stand for a posting, the lowest numbers

_BLANK = re.compile(r"[\W_]+")


def revision_keys(covers: Sequence[Mail], patches: Sequence[Mail], named: Iterable[str]) -> tuple[str, ...]:
    """The revision keys of a posting, sorted, none longer than `link.LONGEST_KEY`.

    `named`: keys of its re-rolls, of the mails it answers in other postings, and of those it says it supersedes.
    `i:` its change-ids; `m:` the keys of its mails and of the named ones; `h:` its title: of the cover, else of the
    first patch; `u:` the same with version and tree, for what is posted again; `t:` the titles of its lowest patches;
    `p:` their patch-ids.
    """
    mails = [*covers, *patches]
    lead = mails[0]
    head = normal(lead.fact.title)
    found = {f"i:{mail.fact.change_id}" for mail in mails if mail.fact.change_id}
    found |= {f"m:{mail.key}" for mail in mails}
    found |= {f"m:{key}" for key in named}
    if head and not any(link.is_pull(mail.fact) for mail in mails):
        found |= {f"h:{head}", f"u:{head} v{lead.fact.version} {' '.join(link.tree(lead.fact))}"}
    elif head and lead.fact.date is not None:
        # Pull requests come every week under one title: only near ones have anything to do with each other.
        found |= {f"h:{head} {window}" for window in link.windows(lead.fact.date, PULLS_NEAR)}
    for mail in patches[:_MOST_TITLES]:
        title = head if mail is lead else normal(mail.fact.title)
        if title:
            found.add(f"t:{title}")
        if mail.fact.patch_id:
            found.add(f"p:{mail.fact.patch_id}")
    return tuple(sorted(map(link.cut, found)))


def normal(title: str) -> str:
    """A title without case, punctuation and blanks that people change between versions."""
    return _BLANK.sub(" ", title.casefold()).strip()

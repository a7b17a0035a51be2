"""Revision keys: what series that may be revisions of each other have in common."""

import re
from collections.abc import Iterable, Sequence

from ingestd.series import link
from ingestd.series.thread import Mail

MOST_BASES = 16  # mails of other postings that a posting names as what it answers
_MOST_TITLES = 8  # patches that stand for a posting, the lowest numbers

_BLANK = re.compile(r"[\W_]+")


def revision_keys(covers: Sequence[Mail], patches: Sequence[Mail], bases: Iterable[str]) -> tuple[str, ...]:
    """The revision keys of a posting, sorted, none longer than `link.LONGEST_KEY`.

    `i:` its change-ids; `m:` the keys of its mails, of the mails it answers in other postings, and what it says it
    supersedes; `h:` its title: of the cover, of the only patch, or of the first one; `t:` the titles of its lowest
    patches; `p:` their patch-ids; `u:` its title with version and tree, for one that is posted again.
    """
    mails = [*covers, *patches]
    lead = mails[0]
    head = normal(lead.fact.title)
    found = {f"i:{mail.fact.change_id}" for mail in mails if mail.fact.change_id}
    found |= {f"m:{mail.key}" for mail in mails}
    found |= {f"m:{id_}" for mail in mails for id_ in mail.fact.supersedes}
    found |= {f"m:{key}" for key in bases}
    if head:
        found |= {f"h:{head}", f"u:{head} v{lead.fact.version} {' '.join(link.tree(lead.fact))}"}
    for mail in patches[:_MOST_TITLES]:
        if normal(mail.fact.title):
            found.add(f"t:{normal(mail.fact.title)}")
        if mail.fact.patch_id:
            found.add(f"p:{mail.fact.patch_id}")
    return tuple(sorted(map(link.cut, found)))


def normal(title: str) -> str:
    """A title without case, punctuation and blanks that people change between versions."""
    return _BLANK.sub(" ", title.casefold()).strip()

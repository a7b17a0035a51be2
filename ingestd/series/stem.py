"""The send run that a Message-ID betrays: git send-email, git format-patch, b4, patman and sr.ht number their ids."""

import re
from dataclasses import dataclass

# What each tool writes, with the run's own part and the place in the run as groups.
_FORMS = (
    # git send-email since 2.17: 20260408165559.157108-10-peterx@redhat.com
    re.compile(r"(?P<run>\d{14}\.\d{1,10})-(?P<index>\d{1,5})-(?P<who>\S{3,200})"),
    # git send-email before: 1555673556-419097-1-git-send-email-pengms1@lenovo.com
    re.compile(r"(?P<run>\d{9,10}-\d{1,10})-(?P<index>\d{1,5})-(?P<who>git-send-email-\S{3,200})"),
    # b4: 20260309-name-v26-4-5fedcff8ffe8@host; the number is the patch's
    re.compile(r"(?P<run>\d{8}-\S{1,200}-v\d{1,4})-(?P<index>\d{1,5})-(?P<who>[0-9a-f]{6,40}@\S{3,100})"),
    # git format-patch --thread and git-series: <commit>.1555494108.git.user@host, cover.1555494108.git.user@host
    re.compile(
        r"(?:cover|(?:cover\.)?[0-9a-f]{40}|(?:cover\.)?[0-9a-f]{64})"
        r"\.(?P<run>\d{9,10})\.(?P<who>git(?:-series)?\.\S{3,200})"
    ),
    # patman: 20200903162412.5.I2b630c4d40ff4ea61d5b30b8ccfe95890e257100@changeid, with v2 or RFT before the number
    re.compile(r"(?P<run>\d{14}(?:\.[A-Za-z]\w{0,9}){0,3})\.(?P<index>\d{1,5})\.I[0-9a-f]{40}@(?P<who>changeid)"),
    # sr.ht: 163456789012.12345.1234567890-0@git.sr.ht
    re.compile(r"(?P<run>\d{9,15}\.\d{1,10}\.\d{1,25})-(?P<index>\d{1,5})@(?P<who>git\.sr\.ht)"),
)


@dataclass(frozen=True, slots=True)
class Stem:
    """One send run: `run` is the same in all its ids; `index` is the place in it, where the tool says so."""

    run: str
    index: int | None


def read(message_id: str) -> Stem | None:
    """The run of a Message-ID without brackets; None where no tool that we know wrote it."""
    for form in _FORMS:
        match = form.fullmatch(message_id)
        if match is not None:
            found = match.groupdict()
            index = found.get("index")
            return Stem(f"{found['run']} {found['who']}", None if index is None else int(index))
    return None

"""What grouping works on and what it answers: frozen values, free of ids and arrival."""

from dataclasses import dataclass, field, replace
from datetime import datetime

# Raised whenever `group` or `revise` would answer differently for any thread.
GROUPING_VERSION = 2

# Roles of a member.
POSTED = "posted"
REROLL = "reroll"
CARRIED = "carried"

_WEIGHT = {REROLL: 0, POSTED: 1, CARRIED: 2}  # the lightest of a slot is the one to apply


@dataclass(frozen=True, slots=True)
class Fact:
    """What grouping needs to know of one mail. One list only: a cross-posted mail is a fact on each list."""

    message_id: str  # without brackets
    content_key: str
    kind: str  # ingestd.mail.Kind
    date: datetime | None  # UTC, of the Date header
    author_name: str
    author_email: str  # as written
    sender_email: str  # as written; differs from the author's where From was munged or a maintainer sends for others
    name: str  # Patchwork's name
    title: str  # the text behind all tags
    tags: tuple[str, ...]
    number: int | None
    total: int | None
    version: int
    version_written: bool
    reroll: int | None
    resend: bool
    reply: bool
    in_reply_to: tuple[str, ...]  # in order
    references: tuple[str, ...]  # in order, oldest first
    former_ids: tuple[str, ...]
    has_diff: bool
    patch_id: str | None
    change_id: str | None
    supersedes: tuple[str, ...]  # Message-IDs named by Supersedes: or Obsoletes:
    sender_name: str = ""
    munged: bool = False  # the sender is the list in the author's name ("X via LIST")
    belongs: tuple[str, str] | None = None  # a human's word: identity of a mail whose series it belongs to

    @property
    def identity(self) -> tuple[str, str]:
        """(Message-ID, content key), unique on a list."""
        return self.message_id, self.content_key


@dataclass(frozen=True, slots=True)
class Member:
    """One mail in one slot of a series."""

    number: int
    key: str  # of the mail
    role: str  # posted; reroll: laid over the posted ones, the newest; carried: as an older series left it
    posted_in: str  # key of the series the mail was sent for


@dataclass(frozen=True, slots=True)
class Series:
    """One posting: a numbered series, a single patch or a pull request."""

    key: str  # of the cover, else of the lowest-numbered posted patch (smallest key among equals)
    kind: str  # series, single, pull
    name: str | None
    version: int
    version_inferred: bool  # not written on the mails that the version stands for
    total: int
    cover: str | None  # key
    members: tuple[Member, ...]  # posted ones, and re-rolls laid over them; sorted by (number, role, key)
    author_name: str
    author_email: str
    date: datetime | None  # of the cover, else of the first patch
    change_id: str | None
    supersedes: tuple[str, ...]  # Message-IDs its mails name by Supersedes: or Obsoletes:
    revision_keys: tuple[str, ...]  # series of one list that share one may be revisions of each other
    reroll: int | None = None  # R of v3.R where the whole posting has it

    @property
    def posted(self) -> dict[int, tuple[str, ...]]:
        """Number -> keys of the mails sent under it, re-rolls too, sorted; without copies of the cover."""
        slots: dict[int, list[str]] = {}
        for member in self.members:
            if member.role != CARRIED and member.number > 0:
                slots.setdefault(member.number, []).append(member.key)
        return {number: tuple(sorted(keys)) for number, keys in sorted(slots.items())}

    @property
    def effective(self) -> dict[int, str]:
        """Number -> key of the mail to apply: the re-roll, else what was posted, else what is carried."""
        chosen = {
            member.number: member.key
            for member in sorted(self.members, key=lambda member: (_WEIGHT[member.role], member.key), reverse=True)
            if member.number > 0
        }
        return dict(sorted(chosen.items()))

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers up to the total that nothing stands for, ascending."""
        effective = self.effective
        return tuple(number for number in range(1, self.total + 1) if number not in effective)

    @property
    def complete(self) -> bool:
        """Whether all of it could be applied. The cover does not count; a lone pull request misses nothing."""
        effective = self.effective
        return sum(1 for number in effective if number <= self.total) >= self.total

    def with_carried(self, carried: tuple[Member, ...]) -> "Series":
        """This series with what `revise` says it carries, in place of what it carried before."""
        own = tuple(member for member in self.members if member.role != CARRIED)
        return replace(
            self,
            members=tuple(sorted(own + carried, key=lambda member: (member.number, member.role, member.key))),
        )


@dataclass(frozen=True, slots=True)
class Thread:
    """What `group` answers for the mails of one thread."""

    keys: dict[tuple[str, str], str]  # identity of a mail -> its key
    parents: dict[str, str | None]  # key -> key of the nearest ancestor that is there
    series: tuple[Series, ...]  # sorted by key
    reasons: dict[str, str] = field(default_factory=dict)  # key of a mail in a series -> why it is there


@dataclass(frozen=True, slots=True)
class Succession:
    """A human's word on what a series supersedes."""

    key: str | None  # of the older series; None: it supersedes nothing


@dataclass(frozen=True, slots=True)
class Revision:
    """What `revise` answers for one series: what it supersedes, and what it carries over."""

    supersedes: str | None  # key of a series
    evidence: str | None  # relink, else the strongest of supersedes, change-id, in-reply-to, title, patch-id
    carried: tuple[Member, ...]  # patches of the older series that a partial posting leaves as they were

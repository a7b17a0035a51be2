"""What a mail says, as values that nobody can change: what `ingestd.mail.parse.parse` returns and the store keeps."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

# Raised whenever `parse` would answer differently for any mail. It stands on every stored row.
PARSER_VERSION = 10


class Kind(StrEnum):
    """What a mail is (contract: `ingestd_v1.message.kind`)."""

    PATCH = "patch"
    COVER = "cover"
    PULL = "pull"
    REPLY = "reply"
    NOTICE = "notice"  # bots, bounces, and what a program says of a patch: in a stable tree, applied
    OTHER = "other"


class Change(StrEnum):
    """What a diff does to a file."""

    ADD = "add"
    DELETE = "delete"
    MODIFY = "modify"
    RENAME = "rename"
    COPY = "copy"
    MODE = "mode"


class Person(NamedTuple):
    """A name (may be empty) and an address (as written; may be empty, may lack a domain)."""

    name: str
    email: str

    def __str__(self) -> str:
        """`Name <a@b>` without quotes, or what there is of it."""
        if self.name and self.email:
            return f"{self.name} <{self.email}>"
        return self.name or self.email


class Subject(NamedTuple):
    """The subject's grammar."""

    text: str  # RFC 2047 decoded, white space runs collapsed, trimmed; "" when there is none
    name: str  # Patchwork's name: kept tags in one bracket, then the title
    prefixes: tuple[str, ...]  # Patchwork's prefixes, recomputed from the name
    title: str  # the text behind all leading tags and reply marks
    tags: tuple[str, ...]  # every token of the leading brackets as written, PATCH and list tags too
    reply: bool  # Re: and its kin in other languages
    number: int | None  # N of N/M
    total: int | None  # M of N/M
    version: int  # 1 when none is written
    version_written: bool
    reroll: int | None  # R of v3.R where that is a re-roll and not a branch
    resend: bool
    rfc: bool


class File(NamedTuple):
    """One file a diff touches. Paths without a/ and b/; counts of lines."""

    path: str  # the new path; the old one of a deletion
    old_path: str | None  # where it differs from `path`
    change: Change
    added: int
    removed: int
    binary: bool
    old_blob: str | None
    new_blob: str | None


class Trailer(NamedTuple):
    """`Name: value`, with the person apart when the value names one."""

    name: str
    value: str
    person_name: str | None
    person_email: str | None


class Link(NamedTuple):
    """A mail's word on another mail: based-on, supersedes, depends-on, prerequisite, obsoletes."""

    type: str
    target: str  # a Message-ID without brackets (a patch id where the type is prerequisite)


class Parts(NamedTuple):
    """The finer parts of the text above a diff; empty where the mail is no patch and no cover."""

    in_body: tuple[tuple[str, str], ...] = ()  # From, Subject and Date lines at the top of the text
    message: str = ""  # the commit message: below the in-body headers, above the first ---
    notes: str = ""  # below --- without the diffstat; where there is no diff, also what stands below that
    diffstat: str = ""


class Mail(NamedTuple):
    """One mail, read. Everything here is a function of the bytes alone."""

    # identity
    message_id: str  # without brackets; made from the content key where the mail has none
    content_key: str  # 64 hex digits over Date and decoded text: equal for redeliveries of one mail
    mail_sha256: str  # 64 hex digits, over LF line ends without trace and delivery headers
    # headers
    headers: tuple[tuple[str, str], ...]  # in order, with repeats; values as sent, folding kept, no NUL, no surrogate
    list_id: str | None  # the last <...> of List-Id, in lower case
    queue_id: str | None  # the mail server's, of the topmost Received
    subject: Subject
    date: datetime | None  # the Date header repaired to UTC; None when hopeless
    date_text: str | None  # as written
    author: Person
    sender: Person  # as From says, munged or not
    submitter: Person  # the sender with munging undone: Patchwork's submitter
    author_evidence: str  # from, in-body-from, x-original-from, reply-to, ...
    munged: bool  # From is "X via LIST" or the like: another delivery of this mail is the better source
    in_reply_to: tuple[str, ...]  # ids of all In-Reply-To headers, in order
    references: tuple[str, ...]  # ids of all References headers, in order (oldest first as mail clients write them)
    former_ids: tuple[str, ...]  # what a mail system says this mail's Message-ID was before
    # body
    kind: Kind
    kind_reason: str  # one short phrase for `ingestd explain`
    content: str | None  # Patchwork's content: the text without diff and signature
    diff: str | None  # Patchwork's diff; also of a reply that carries one unquoted
    parts: Parts
    hash: str | None  # Patchwork's hash, 40 hex digits; None without a diff
    patch_id: str | None  # `git patch-id --stable`; None where git finds none
    files: tuple[File, ...]
    trailers: tuple[Trailer, ...]
    links: tuple[Link, ...]
    pull_url: str | None
    base_commit: str | None
    change_id: str | None
    charset: str | None  # what the text was decoded with
    lossy: bool  # some bytes of the text could not be decoded
    defects: tuple[str, ...]  # what is wrong with the mail, one short phrase each
    parser_version: int = PARSER_VERSION

"""What grouping needs to know of a mail, out of all that the parser says."""

from ingestd.mail.values import Mail
from ingestd.series.values import Fact

_SUPERSEDING = frozenset(("supersedes", "obsoletes"))


def of(mail: Mail) -> Fact:
    """The fact of a parsed mail."""
    subject = mail.subject
    return Fact(
        message_id=mail.message_id,
        content_key=mail.content_key,
        kind=str(mail.kind),
        date=mail.date,
        author_name=mail.author.name,
        author_email=mail.author.email,
        sender_email=mail.sender.email,
        name=subject.name,
        title=subject.title,
        tags=subject.tags,
        number=subject.number,
        total=subject.total,
        version=subject.version,
        version_written=subject.version_written,
        reroll=subject.reroll,
        resend=subject.resend,
        reply=subject.reply,
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        former_ids=mail.former_ids,
        has_diff=mail.diff is not None,
        patch_id=mail.patch_id,
        change_id=mail.change_id,
        supersedes=tuple(link.target for link in mail.links if link.type in _SUPERSEDING),
        sender_name=mail.sender.name,
        munged=mail.munged,
    )

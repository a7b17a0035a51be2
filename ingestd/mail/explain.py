"""Why a mail is what it is: what `ingestd explain` prints, one decision a line with its evidence."""

from collections.abc import Iterator

from ingestd.mail.values import Mail


def explain(mail: Mail) -> Iterator[tuple[str, str]]:
    """Yield (what was decided, the answer and why). Only what the mail itself says."""
    subject = mail.subject
    yield "message-id", mail.message_id
    if mail.former_ids:
        yield "former ids", ", ".join(mail.former_ids)
    yield "list", mail.list_id or "none named"
    yield "kind", f"{mail.kind}: {mail.kind_reason}"
    yield "subject", subject.text
    if subject.tags:
        yield "tags", " ".join(f"[{tag}]" for tag in subject.tags)
    yield "name", subject.name
    if subject.number is not None or subject.total is not None:
        yield "number", f"{subject.number} of {subject.total}"
    yield "version", f"{subject.version} ({'written' if subject.version_written else 'none written'})"
    if subject.reroll is not None:
        yield "re-roll", str(subject.reroll)
    yield "author", f"{mail.author} (by {mail.author_evidence})"
    if mail.sender != mail.author:
        yield "sender", f"{mail.sender}{' (munged)' if mail.munged else ''}"
    if mail.submitter not in {mail.author, mail.sender}:
        yield "submitter", str(mail.submitter)
    yield "date", f"{mail.date.isoformat() if mail.date else 'none'} (written: {mail.date_text or 'nothing'})"
    for name, ids in (("in-reply-to", mail.in_reply_to), ("references", mail.references)):
        if ids:
            yield name, " ".join(ids)
    yield from _body(mail)
    for defect in mail.defects:
        yield "defect", defect


def _body(mail: Mail) -> Iterator[tuple[str, str]]:
    yield "charset", f"{mail.charset or 'none'}{' (lossy)' if mail.lossy else ''}"
    for file in mail.files:
        old = f" from {file.old_path}" if file.old_path else ""
        yield "file", f"{file.change} {file.path}{old} +{file.added} -{file.removed}{' binary' if file.binary else ''}"
    for name, value in (
        ("hash", mail.hash),
        ("patch-id", mail.patch_id),
        ("pull request", mail.pull_url),
        ("base-commit", mail.base_commit),
        ("change-id", mail.change_id),
    ):
        if value is not None:
            yield name, value
    for trailer in mail.trailers:
        yield "trailer", f"{trailer.name}: {trailer.value}"
    for link in mail.links:
        yield "link", f"{link.type} {link.target}"
    yield "content key", mail.content_key

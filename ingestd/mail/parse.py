"""One mail -> one value: the order in which everything else in this room is asked."""

import re

from ingestd.mail import (
    address,
    diff,
    files,
    fingerprint,
    header,
    identity,
    kind,
    links,
    mime,
    pull,
    text,
    trailer,
)
from ingestd.mail import author as origin
from ingestd.mail import body as bodies
from ingestd.mail import date as dates
from ingestd.mail import subject as subjects
from ingestd.mail.values import File, Kind, Mail, Parts, Subject, Trailer

MAX_DEFECTS = 50
FORMER_ID_HEADERS = (
    "x-google-original-message-id",
    "x-microsoft-original-message-id",
    "x-oq-msgid",
    "x-original-message-id",
)

_MORE_CR = re.compile(rb"(?<!\r)\r+(?=\n|\Z)")
_NO_PARTS = Parts()


def parse(raw: bytes) -> Mail:
    """Read a mail as received (RFC 5322, LF or CRLF, with or without an mbox "From " line and a last line end).

    Pure and total: never raises, whatever the bytes; what is wrong with them stands in `defects`. Linear in size.
    """
    data = plain(raw)
    headers, rest, defects = header.read(data)
    parts, broken = mime.leaves(headers, rest)
    texts = text.gather(parts)
    defects += broken

    date_text = headers.first("date")
    date = dates.parse(date_text) if date_text else None
    list_id = header.list_id(headers)
    list_name = list_id.partition(".")[0] if list_id else None
    subject = subjects.parse(headers.text("subject"), list_name)
    came = origin.of_header(headers, list_name)

    body = text.read_answer(texts) if subject.reply else text.read_message(texts)
    if not subject.text:
        subject = _in_body_subject(body.message, list_name) or subject
    pull_url = pull.url(body.content or "") if not subject.reply else None
    offers = body.diff is not None or pull_url is not None
    answer = kind.is_answer(subject, headers, body.content or "", offers=offers)
    if answer and not subject.reply:
        body = text.read_answer(texts)
    what, reason = kind.tell(headers, subject, came.sender, body, pull_url, answer=answer)
    answer = answer or what is Kind.REPLY
    finer = bodies.read(body.message) if what in (Kind.PATCH, Kind.COVER) else _NO_PARTS
    author, evidence = came.submitter, came.evidence
    if finer.in_body:
        author, evidence = origin.of_text(came, finer, headers)
    found_links, base_commit, change_id = links.read(_said(body))
    defects += texts.defects
    digest, patch_id, touched = _read_diff(body.diff, defects) if body.diff else (None, None, ())
    key = identity.content_key(date, date_text, texts)
    blank = b"" if data.startswith(b"\n") else b"\n"
    defects += _missing(headers, subject, date)
    return Mail(
        message_id=_message_id(headers, key),
        content_key=key,
        mail_sha256=identity.mail_sha256(headers, blank + rest),
        headers=headers.fields,
        list_id=list_id,
        queue_id=header.queue_id(headers),
        subject=subject,
        date=date,
        date_text=date_text,
        author=author,
        sender=came.sender,
        submitter=came.submitter,
        author_evidence=evidence,
        munged=came.munged,
        in_reply_to=_answered(headers),
        references=header.reference_ids(headers, "references"),
        former_ids=_former_ids(headers),
        kind=what,
        kind_reason=reason,
        content=body.content,
        diff=body.diff.text if body.diff else None,
        parts=finer,
        hash=digest,
        patch_id=patch_id,
        files=touched,
        trailers=_trailers(what, finer, texts, body, answer=answer),
        links=found_links,
        pull_url=pull_url,
        base_commit=base_commit,
        change_id=change_id,
        charset=texts.charset,
        lossy=texts.lossy,
        defects=tuple(dict.fromkeys(defects))[:MAX_DEFECTS],
    )


def plain(raw: bytes) -> bytes:
    """LF line ends, the mbox line gone, the last line ended: what every digest and value is made from."""
    data = raw
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r\n", b"\n")  # two CR are not rare, and this is the quicker way
        if b"\r\n" in data or data.endswith(b"\r"):
            data = _MORE_CR.sub(b"", data)
    if data.startswith((b"From ", b">From ")):
        data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    if not data.endswith(b"\n"):
        data += b"\n"
    return data


def _message_id(headers: header.Headers, key: str) -> str:
    for value in headers.all("message-id"):
        if found := header.message_id(header.decode(value)):
            return found
    return f"{key[:32]}@missing.invalid"


def _former_ids(headers: header.Headers) -> tuple[str, ...]:
    there = [name for name in FORMER_ID_HEADERS if headers.first(name)]
    return tuple(one for name in there for one in header.reference_ids(headers, name))


def _answered(headers: header.Headers) -> tuple[str, ...]:
    """Ids of In-Reply-To, without what is none: an address in prose (`Message from Ann <ann@x>`), a y or n.

    The latter were meant for git-send-email(1), which asked for the id. Either would bind strangers' threads into one.
    """
    found = header.reference_ids(headers, "in-reply-to")
    written = headers.all("in-reply-to")
    if not found or (len(found) <= len(written) and "@" in found[0] and all(one[:1] == "<" for one in written)):
        return found  # nothing but ids, as in nearly all mail
    people = {one.email.lower() for one in address.of_fields(headers, "from", "to", "cc", "reply-to")}
    return tuple(one for one in found if one.lower() not in people and one.lower() not in ("y", "n", "yes", "no"))


def _said(body: text.Body) -> str:
    """What the sender wrote, with the signature; what stands below the diff only once where it ends the rest."""
    if not body.tail or body.own.endswith(f"\n{body.tail.strip()}"):
        return body.own
    return f"{body.own}\n{body.tail}"


def _in_body_subject(message: str, list_name: str | None) -> Subject | None:
    """The subject of a pasted patch, where the header has none."""
    found = re.search(r"^Subject:[ \t]*(\S[^\n]*(?:\n[ \t]+\S[^\n]*){0,5})", message[:5000], re.MULTILINE)
    return subjects.parse(header.one_line(found.group(1)), list_name) if found else None


def _trailers(what: Kind, finer: Parts, texts: text.Texts, body: text.Body, *, answer: bool) -> tuple[Trailer, ...]:
    if what in (Kind.PATCH, Kind.COVER):
        return trailer.of_message(finer.message)
    if not answer:
        return ()
    if any(flowed for flowed, _ in texts.flowed) and trailer.may_answer(body.own):
        joined = [
            text.joined(texts, said, delsp=delsp) for said, (_, delsp) in zip(texts.plain, texts.flowed, strict=True)
        ]
        return trailer.of_answer(text.unquoted(joined))
    return trailer.of_answer(body.own)


def _read_diff(found: diff.Diff, defects: list[str]) -> tuple[str, str | None, tuple[File, ...]]:
    """Patchwork's hash, git's patch id, and the files."""
    digest, patch_id, touched = fingerprint.patchwork(found), fingerprint.patch_id(found), files.of(found)
    most = files.most(found)
    if len(touched) > most:
        defects.append(f"more than {most} files")
    return digest, patch_id, touched[:most]


def _missing(headers: header.Headers, subject: Subject, date: object) -> list[str]:
    defects = [
        f"no {name}" for name in ("Message-ID", "From", "Date", "Subject") if headers.first(name.lower()) is None
    ]
    if headers.first("date") is not None and date is None:
        defects.append("Date cannot be read")
    if headers.first("subject") is not None and not subject.text:
        defects.append("empty Subject")
    return defects

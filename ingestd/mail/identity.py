"""What makes a mail the same mail: its digest without trace headers, and the key over what it says."""

import hashlib
from datetime import datetime
from itertools import compress

from ingestd.mail import header, signature
from ingestd.mail.text import Texts

# Headers that hops and mailboxes add on the way; ARC-* and every X-Spam-* as well. docs/schema.md lists them.
TRACE_HEADERS = (
    "Authentication-Results", "Authentication-Results-Original", "Content-Length", "Delivered-To", "Delivery-Date",
    "DKIM-Filter", "DKIM-Signature", "DomainKey-Signature", "Envelope-To", "Lines", "Received", "Received-SPF",
    "Return-Path", "Status", "X-Authentication-Warning", "X-Delivered-To", "X-Envelope-From", "X-Envelope-To",
    "X-Forwarded-Encrypted", "X-Forwarded-To", "X-Forwarded-For", "X-Google-DKIM-Signature", "X-Greylist",
    "X-Keywords", "X-Mozilla-Keys", "X-Mozilla-Status", "X-Mozilla-Status2", "X-Original-To", "X-Received",
    "X-Status", "X-UID", "X-UIDL", "X-Virus-Scanned", "X-Virus-Status",
)  # fmt: skip
TRACE_PREFIXES = ("ARC-", "X-Spam-")

_TRACE = frozenset(name.lower() for name in TRACE_HEADERS)
_PREFIXES = tuple(name.lower() for name in TRACE_PREFIXES)


def is_trace(name: str) -> bool:
    """Is this field name (in lower case) one that a hop adds?"""
    return name in _TRACE or name.startswith(_PREFIXES)


class _Stays(dict[str, bool]):
    """Whether a field (its name in lower case) is the mail's own. The same few come with every mail."""

    def __missing__(self, name: str) -> bool:
        stays = not is_trace(name)
        if len(name) < header.MAX_KEPT:
            if len(self) >= header.MAX_NAMES:
                self.clear()
            self[name] = stays
        return stays


_stays = _Stays()


def mail_sha256(headers: header.Headers, rest: bytes) -> str:
    """sha256 of the mail with LF line ends, without trace headers, its last line ended; 64 hex digits.

    `rest` is what follows the header, with the blank line in front of it.
    """
    kept = "\n".join(compress(headers.raw, map(_stays.__getitem__, headers.names)))
    head = kept + "\n" if kept else ""
    return hashlib.sha256(head.encode("latin-1") + rest).hexdigest()


def content_key(date: datetime | None, date_text: str | None, texts: Texts) -> str:
    """sha256 over the Date (repaired, else as written) and the decoded text; 64 hex digits.

    Equal for every redelivery of a mail: over line ends, trailing blanks, transfer encoding, charset, and the
    footer of a list, appended to the text or in a part of its own. Subject and From do not count, since lists
    change them. HTML counts only without plain text, and without the quote signs that we put into it; the bytes of
    other parts only without any text.
    """
    when = f"{date.isoformat()[:19]}Z" if date else " ".join((date_text or "").split())
    lines = texts.lines
    if texts.unmarked or texts.patches:
        first, last = ([text.split("\n") for text in some] for some in (texts.unmarked, texts.patches))
        lines = [*first, *lines[len(first) :], *last]
    chunks = [chunk for text in lines if (chunk := _normal(text))]
    said = f"{when}\n{chr(10).join(chunks)}".encode("utf-8", "replace")
    return hashlib.sha256(said if chunks else b"".join((said, *texts.other))).hexdigest()


def _normal(lines: list[str]) -> str:
    return signature.without_footer("\n".join(map(str.rstrip, lines))).rstrip()

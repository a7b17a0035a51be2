"""What makes a mail the same mail: its digest without trace headers, and the key over what it says."""

import hashlib
from datetime import datetime
from functools import lru_cache

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


@lru_cache(4096)
def is_trace(name: str) -> bool:
    """Is this field name (any case) one that a hop adds?"""
    low = name.strip().lower()
    return low in _TRACE or low.startswith(_PREFIXES)


def mail_sha256(fields: list[header.Field], rest: bytes) -> str:
    """sha256 of the mail with LF line ends, without trace headers, its last line ended; 64 hex digits.

    `rest` is what follows the header, with the blank line in front of it.
    """
    kept = "".join([field + "\n" for name, field in fields if not is_trace(name)])
    digest = hashlib.sha256(kept.encode("latin-1"))
    digest.update(rest)
    return digest.hexdigest()


def content_key(date: datetime | None, date_text: str | None, texts: Texts) -> str:
    """sha256 over the Date (repaired, else as written) and the decoded text; 64 hex digits.

    Equal for every redelivery of a mail: over line ends, trailing blanks, transfer encoding, charset, and the
    footer of a list, appended to the text or in a part of its own. Subject and From do not count, since lists
    change them. HTML counts only without plain text; the bytes of other parts only without any text.
    """
    when = date.strftime("%Y-%m-%dT%H:%M:%SZ") if date else " ".join((date_text or "").split())
    digest = hashlib.sha256(when.encode("utf-8", "replace") + b"\n")
    chunks = [chunk for text in (*texts.plain, *texts.patches) if (chunk := _normal(text))]
    if chunks:
        digest.update("\n".join(chunks).encode("utf-8", "replace"))
    else:
        for data in texts.other:
            digest.update(data)
    return digest.hexdigest()


def _normal(text: str) -> str:
    text = "\n".join(map(str.rstrip, text.split("\n")))
    return signature.without_footer(text).rstrip()

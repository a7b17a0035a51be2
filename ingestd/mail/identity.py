"""What makes a mail the same mail: its digest without trace headers, and the key over what it says."""

import hashlib
import re
from datetime import datetime

from ingestd.mail import signature
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

_TRACE = frozenset(name.lower().encode() for name in TRACE_HEADERS)
_PREFIXES = tuple(name.lower().encode() for name in TRACE_PREFIXES)
_PGP = re.compile(r"-----BEGIN PGP SIGNATURE-----")


def is_trace(name: bytes) -> bool:
    """Is this field name (any case) one that a hop adds?"""
    low = name.strip().lower()
    return low in _TRACE or low.startswith(_PREFIXES)


def mail_sha256(fields: list[bytes], rest: bytes) -> str:
    """sha256 of the mail with LF line ends, without trace headers, its last line ended; 64 hex digits.

    `rest` is what follows the header, with the blank line in front of it.
    """
    digest = hashlib.sha256()
    kept = b"".join(field + b"\n" for field in fields if not is_trace(field.partition(b":")[0]))
    digest.update(kept)
    digest.update(rest)
    return digest.hexdigest()


def content_key(date: datetime | None, date_text: str | None, texts: Texts) -> str:
    """sha256 over the Date (repaired, else as written) and the decoded text; 64 hex digits.

    Equal for every redelivery of a mail: over line ends, trailing blanks, transfer encoding, charset, and the
    footer of a list, appended to the text or in a part of its own. Subject and From do not count, since lists
    change them. HTML counts only without plain text; the bytes of other parts only without any text.
    """
    when = date.strftime("%Y-%m-%dT%H:%M:%SZ") if date else (date_text or "").strip()
    digest = hashlib.sha256(when.encode("utf-8", "replace") + b"\n")
    chunks = [chunk for text in (*texts.plain, *texts.patches) if (chunk := _normal(text))]
    if chunks:
        digest.update("\n".join(chunks).encode("utf-8", "replace"))
    else:
        for data in texts.other:
            digest.update(data)
    return digest.hexdigest()


def _normal(text: str) -> str:
    if " \n" in text or "\t\n" in text or not text.isascii():
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    return signature.without_footer(text).rstrip()

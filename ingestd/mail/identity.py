"""What makes a mail the same mail: its digest without trace headers, and the key over what it says."""

import hashlib
import re
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

_BLANK_AHEAD = re.compile(r"\n(?<=[^\S\n]\n)")  # the end of a line that ends with a blank
# White space but for the line end.
_BLANKS = "\t\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_FEW = 100  # lines with blanks at their end that are trimmed one by one

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
    first, patches = texts.unmarked, texts.patches
    spoken = [*first, *texts.plain[len(first) :], *patches] if first or patches else texts.plain
    chunks = [chunk for text in spoken if (chunk := signature.without_footer(_trimmed(text)).rstrip())]
    said = f"{when}\n{chr(10).join(chunks)}".encode("utf-8", "replace")
    return hashlib.sha256(said if chunks else b"".join((said, *texts.other))).hexdigest()


def _trimmed(text: str) -> str:
    """A text without blanks at the end of each line, as `str.rstrip` finds them. Most lines have none."""
    pieces = _BLANK_AHEAD.split(text, _FEW)
    if len(pieces) > _FEW:
        return "\n".join(map(str.rstrip, text.split("\n")))
    return "\n".join([piece.rstrip(_BLANKS) for piece in pieces])

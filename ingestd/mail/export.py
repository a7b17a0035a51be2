"""A stored patch as an mbox entry that `git am` takes."""

import quopri
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

from ingestd.mail.values import Person

# What git itself writes: `git am` knows by this date that the line starts a mail.
_FROM_LINE = b"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"

_TRAILER = re.compile(r"[A-Za-z][A-Za-z0-9-]*: ")
_SEPARATOR = re.compile(r"---[ \t]*")


@dataclass(frozen=True, slots=True)
class Patch:
    """What an mbox entry is made of."""

    message_id: str
    subject: str
    author: Person
    date: datetime | None
    date_text: str | None
    content: str | None  # commit message, notes and diffstat
    diff: str | None


def mbox_entry(patch: Patch, trailers: Sequence[str] = ()) -> bytes:
    """One mail, LF line ends: From_ line, headers, text, blank line. `trailers` are added to the commit message."""
    content = add_trailers(patch.content or "", trailers).rstrip("\n")
    text = content + "\n\n" + (patch.diff or "")
    text = text.rstrip("\n") + "\n"
    # A `From ` line in the text would start another mail.
    encoded, encoding = (
        (_quote(text), "quoted-printable") if re.search(r"^>*From ", text, re.MULTILINE) else (text.encode(), "8bit")
    )
    headers = [
        ("From", _address(patch.author)),
        ("Subject", _encode(patch.subject)),
        ("Date", _date(patch)),
        ("Message-ID", f"<{patch.message_id}>"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=UTF-8"),
        ("Content-Transfer-Encoding", encoding),
    ]
    head = "".join(f"{name}: {value}\n" for name, value in headers if value)
    return _FROM_LINE + head.encode("ascii", "replace") + b"\n" + encoded + b"\n"


def add_trailers(content: str, trailers: Sequence[str]) -> str:
    """Put `trailers` at the end of the commit message, above `---`; those that are there already are not doubled."""
    lines = content.split("\n")
    end = next((index for index, line in enumerate(lines) if _SEPARATOR.fullmatch(line)), len(lines))
    message = lines[:end]
    while message and not message[-1].strip():
        message.pop()
    there = {line.strip().lower() for line in message}
    new = [trailer for trailer in dict.fromkeys(trailers) if trailer.strip().lower() not in there]
    if not new:
        return content
    if message and not _TRAILER.match(message[-1]):
        message.append("")
    rest = lines[end:]
    return "\n".join([*message, *new, *rest] if rest else [*message, *new, ""])


def _address(person: Person) -> str:
    """`Name <address>` for a From header, folded where it is long."""
    address = re.sub(r"[\s<>]", "", person.email)
    if not person.name:
        return f"<{address}>" if address else ""
    if person.name.isascii():
        name = re.sub(r"[\x00-\x1f\x7f]", " ", person.name).replace("\\", "\\\\").replace('"', '\\"')
        plain = re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+", person.name)
        return f"{name} <{address}>" if plain else f'"{name}" <{address}>'
    return f"{_encode(person.name)} <{address}>"


def _encode(text: str) -> str:
    """Header text as it is when it can go as it is, else in encoded words (RFC 2047)."""
    text = re.sub(r"[\x00-\x1f\x7f]", " ", text)
    if text.isascii() and "=?" not in text:
        return text
    return Header(text, "utf-8", maxlinelen=76, header_name="Subject").encode()


def _date(patch: Patch) -> str:
    if patch.date is not None:
        # The author's own time zone is in the text; git keeps it in the commit.
        written = re.sub(r"[^\x20-\x7e]", " ", patch.date_text or "").strip()
        return written if re.search(r" [+-]\d{4}\b", written) else format_datetime(patch.date)
    return ""


def _quote(text: str) -> bytes:
    """Quoted-printable (RFC 2045 section 6.7) with `From ` at the start of a line hidden."""
    encoded = quopri.encodestring(text.encode())
    return re.sub(rb"^From ", b"=46rom ", encoded, flags=re.MULTILINE)

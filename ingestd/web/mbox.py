"""Mails as mbox files that `git am` takes, as Patchwork writes them."""

import quopri
import re
import time
from collections.abc import Iterable, Sequence
from email.header import Header
from email.utils import format_datetime
from typing import Any

from ingestd.mail.export import add_trailers, mboxrd_entry
from ingestd.web.fields import Row

# What we write ourselves, and what would lie about the body.
_OWN = {"content-type", "content-transfer-encoding", "mime-version", "content-length", "lines"}


def file_name(name: str, extension: str) -> str:
    """What a mail is saved as: nothing in it needs quoting."""
    return f"{re.sub(r'[^-_A-Za-z0-9.]+', '-', name).strip('-')[:200] or 'mail'}.{extension}"


def entry(mail: Row, trailers: Sequence[str] = ()) -> bytes:
    """One mail with LF line ends; `trailers` of replies go to the end of its commit message."""
    content = add_trailers(mail["content"] or "", trailers).rstrip("\n")
    text = (content + "\n\n" + (mail["diff"] or "")).rstrip("\n") + "\n"
    encoded = text.encode()
    coding = "7bit" if text.isascii() else "8bit"
    if re.search(r"^>*From ", text, re.MULTILINE):  # would start another mail
        encoded = re.sub(rb"^From ", b"=46rom ", quopri.encodestring(encoded), flags=re.MULTILINE)
        coding = "quoted-printable"
    lines = [f"{name}: {value}\n" for name, value in _headers(mail, coding)]
    stamp = time.asctime(mail["date"].utctimetuple())
    return f"From patchwork {stamp}\n{''.join(lines)}\n".encode() + encoded


def _headers(mail: Row, coding: str) -> Iterable[tuple[str, str]]:
    submitter = _address(mail["submitter_name"], mail["submitter_email"])
    yield "Content-Type", 'text/plain; charset="utf-8"'
    yield "MIME-Version", "1.0"
    yield "Content-Transfer-Encoding", coding
    yield "X-Patchwork-Submitter", submitter
    yield "X-Patchwork-Id", str(mail["id"])
    if mail["delegate"]:
        yield "X-Patchwork-Delegate", mail["delegate"]
    dated = False
    for name, value in mail["headers"]:
        low = name.lower()
        if low in _OWN:
            continue
        dated = dated or low == "date"
        if low == "from" and mail["munged"]:
            yield "X-Patchwork-Original-From", _folded(value)
            yield "From", submitter
        else:
            yield name, _folded(value)
    if not dated:
        yield "Date", format_datetime(mail["date"])


def _folded(value: str) -> str:
    """A value as it stands in its mail: no line of it begins a header."""
    return re.sub(r"\n(?![ \t])", "\n ", value.replace("\r", ""))


def _address(name: str, email: str) -> str:
    address = re.sub(r"[\s<>]", "", email)
    plain = re.sub(r"[\x00-\x1f\x7f]", " ", name)
    if not plain:
        return address
    if not plain.isascii():
        return f"{Header(plain, 'utf-8').encode()} <{address}>"
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+", plain):
        return f"{plain} <{address}>"
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


def mboxrd(raws: Iterable[bytes]) -> bytes:
    """Mails as received in one file."""
    return b"".join(map(mboxrd_entry, raws))


def joined(mails: Iterable[tuple[Row, Any]]) -> bytes:
    """Several mails, each with its trailers, in one file."""
    return b"\n".join(entry(mail, trailers) for mail, trailers in mails)

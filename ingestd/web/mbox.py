"""Mails as mbox files that `git am` takes, as Patchwork writes them."""

import re
import time
from collections.abc import Iterable, Sequence
from email.header import Header
from email.utils import format_datetime
from typing import Any

from ingestd.mail.export import Body, add_trailers, body_of, mboxrd_entry, read
from ingestd.web.fields import Row

# What we write ourselves, and what would lie about the body.
_OWN = {"content-type", "content-transfer-encoding", "mime-version", "content-length", "lines"}


def file_name(name: str, extension: str) -> str:
    """What a mail is saved as: nothing in it needs quoting."""
    return f"{re.sub(r'[^-_A-Za-z0-9.]+', '-', name).strip('-')[:200] or 'mail'}.{extension}"


def entry(mail: Row, trailers: Sequence[str] = ()) -> bytes:
    """One mail with LF line ends; `trailers` of replies go to the end of its commit message.

    The text is Patchwork's `content`. The diff is that of the mail as received: the database has it decoded.
    """
    content = add_trailers(mail["content"] or "", trailers).rstrip("\n") + "\n"
    exact, declared = diff(mail)
    body = body_of(f"{content}\n" if exact else content, exact, "", declared)
    lines = [f"{name}: {value}\n" for name, value in _headers(mail, body)]
    stamp = time.asctime(mail["date"].utctimetuple())
    return f"From patchwork {stamp}\n{''.join(lines)}\n".encode() + body.data


def diff(mail: Row) -> tuple[bytes, str | None]:
    """The bytes of a mail's diff, none for a pull request, and the charset that its text came in."""
    patch = None if mail["diff"] is None else read(bytes(mail["raw"]))
    if patch is None:  # what an older ingestd took for a diff, too
        return (mail["diff"] or "").encode(), None
    return patch.diff, patch.charset


def _headers(mail: Row, body: Body) -> Iterable[tuple[str, str]]:
    submitter = _address(mail["submitter_name"], mail["submitter_email"])
    yield "Content-Type", f'text/plain; charset="{body.charset.lower()}"'
    yield "MIME-Version", "1.0"
    yield "Content-Transfer-Encoding", body.encoding
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

"""A mail with a diff as the mbox entry that `git am` takes, and any mail as an entry of an mboxrd."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import NamedTuple

from ingestd.mail import address, author, body, charset, diff, header, mime, parse, signature, text, trailer
from ingestd.mail.values import Kind, Mail, Person

# What git itself writes: `git am` knows by this date that the line starts a mail.
_FROM_LINE = b"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
# What public-inbox writes, so that its readers know the format.
_MBOXRD_LINE = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"

_MAX_LINE = 998  # octets (RFC 5322 section 2.1.1)
_MAX_WORD = 900  # of a header that is not encoded: a line must hold it
_WIDTH = 76  # of a header line
_ENCODED = 45  # bytes in an encoded word: 60 of base64 and 12 around them (RFC 2047 allows 75)
_FROM = re.compile(rb"^(>*)From ", re.MULTILINE)
_BLANK = re.compile(r"[\x00-\x20\x7f]+")  # not those of Unicode: git keeps them
# A date that git reads as we do, with its author's own time zone, which git keeps in the commit.
_PLAIN_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}(?::\d{2})? "
    r"[+-](?:0\d|1[0-4])[0-5]\d(?: \([\w /+-]*\))?"
)
# Codecs of ours that iconv(3) of the GNU C library does not know, and so neither does git.
_UNKNOWN_TO_GIT = frozenset((
    *("euc_jis_2004", "hz", "iso2022_jp_1", "iso2022_jp_2004", "iso2022_jp_ext", "kz1048", "ptcp154", "shift_jis_2004"),
    *("shift_jisx0213", "mac_greek", "mac_iceland", "mac_latin2", "mac_roman", "mac_turkish"),
))  # fmt: skip
_IN_BODY = re.compile(r"(From|Subject|Date):\s(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Patch:
    """What an mbox entry is made of."""

    message_id: str
    subject: str  # as the header says it, tags and all, on one line
    author: Person
    date: datetime | None
    date_text: str | None
    above: str  # the text above the diff, nearly as sent: in-body headers, commit message, notes, diffstat
    diff: bytes  # as sent, transfer encoding undone, in the mail's own charset: what `git apply` must get
    below: str  # what stands below the diff, without signature and list footer
    charset: str | None  # what the text was decoded with


class Body(NamedTuple):
    """A mail's body, and what its header must say of it."""

    data: bytes
    charset: str
    encoding: str  # Content-Transfer-Encoding (RFC 2045 section 6)


def read(raw: bytes) -> Patch | None:
    """The patch in a mail as received; None where there is no diff in it. Total and linear, as `parse` is.

    The text is decoded; the diff keeps its bytes, its CR and NUL too, since git changes the bytes of files.
    """
    mail = parse.parse(raw)
    headers, rest, _ = header.read(parse.plain(raw))
    texts = text.gather(mime.leaves(headers, rest)[0])
    if mail.diff is None:
        return None
    as_read, said = text.read_message, text.read_message(texts)
    if said.diff is None or said.diff.text != mail.diff:
        as_read, said = text.read_answer, text.read_answer(texts)
    if said.diff is None:
        return None
    headers_too, rest, _ = header.read(_lines_ended(raw))
    exact = as_read(text.gather(mime.leaves(headers_too, rest)[0], exact=True)).diff
    trusted = exact is not None and (text.HTML in texts.defects or _same_lines(exact, said.diff))
    found = exact if exact is not None and trusted else said.diff
    person, evidence = _author(mail, said.message, headers)
    below = signature.cut(said.tail)[0].rstrip("\n")
    return Patch(
        message_id=mail.message_id,
        subject=_one_line(header.decode(headers.first("subject") or "")) or mail.subject.text,
        author=person,
        date=mail.date,
        date_text=mail.date_text,
        above=_credited(said.message, person, munged=evidence.startswith("in-body From, munged; ")),
        diff=found.text.encode("utf-8", "surrogateescape"),
        below=below and below + "\n",
        charset=mail.charset,
    )


def _author(mail: Mail, above: str, headers: header.Headers) -> tuple[Person, str]:
    """Who wrote the patch, and how we know. A mail that is no patch is by its sender, a patch in it may not be."""
    parts = body.read(above)
    if mail.kind is Kind.PATCH or not parts.in_body:
        return mail.author, mail.author_evidence
    return author.of_text(author.Origin(mail.sender, mail.submitter, "", mail.munged), parts, headers)


def _lines_ended(raw: bytes) -> bytes:
    """LF for the line ends of the mail itself, the mbox line gone. A CR that is content stays.

    Which line end is the mail's own its first line says: mail from the wire has CRLF throughout, an archive LF.
    """
    data = raw.replace(b"\r\n", b"\n") if raw.partition(b"\n")[0].endswith(b"\r") else raw
    if data.startswith((b"From ", b">From ")):
        data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
    return data if data.endswith(b"\n") else data + b"\n"


def _same_lines(one: diff.Diff, other: diff.Diff) -> bool:
    """Were the same lines read, whatever their charset and line ends?"""
    return [line[:1].strip("\r") for line in one.text.split("\n")] == [line[:1] for line in other.text.split("\n")]


def mbox_entry(patch: Patch, trailers: Sequence[str] = ()) -> bytes:
    """One mail, LF line ends: From_ line, headers, text, blank line. `trailers` are added to the commit message."""
    above = add_trailers(patch.above, trailers)
    if above and not above.endswith("\n"):
        above += "\n"
    made = body_of(above, patch.diff, patch.below, patch.charset)
    headers = [
        ("From", _address(patch.author)),
        ("Subject", _encoded(patch.subject)),
        ("Date", _date(patch)),
        ("Message-ID", f"<{_BLANK.sub('', patch.message_id)}>"),
        ("MIME-Version", "1.0"),
        ("Content-Type", f"text/plain; charset={made.charset}"),
        ("Content-Transfer-Encoding", made.encoding),
    ]
    head = "".join(_folded(name, value) for name, value in headers if value)
    return _FROM_LINE + head.encode("utf-8", "replace") + b"\n" + made.data + b"\n"


def body_of(above: str, exact: bytes, below: str, declared: str | None) -> Body:
    """A mail's body, ended by a line end, from its text and the bytes of its diff, which `git apply` gets as they are.

    `declared`: what the text was decoded with. The data is UTF-8, whatever the diff is, and can stand in any file.
    """
    label = _label(above + below, exact, declared)
    data = above.encode(label, "replace") + exact + below.encode(label, "replace")
    data = data if data.endswith(b"\n") else data + b"\n"
    if _needs_quoting(data):
        return Body(_quoted(data), label, "quoted-printable")
    return Body(data, label, "7bit" if data.isascii() else "8bit")


def mboxrd_entry(raw: bytes) -> bytes:
    """A mail as received, with LF line ends, as an entry of an mboxrd: `>` before each `>*From ` line."""
    return _MBOXRD_LINE + _FROM.sub(rb">\1From ", _lines_ended(raw)) + b"\n"


def add_trailers(above: str, trailers: Sequence[str]) -> str:
    """Put `trailers` at the end of the commit message in `above`, in its block of trailers where it has one.

    Those that are there already are not doubled: the same name and person, or the same name and value.
    """
    lines = above.split("\n")
    start = _in_body(lines)[1]
    end = next((at for at, line in enumerate(lines[start:], start) if _breaks(line)), len(lines))
    message = lines[start:end]
    while message and not message[-1].strip():
        message.pop()
    there = {_key(f"{one.name}: {one.value}") for one in trailer.of_message("\n".join(message))}
    new = {_key(line): line for line in reversed(trailers) if _key(line) not in there}
    if not new:
        return above
    last = next((at for at in range(len(message) - 1, -1, -1) if not message[at].strip()), -1)
    if message and not (last >= 0 and trailer.is_block("\n".join(message[last + 1 :]))):
        message.append("")
    return "\n".join([*lines[:start], *message, *reversed(new.values()), *(lines[end:] or [""])])


def _key(line: str) -> tuple[str, str]:
    """What makes two trailers one."""
    name, _, value = line.partition(":")
    person = address.person(value.partition(" #")[0]) if name.lower().endswith("-by") or name.lower() == "cc" else None
    return name.strip().lower(), (person.email if person and person.email else " ".join(value.split())).lower()


def _breaks(line: str) -> bool:
    """Does the commit message end before this line, for git-mailinfo(1)?"""
    return body.is_separator(line) or line.startswith(("diff -", "Index: ")) or bool(re.match(r"--- \S", line))


def _in_body(lines: Sequence[str]) -> tuple[dict[str, tuple[int, int, str]], int]:
    """In-body headers as git-mailinfo(1) reads them, and where the message begins.

    Name -> first line, line behind the last, and value.
    """
    found: dict[str, tuple[int, int, str]] = {}
    name = ""
    at = 0
    while at < len(lines):
        line = lines[at]
        hit = _IN_BODY.match(line + "\n")
        if hit and hit.group(1).capitalize() not in found:
            name = hit.group(1).capitalize()
            found[name] = (at, at + 1, hit.group(2).strip())
        elif name and line[:1] in (" ", "\t"):
            first, _, value = found[name]
            found[name] = (first, at + 1, f"{value} {line.strip()}")
        elif line or found:
            break
        at += 1
    while found and at < len(lines) and not lines[at]:
        at += 1
    return found, at if found else 0


def _credited(above: str, person: Person, *, munged: bool) -> str:
    """The text above the diff, with an in-body From where git would credit nobody or somebody else without it.

    That is where a list has munged the one that is there, and for an address that is not ASCII: RFC 5322 has no header
    for it.
    """
    lines = above.split("\n")
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    if body.is_from_line(lines[first]):  # of an attached `git format-patch` file; git knows no header below it
        lines = lines[first + 1 :]
    found, start = _in_body(lines)
    credit = f"From: {_one_line(str(person))}"
    if "From" in found:
        at, end, value = found["From"]
        if person.email and (munged or "@" not in value):
            lines[at:end] = [credit]
    elif not person.email.isascii():
        lines[:start] = [credit, *(lines[:start] or [""])]
    return "\n".join(lines)


def _label(around: str, exact: bytes, declared: str | None) -> str:
    """The charset to declare: UTF-8, unless the diff reads otherwise in it and the mail's own serves for all.

    git-mailinfo(1) takes the message from that charset to UTF-8 and never touches the diff.
    """
    name = charset.codec(declared)
    if name is None or name == "utf_8" or name in _UNKNOWN_TO_GIT or not charset.keeps_ascii(name):
        return "UTF-8"
    if "\x1b" in around:  # it shifts in iso-2022
        return "UTF-8"
    try:
        if exact.decode(name) == exact.decode("utf-8", "replace"):
            return "UTF-8"
        around.encode(name)
    except UnicodeError:
        return "UTF-8"
    return str(declared)


def _needs_quoting(data: bytes) -> bool:
    """What mail, mbox or `git mailsplit` would change or refuse: CR, NUL, `From ` lines, long lines, no UTF-8."""
    if b"\r" in data or b"\0" in data or _FROM.search(data):
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return max(map(len, data.split(b"\n"))) > _MAX_LINE


def _quoted(data: bytes) -> bytes:
    """Quoted-printable (RFC 2045 section 6.7): only LF ends a line; `From ` at the start of one is hidden."""
    encoded = b"\n".join([binascii.b2a_qp(line, istext=False) for line in data.split(b"\n")])
    return _FROM.sub(lambda hit: b"=%02X%b=\n " % (hit.group()[0], hit.group()[1:-1]), encoded)


def _address(person: Person) -> str:
    """`Name <address>` for a From header."""
    email = re.sub(r"[\s<>]", "", person.email)
    name = _one_line(person.name)
    if not name:
        return f"<{email}>" if email else ""
    if not name.isascii() or "=?" in name:
        return f"{_encoded(name)} <{email}>"
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+", name):
        return f"{name} <{email}>"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{email}>'


def _encoded(value: str) -> str:
    """Header text as it is when it can go as it is, else in encoded words (RFC 2047)."""
    value = _one_line(value)
    if value.isascii() and "=?" not in value and max(map(len, value.split(" "))) < _MAX_WORD:
        return value
    words = [b""]
    for letter in value:
        data = letter.encode("utf-8", "replace")
        if len(words[-1]) + len(data) > _ENCODED:
            words.append(b"")
        words[-1] += data
    return " ".join(f"=?UTF-8?B?{base64.b64encode(word).decode()}?=" for word in words)


def _one_line(value: str) -> str:
    return _BLANK.sub(" ", value).strip(" ")


def _folded(name: str, value: str) -> str:
    """The header, folded between words."""
    lines = [f"{name}:"]
    for word in value.split(" "):
        if len(lines[-1]) + 1 + len(word) > _WIDTH and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {word}"
    return "\n".join(lines) + "\n"


def _date(patch: Patch) -> str:
    """The Date as written, where git reads it as we do; else in UTC; nothing where there is none."""
    if patch.date is None:
        return ""
    written = " ".join((patch.date_text or "").split())
    return written if _PLAIN_DATE.fullmatch(written) else format_datetime(patch.date)

"""Export of any mail: made up by hypothesis and by the fuzzer, judged by our own parser and by `git mailinfo`."""

import base64
import binascii
import re
from email.header import Header
from pathlib import Path

from git_mail import mailinfo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestd.mail import export
from ingestd.mail.parse import parse
from ingestd.mail.values import Kind

from .fuzzer import Fuzzer

# What mail, mbox and git treat in a way of their own at the start of a line.
BOB = "From: Bob <bob@example.org>"
AWKWARD = [
    "From here on", ">From there", ">>From all", "-- ", "--", "---", "--- ", "----", "-- >8 --", "Subject: inner", BOB,
    "Date: Mon, 2 Nov 2026 10:00:00 +0000", "[PATCH] inner", "[PATCH]", " folded", "\tfolded", "=20", "=", "a=", ".",
    "..", "", " ", "\u00a0", "x" * 1000, "ß" * 600, "Signed-off-by: Ann <ann@example.org>", "Cc: x", "\x0c", "\u2028",
    "___", "> quoted", "@@ -1 +1 @@", "\\ No newline", "日本語", "NUL \0", "CR \r within",
]  # fmt: skip
LINES = st.one_of(
    st.sampled_from(AWKWARD), st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30)
)
NAMES = st.one_of(
    st.sampled_from(
        ["Ann Author", "Author, Ann", 'Ann "The" Author', "Zoë", "Ann (Corp)", "O'Ann", "李明", "", "A. B.", "a\\b"]
    ),
    st.text(st.characters(categories=["Lu", "Ll", "Nd", "Pd"]), min_size=1, max_size=20),
)


@st.composite
def mails(draw: st.DrawFn, ends: tuple[str, ...] = ("\n", "\r\n")) -> bytes:
    """A patch mail with a diff of one file, in any charset and transfer encoding; `ends`: line ends of its text."""
    charset = draw(st.sampled_from(["utf-8", "iso-8859-1", "koi8-r", "us-ascii", "gb18030", "utf-16", "iso-2022-jp"]))
    message = draw(st.lists(LINES, max_size=6))
    if (
        charset != "utf-8"
    ):  # the sign for NUL is in no other charset, ESC is a shift in some, and message and diff go in one
        message = [line.replace("\0", "").replace("\x1b", "") for line in message]
    added = draw(st.lists(LINES, min_size=1, max_size=6))
    end = draw(st.sampled_from(ends))
    hunk = [f"@@ -1,2 +1,{len(added) + 2} @@", " one", *(f"+{line}" for line in added), " two"]
    stat = draw(st.sampled_from([[], ["---"], ["---", " file.c | 1 +", ""]]))
    head = ["diff --git a/file.c b/file.c", "--- a/file.c", "+++ b/file.c"]
    below = draw(st.sampled_from([[], ["-- ", "2.39.5", ""], ["", "base-commit: " + "1" * 40, "", "-- ", "2.39.5"]]))
    text = end.join([*message, *stat, *head, *hunk, *below, ""])
    body = text.encode(charset, "replace")
    encoding = draw(st.sampled_from(["base64"] if charset == "utf-16" else ["8bit", "base64", "quoted-printable"]))
    if encoding == "base64":
        body = base64.encodebytes(body)
    elif encoding == "quoted-printable":
        body = b"\n".join(binascii.b2a_qp(line, istext=False) for line in body.split(b"\n"))
    name = Header(draw(NAMES), "utf-8").encode()
    subject = draw(
        st.one_of(
            st.sampled_from(["one", "Größe: 日本語 " * 9, "[2/3] x", "a  b"]),
            st.text(st.characters(categories=["L", "N", "Z", "P"]), max_size=90),
        )
    )
    fields = [
        ("From", f"{name} <ann@example.org>"),
        ("Subject", Header(f"[PATCH] {subject}", "utf-8").encode() or "x"),
        ("Date", draw(st.sampled_from(["Mon, 2 Nov 2026 10:00:00 +0530", "2 Nov 26 10:00 EST", "tomorrow"]))),
        ("Message-ID", "<a@example.org>"),
        ("MIME-Version", "1.0"),
        ("Content-Type", f"text/plain; charset={charset}"),
        ("Content-Transfer-Encoding", encoding),
    ]
    raw = "".join(f"{field}: {value}\n" for field, value in fields).encode() + b"\n" + body
    return draw(st.sampled_from([raw, re.sub(rb"\n", b"\r\n", raw)]))


def _entry(raw: bytes) -> bytes:
    found = export.read(raw)
    assert found is not None
    return export.mbox_entry(found)


def _is_one_mail(entry: bytes) -> None:
    """As mbox readers see it, and as mail may carry it."""
    head, _, body = entry.partition(b"\n\n")
    assert entry.startswith(b"From ")
    assert not re.search(rb"^>*From ", head.partition(b"\n")[2] + b"\n" + body, re.MULTILINE)
    assert max(map(len, body.split(b"\n"))) <= 998
    assert b"\r" not in entry
    assert b"\0" not in entry
    names = [line.partition(b":")[0] for line in head.split(b"\n")[1:] if line[:1] != b" "]
    assert len(set(names)) == len(names)


@settings(max_examples=250, deadline=None)
@given(mails())
def test_our_parser_reads_what_it_read_before(raw: bytes) -> None:
    entry = _entry(raw)
    _is_one_mail(entry)
    before, after = parse(raw), parse(entry)
    assert (after.kind, after.author, after.date, after.subject) == (
        Kind.PATCH,
        before.author,
        before.date,
        before.subject,
    )
    assert (after.content, after.diff, after.patch_id) == (before.content, before.diff, before.patch_id)
    assert _entry(entry) == entry


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mails(ends=("\n",)))  # git knows no other in a text
def test_git_reads_what_it_read_before(tmp_path: Path, raw: bytes) -> None:
    found = export.read(raw)
    assert found is not None
    plain = raw.replace(b"\r\n", b"\n") if b"\r\n" in raw[:100] else raw
    theirs, ours = mailinfo(plain, tmp_path), mailinfo(_entry(raw), tmp_path)
    assert ours is not None
    assert found.diff in ours.patch
    if theirs is None or b"charset=utf-16" in raw:
        return
    assert ours.subject == theirs.subject
    # Our header names whom we think the author, where git sees no header in the text too, and with quotes in the name.
    assert (ours.author, ours.email) == (theirs.author, theirs.email) or ours.email == found.author.email
    said = theirs.message.replace(b"\0", "\ufffd".encode())  # git commits no NUL
    assert ours.message.decode("utf-8", "replace").strip() == said.decode("utf-8", "replace").strip()


def test_whatever_the_mail_what_comes_out_is_a_mail(fuzz_seed: int) -> None:
    fuzzer = Fuzzer(fuzz_seed)
    exported = 0
    for number in range(800):
        raw = fuzzer.mail(number)
        try:
            found = export.read(raw)
            if found is not None:
                _is_one_mail(export.mbox_entry(found, ["Reviewed-by: Rob <rob@example.com>"]))
                exported += 1
        except Exception as error:
            raise AssertionError(f"INGESTD_FUZZ_SEED={fuzz_seed}, mail {number}: {raw!r}") from error
    assert exported > 100

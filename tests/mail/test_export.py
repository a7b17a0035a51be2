"""Export: what `git am` gets, judged by `git mailinfo`, `git mailsplit` and our own parser."""

import base64
import binascii
import re
import subprocess
from pathlib import Path

import pytest
from git_mail import ENVIRONMENT, mailinfo, mails_of
from mails import DIFF, diff, mail, patch

from ingestd.mail import export
from ingestd.mail import parse as parse_module
from ingestd.mail.parse import parse

TEXT = "Say why.\n\nSigned-off-by: Ann Author <ann@example.org>\n---\n file.c | 2 +-\n\n"
PLAIN = ("MIME-Version", "1.0")


def entry(raw: bytes, *trailers: str) -> bytes:
    found = export.read(raw)
    assert found is not None
    return export.mbox_entry(found, trailers)


def encoded(body: bytes, transfer: str, charset: str = "UTF-8", **rest: str) -> bytes:
    """A patch mail whose body goes in this transfer encoding."""
    headers = [PLAIN, ("Content-Type", f"text/plain; charset={charset}"), ("Content-Transfer-Encoding", transfer)]
    head = mail("a@example.org", "[PATCH] one", "", headers=headers, **rest)
    if transfer == "base64":
        return head + base64.encodebytes(body)
    if transfer == "quoted-printable":
        return head + b"\n".join(binascii.b2a_qp(line, istext=False) for line in body.split(b"\n"))
    return head + body


@pytest.mark.parametrize(
    "body",
    [
        f"> how?\n\nSo:\n\n{diff()}\nthanks\n",
        f"Rather:\n\n{diff()}\n-----Original Message-----\nFrom: Bob\n\n{diff('bobs.c')}",
        f"> how?\n\n{diff().replace('-1,2 +1,2', '-1,9 +1,9')}\nWhy?\n\n> q\n{diff('g.c')}",
    ],
)
def test_of_an_answer_comes_the_diff_that_is_stored(body: str) -> None:
    raw = mail("1@example.org", "Re: [PATCH] x", body)
    found = export.read(raw)
    assert found is not None
    assert found.diff.decode() == parse(raw).diff


def test_an_answer_without_a_diff_of_its_own_is_no_patch() -> None:
    raw = mail("1@example.org", "RE: [PATCH] x", f"Fine.\n\n-----Original Message-----\nFrom: Bob\n\n{diff()}")
    assert export.read(raw) is None


def test_headers_are_ours_alone() -> None:
    """No second MIME-Version, nothing of lists, relays and mail programs."""
    raw = patch(
        "a@example.org",
        "[PATCH 1/2] one",
        headers=[
            PLAIN,
            ("Mime-Version", "1.0"),
            ("Content-Type", "text/plain; charset=us-ascii"),
            ("content-type", "text/plain"),
            ("Received", "from x by y"),
            ("X-Mailer", "git-send-email"),
            ("Sender", "list-bounces@example.org"),
            ("Status", "RO"),
        ],
    )
    head = entry(raw).partition(b"\n\n")[0].decode().split("\n")
    assert head == [
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001",
        "From: Ann Author <ann@example.org>",
        "Subject: [PATCH 1/2] one",
        "Date: Mon, 2 Nov 2026 10:00:00 +0000",
        "Message-ID: <a@example.org>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        "Content-Transfer-Encoding: 7bit",
    ]


def test_without_a_diff_there_is_nothing_to_export() -> None:
    assert export.read(mail("a@example.org", "[PATCH] no", "Nothing.\n")) is None


@pytest.mark.parametrize(
    "author",
    [
        "Ann Author <ann@example.org>",
        '"Author, Ann" <ann@example.org>',
        '"Ann \\"The\\" Author" <ann@example.org>',
        "Zoë Author <zoe@example.org>",
        "=?utf-8?q?=C5=BB=C3=B3=C5=82=C4=87_G=C4=99=C5=9Bl=C4=85?= <z@example.org>",
        "ann@example.org (Ann Author)",
        "Ann Author <änn@example.org>",
        f"{'A very long name ' * 3}of somebody <ann@example.org>",
        "王 <wang@example.org>",
        "ann@example.org",
    ],
)
def test_git_names_the_author_as_in_the_mail(author: str, tmp_path: Path) -> None:
    raw = patch("a@example.org", "[PATCH] one", author=author)
    ours, theirs = mailinfo(entry(raw), tmp_path), mailinfo(raw, tmp_path)
    assert ours is not None
    assert theirs is not None
    assert (ours.author, ours.email) == (theirs.author, theirs.email)
    assert ours.email == parse(raw).author.email
    assert ours.message == theirs.message
    assert parse(entry(raw)).author == parse(raw).author


def test_the_author_behind_a_munged_from(tmp_path: Path) -> None:
    raw = patch(
        "a@example.org",
        "[PATCH] one",
        author='"Ann Author via Demo" <demo@example.org>',
        headers=[("Reply-To", "Ann Author <ann@example.com>")],
    )
    ours = mailinfo(entry(raw), tmp_path)
    assert ours is not None
    assert (ours.author, ours.email) == ("Ann Author", "ann@example.com")


def test_the_author_behind_a_munged_from_in_the_text(tmp_path: Path) -> None:
    """Mailman munged the From of a mail that somebody then took into a series of his own."""
    body = "From: Bob Boss via Demo <demo@example.org>\n\n" + TEXT.replace("Ann Author <ann", "Bob Boss <bob") + diff()
    ours = mailinfo(entry(mail("a@example.org", "[PATCH] one", body)), tmp_path)
    assert ours is not None
    assert (ours.author, ours.email) == ("Bob Boss", "bob@example.org")
    assert ours.message.startswith(b"Say why.\n")


def test_headers_in_the_text_stay_for_git_to_read(tmp_path: Path) -> None:
    body = f"From: Bob Boss\n <bob@example.org>\nSubject: another title\nDate: Sun, 1 Nov 2026 09:00:00 +0100\n\n{TEXT}"
    raw = mail("a@example.org", "[PATCH] one", body + diff())
    ours = mailinfo(entry(raw), tmp_path)
    assert ours == mailinfo(raw + b"\n", tmp_path)  # the blank line that ends an entry
    assert ours is not None
    assert (ours.author, ours.subject, ours.date) == ("Bob Boss", "another title", "Sun, 1 Nov 2026 09:00:00 +0100")


@pytest.mark.parametrize("options", [[], ["--scissors"], ["-k"], ["-m"]])
@pytest.mark.parametrize("inner", ["", "Subject: [PATCH] below\n\n"])
def test_scissors_cut_where_git_is_told_to(options: list[str], inner: str, tmp_path: Path) -> None:
    body = f"How about this?\n\n-- >8 --\n{inner}{TEXT}{diff()}-- \n2.39.5\n"
    raw = mail("a@example.org", "Re: [PATCH] one", body)
    ours, theirs = mailinfo(entry(raw), tmp_path, *options), mailinfo(raw, tmp_path, *options)
    assert ours is not None
    assert theirs is not None
    assert (ours.message, ours.subject) == (theirs.message, theirs.subject)


def test_an_attached_patch_file_is_read_as_git_reads_such_files(tmp_path: Path) -> None:
    """`git mailinfo` takes its head for text of the mail."""
    file = (
        f"From {'1' * 40} Mon Sep 17 00:00:00 2001\nFrom: Bob Boss <bob@example.org>\nSubject: [PATCH] real\n\n{TEXT}"
    )
    body = (
        "--b\nContent-Type: text/plain\n\nSee the attachment.\n"
        "--b\nContent-Type: text/x-patch\nContent-Disposition: attachment; filename=0001.patch\n\n"
        f"{file}{diff()}--b--\n"
    )
    raw = mail("a@example.org", "[PATCH] please apply", body, headers=[("Content-Type", "multipart/mixed; boundary=b")])
    ours = mailinfo(entry(raw), tmp_path)
    assert ours is not None
    assert (ours.author, ours.subject) == ("Bob Boss", "real")
    assert ours.message == TEXT.partition("---")[0].encode()


def test_html_alone(tmp_path: Path) -> None:
    text = (TEXT + diff()).replace("<", "&lt;").replace(">", "&gt;")
    for html in (f"<pre>{text}</pre>", "<br>".join(text.replace(" ", "&nbsp;").split("\n"))):
        raw = mail("a@example.org", "[PATCH] one", f"<p>{html}</p>\n", headers=[("Content-Type", "text/html")])
        ours = mailinfo(entry(raw), tmp_path)
        assert ours is not None
        assert ours.message == TEXT.partition("---")[0].encode()
        assert diff().encode() in ours.patch


def test_lines_that_look_like_the_start_of_a_mail(tmp_path: Path) -> None:
    text = "From me to you.\n>From him.\n>>From her.\n" + TEXT + diff(new="From now on\n-From here")
    raw = patch("b@example.org", "[PATCH] two")
    one = mail("a@example.org", "[PATCH] one", text)
    ours = entry(one)
    assert not re.search(rb"^>*From ", ours.partition(b"\n\n")[2], re.MULTILINE)
    assert mailinfo(ours, tmp_path) == mailinfo(one + b"\n", tmp_path)
    both = ours + entry(raw)
    for place, options in enumerate(([], ["--mboxrd"], ["--keep-cr"])):
        into = tmp_path / str(place)
        into.mkdir()
        command = ["git", "mailsplit", *options, f"-o{into}"]
        split = subprocess.run(command, input=both, capture_output=True, check=True, env=ENVIRONMENT)
        assert split.stdout == b"2\n"
        assert mailinfo((into / "0001").read_bytes(), tmp_path) == mailinfo(one + b"\n", tmp_path)
    assert [parse(read).diff for read in mails_of(both)] == [parse(one).diff, parse(raw).diff]


CRLF = DIFF.format(file="file.c", old="two\r", new="three\r").replace(" one\n", " one\r\n")


@pytest.mark.parametrize("transfer", ["8bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("wire", [False, True])
def test_crlf_of_files_stays(transfer: str, wire: bool, tmp_path: Path) -> None:
    """`git am` takes the CR off lines that are not encoded, and keeps it in those that are."""
    raw = encoded((TEXT + CRLF).encode(), transfer)
    if wire:
        raw = raw.replace(b"\n", b"\r\n")
    ours = entry(raw)
    assert b"\r" not in ours
    assert b"\nContent-Transfer-Encoding: quoted-printable\n" in ours
    read = mailinfo(ours, tmp_path)
    assert read is not None
    assert CRLF.encode() in read.patch
    assert read.message == TEXT.partition("---")[0].encode()
    assert parse(ours).diff == parse(raw).diff


@pytest.mark.parametrize("transfer", ["8bit", "quoted-printable", "base64"])
def test_crlf_of_mail_programs_goes(transfer: str, tmp_path: Path) -> None:
    """Every line ends with it: it is the text's own line end, and none of the file's."""
    raw = encoded((TEXT + diff()).replace("\n", "\r\n").encode(), transfer)
    ours = entry(raw)
    assert b"\nContent-Transfer-Encoding: 7bit\n" in ours
    read = mailinfo(ours, tmp_path)
    assert read is not None
    assert diff().encode() in read.patch
    both = encoded((TEXT + CRLF).replace("\n", "\r\n").encode(), transfer)
    read = mailinfo(entry(both), tmp_path)
    assert read is not None
    assert CRLF.encode() in read.patch


@pytest.mark.parametrize("transfer", ["8bit", "quoted-printable", "base64"])
@pytest.mark.parametrize(
    ("charset", "file", "label"),
    [
        ("iso-8859-1", "latin-1", "iso-8859-1"),
        ("koi8-r", "koi8-r", "koi8-r"),
        ("UTF-8", "utf-8", "UTF-8"),
        ("UTF-8", "latin-1", "UTF-8"),  # a file of another charset, as git sends it
        ("gb2312", "gbk", "gb2312"),
    ],
)
def test_the_bytes_of_files_stay(transfer: str, charset: str, file: str, label: str, tmp_path: Path) -> None:
    word = {"latin-1": "größer", "koi8-r": "больше", "utf-8": "größer", "gbk": "更大"}[file]
    patch_bytes = diff(new=word).encode(file)
    raw = encoded(TEXT.replace("why", "warum").encode() + patch_bytes, transfer, charset)
    ours = entry(raw)
    assert f"charset={label}\n".encode() in ours
    read, theirs = mailinfo(ours, tmp_path), mailinfo(raw, tmp_path)
    assert read is not None
    assert patch_bytes in read.patch
    assert theirs is None or theirs.message == read.message
    assert parse(ours).diff == parse(raw).diff
    assert word in (parse(raw).diff or "")


@pytest.mark.parametrize("charset", ["macintosh", "shift_jis-2004", "kz1048"])
def test_charsets_that_git_does_not_know(charset: str, tmp_path: Path) -> None:
    word = {"macintosh": "größer", "shift_jis-2004": "日本", "kz1048": "№"}[charset]
    patch_bytes = diff(new=word).encode(charset)
    raw = encoded(TEXT.encode() + patch_bytes, "8bit", charset)
    read = mailinfo(entry(raw), tmp_path)
    assert read is not None
    assert patch_bytes in read.patch


def test_message_and_diff_of_two_charsets(tmp_path: Path) -> None:
    """The message in letters that the diff's charset lacks: then the message is UTF-8, and the diff keeps its bytes."""
    patch_bytes = diff(new="größer").encode("latin-1")
    inline = TEXT.replace("Say", "Скажи").encode()
    raw = mail("a@example.org", "[PATCH] Скажи", "", headers=[("Content-Type", "multipart/mixed; boundary=b"), PLAIN])
    raw += b"--b\nContent-Type: text/plain; charset=utf-8\n\n" + inline + b"\n--b\n"
    raw += b"Content-Type: text/x-patch; charset=iso-8859-1\n\n" + patch_bytes + b"\n--b--\n"
    read = mailinfo(entry(raw), tmp_path)
    assert read is not None
    assert read.subject == "Скажи"
    assert "Скажи why.".encode() in read.message
    assert patch_bytes in read.patch


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-32"])
def test_charsets_that_git_cannot_split_into_lines(charset: str, tmp_path: Path) -> None:
    raw = encoded((TEXT + diff(new="größer")).encode(charset), "base64", charset)
    read = mailinfo(entry(raw), tmp_path)
    assert read is not None
    assert diff(new="größer").encode() in read.patch


@pytest.mark.parametrize(
    "line", ["NUL \0 within", "x" * 999, "ä" * 500, "\0", "lone \r CR", "\x0c", "tab \t ", "=3D ="]
)
@pytest.mark.parametrize("transfer", ["8bit", "quoted-printable", "base64"])
def test_lines_that_mail_does_not_carry(line: str, transfer: str, tmp_path: Path) -> None:
    patch_bytes = diff(new=line).encode()
    ours = entry(encoded(TEXT.encode() + patch_bytes, transfer))
    assert max(map(len, ours.split(b"\n"))) <= 998
    assert b"\0" not in ours
    read = mailinfo(ours, tmp_path)
    assert read is not None
    assert patch_bytes in read.patch


@pytest.mark.parametrize(
    "subject",
    [
        "[PATCH v2 3/7] " + "a long title " * 9,
        "[PATCH] Größe: 日本語のサブジェクトはとても長いので折り返されるはずです、たぶん二回",
        "[PATCH] not =?an?encoded?= word",
        "[PATCH] " + "y" * 2000,
        "[PATCH] x\t  y",
    ],
)
def test_subjects(subject: str, tmp_path: Path) -> None:
    raw = patch("a@example.org", subject)
    ours = entry(raw)
    assert max(map(len, ours.split(b"\n"))) <= 998
    assert parse(ours).subject == parse(raw).subject
    read, theirs = mailinfo(ours, tmp_path), mailinfo(raw, tmp_path)
    assert read is not None
    assert theirs is None or read.subject == theirs.subject  # git gives up on charsets that it does not know


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("Mon, 2 Nov 2026 10:00:00 +0530", None),
        ("2 Nov 2026 10:00 -0700", None),
        ("Mon, 2 Nov 2026 10:00:00 +0000 (UTC)", None),
        ("Mon, 2 Nov 2026 10:00:00 +0800 (GMT+08:00)", "Mon, 02 Nov 2026 02:00:00 +0000"),
        ("Mon, 02 Nov 26 10:00:00 EST", "Mon, 02 Nov 2026 15:00:00 +0000"),
        ("2026-11-02T10:00:00+01:00", "Mon, 02 Nov 2026 09:00:00 +0000"),
        ("Mon, 2 Nov 2026 10:00:00 +9900", "Mon, 02 Nov 2026 10:00:00 +0000"),
        ("some day", ""),
    ],
)
def test_dates(written: str, wanted: str | None, tmp_path: Path) -> None:
    read = mailinfo(entry(patch("a@example.org", "[PATCH] one", date=written)), tmp_path)
    assert read is not None
    assert read.date == (written if wanted is None else wanted)
    assert wanted == "" or parse(entry(patch("a@example.org", "x", date=written))).date is not None


SOB, REVIEW, ACK = (
    "Signed-off-by: Ann Author <ann@example.org>",
    "Reviewed-by: Rob Reviewer <rob@example.com>",
    "Acked-by: Mia Maintainer <mia@example.net>",
)


@pytest.mark.parametrize(
    ("above", "trailers", "wanted"),
    [
        (f"Why.\n\n{SOB}\n---\n x | 1 +\n", [REVIEW], f"Why.\n\n{SOB}\n{REVIEW}\n---\n x | 1 +\n"),
        (f"Why.\n\n{SOB}\n", [REVIEW, ACK], f"Why.\n\n{SOB}\n{REVIEW}\n{ACK}\n"),
        ("Why.\n---\n", [REVIEW], f"Why.\n\n{REVIEW}\n---\n"),
        ("", [REVIEW], f"{REVIEW}\n"),
        ("---\n x | 1 +\n", [REVIEW], f"{REVIEW}\n---\n x | 1 +\n"),
        (f"Why.\n\n{SOB}\n[ann: fold]\n---\n", [REVIEW], f"Why.\n\n{SOB}\n[ann: fold]\n{REVIEW}\n---\n"),
        ("Note: this is prose.\n---\n", [REVIEW], f"Note: this is prose.\n\n{REVIEW}\n---\n"),
        ("Why.\nSee: https://example.org/\n---\n", [REVIEW], f"Why.\nSee: https://example.org/\n\n{REVIEW}\n---\n"),
        (f"Why.\n\n{SOB}\n{REVIEW}\n---\n", [REVIEW], f"Why.\n\n{SOB}\n{REVIEW}\n---\n"),
        (f"Why.\n\n{REVIEW.upper()}\n---\n", [REVIEW], f"Why.\n\n{REVIEW.upper()}\n---\n"),
        (
            f"Why.\n\n{REVIEW} # as R. Reviewer\n---\n",
            ["Reviewed-by: R. Reviewer <rob@example.com>", ACK, ACK.replace("Mia", "M.")],
            f"Why.\n\n{REVIEW} # as R. Reviewer\n{ACK}\n---\n",
        ),
        (f"Why.\n\n{REVIEW}\n\nMore.\n---\n", [REVIEW, ACK], f"Why.\n\n{REVIEW}\n\nMore.\n\n{ACK}\n---\n"),
        (
            "From: Bob <bob@example.org>\n\nWhy.\n\n---\n",
            [REVIEW],
            f"From: Bob <bob@example.org>\n\nWhy.\n\n{REVIEW}\n---\n",
        ),
        ("From: Bob <bob@example.org>\n\n---\n", [REVIEW], f"From: Bob <bob@example.org>\n\n{REVIEW}\n---\n"),
        ("Why.\n\nReviewed-by: Rob Reviewer\n <rob@example.com>\n---\n", [REVIEW], None),
    ],
)
def test_trailers_go_into_the_block_and_are_not_doubled(above: str, trailers: list[str], wanted: str | None) -> None:
    assert export.add_trailers(above, trailers) == (above if wanted is None else wanted)


def test_git_finds_the_trailers_added(tmp_path: Path) -> None:
    read = mailinfo(entry(patch("a@example.org", "[PATCH] one"), REVIEW, ACK, SOB), tmp_path)
    assert read is not None
    parsed = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=read.message, capture_output=True, check=True, env=ENVIRONMENT
    )
    assert parsed.stdout.decode().splitlines() == [SOB, REVIEW, ACK]


@pytest.mark.parametrize("wire", [False, True])
def test_mails_as_mboxrd_come_back_as_they_were(wire: bool, tmp_path: Path) -> None:
    raws = [
        mail("a@example.org", "one", "From me\n>From you\n>>From them\n\nFrom x Mon Sep 17 00:00:00 2001\n"),
        b"From x@y Mon Sep 17 00:00:00 2001\n" + mail("b@example.org", "two", "Text.\n\n\n"),
        mail("c@example.org", "three", "no line end")[:-1],
    ]
    if wire:
        raws = [raw.replace(b"\n", b"\r\n") for raw in raws]
    box = b"".join(map(export.mboxrd_entry, raws))
    assert box.startswith(b"From mboxrd@z Thu Jan  1 00:00:00 1970\n")
    assert b"\r" not in box
    wanted = [parse(raw) for raw in raws]
    assert [parse(read) for read in mails_of(box)] == wanted
    subprocess.run(["git", "mailsplit", "--mboxrd", f"-o{tmp_path}"], input=box, check=True, env=ENVIRONMENT)
    for number, raw in enumerate(raws, 1):  # git leaves the blank line that ends an entry
        found = (tmp_path / f"000{number}").read_bytes().partition(b"\n")[2]
        assert found.removesuffix(b"\n") == parse_module.plain(raw)

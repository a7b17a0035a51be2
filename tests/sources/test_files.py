"""Every kind of archive gives the mails as they were received; anything else is a clear error."""

import bz2
import gzip
import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mails import mail, patch, series

from ingestd.errors import InputError
from ingestd.sources import files
from ingestd.sources.source import LeftOut
from sources import made

MAILS = [
    *series("20261102100000.1", 3),
    mail("from@example.org", "From lines", "Text.\n\nFrom here on, 2019.\n>From there.\n>>From both.\n\nFrom\n"),
    mail("blank@example.org", "Blank lines at the end", "Text.\n\n\n"),
    mail("bytes@example.org", "Octets", "x").replace(b"\n\nx", b"\n\n\xe4\xf6\xfc \x00 \xff\n"),
    patch("20261102100000.2-1-ann@example.org", "[PATCH] one").replace(b"\n", b"\r\n"),
]


def read(path: Path, dialect: str = "auto") -> list[bytes]:
    """The mails of an archive."""
    return [
        item.raw for source in files.find([str(path)], dialect=dialect) for item in source.read() if not item.left_out
    ]


def left_out(path: Path, largest: int = 10_000_000) -> list[LeftOut | None]:
    """What is no mail to store, of all items."""
    return [item.left_out for source in files.find([str(path)], largest=largest) for item in source.read()]


def zstd(data: bytes) -> bytes:
    """Compressed by the program, where it is installed."""
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


def test_a_directory_gives_each_file(tmp_path: Path) -> None:
    made.files(tmp_path / "x/a", MAILS[:3])
    made.files(tmp_path / "x/b", MAILS[3:])
    (tmp_path / "x/b/zz.eml.gz").write_bytes(gzip.compress(MAILS[0]))
    (tmp_path / "x/README").write_text("no mail")
    assert read(tmp_path / "x") == [*MAILS, MAILS[0]]


def test_a_checkout_without_commits_is_a_directory(tmp_path: Path) -> None:
    made.files(tmp_path / "x", MAILS)
    made.repository(tmp_path / "x/.git")
    assert read(tmp_path / "x") == MAILS


def test_a_maildir_gives_what_is_not_in_the_trash(tmp_path: Path) -> None:
    place = made.maildir(tmp_path / "x", MAILS)
    (place / "cur/1.deleted.host:2,ST").write_bytes(MAILS[0])
    (place / "cur/1.draft.host:2,D").write_bytes(MAILS[0])
    (place / "tmp/1.tmp.host").write_bytes(MAILS[0])
    (place / "new/.hidden").write_bytes(MAILS[0])
    assert read(place) == MAILS
    assert left_out(place).count(LeftOut.DELETED) == 2


def test_a_mail_that_a_reader_moves_meanwhile_is_found(tmp_path: Path) -> None:
    place = made.maildir(tmp_path / "x", MAILS)
    (source,) = files.find([str(place)])
    reading = source.read()
    got = [next(reading).raw]
    for file in list((place / "new").iterdir()):
        file.rename(place / "cur" / f"{file.name}:2,RS")
    assert [*got, *(item.raw for item in reading)] == MAILS


@pytest.mark.parametrize("dialect", ["mboxrd", "mboxcl2"])
def test_an_mbox_gives_the_octets_as_they_were(tmp_path: Path, dialect: str) -> None:
    path = tmp_path / "x.mbox"
    unix = MAILS[:-1]
    path.write_bytes(made.mbox(unix, dialect))
    plain = [re.sub(rb"\nContent-Length: \d+\n", b"\n", raw, count=1) for raw in read(path)]
    assert plain == unix


@pytest.mark.parametrize(("dialect", "kept"), [("mboxo", b">>From both"), ("mboxcl", b">>From both")])
def test_dialects_that_lose_something_are_undone_as_far_as_they_go(tmp_path: Path, dialect: str, kept: bytes) -> None:
    path = tmp_path / "x.mbox"
    path.write_bytes(made.mbox(MAILS[4:5], dialect))
    (raw,) = read(path, dialect=dialect)
    assert b"\nFrom here on" in raw
    assert b"\nFrom there" in raw  # the dialect does not tell it from a quoted one
    assert kept in raw


def test_prose_that_begins_with_from_begins_no_mail(tmp_path: Path) -> None:
    text = mail("a@example.org", "Prose", "One.\n\nFrom Monday on, at 10:30, in 2019\n\nFrom A to B 2026\n\nEnd.\n")
    (tmp_path / "x").write_bytes(made.FROM + text + b"\n" + made.FROM + MAILS[0] + b"\n")
    assert read(tmp_path / "x") == [text, MAILS[0]]


@pytest.mark.parametrize(
    "line",
    [
        b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001",
        b"From ann at example.org  Mon Sep 17 00:00:00 2001",
        b"From ann@example.org Mon, Sep  7 00:00 2001 +0200",
        b"From ann@example.org Mon Sep 17 00:00:00 CEST 2001",
        b"From ann@example.org Mon Sep 17 00:00:00 2001 remote from mx",
        b"From - Mon Sep 17 00:00:00 2001\r",
        b"From ann@example.org 2026-11-02T10:00:00+00:00",
    ],
)
def test_lines_that_begin_a_mail(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "x").write_bytes(b"\n".join([line, MAILS[0], line, MAILS[1], b""]))
    assert read(tmp_path / "x") == MAILS[:2]


def test_a_content_length_that_is_wrong_is_not_believed(tmp_path: Path) -> None:
    wrong = [mail(f"{size}@example.org", "x", headers=[("Content-Length", str(size))]) for size in (1, 40, 10**9)]
    (tmp_path / "x").write_bytes(made.mbox(wrong))
    assert read(tmp_path / "x") == wrong


def test_a_content_length_hides_what_looks_like_another_mail(tmp_path: Path) -> None:
    inner = mail("outer@example.org", "An mbox inside", "One.\n\n" + made.FROM.decode() + "Subject: inner\n\nTwo.\n")
    (tmp_path / "x").write_bytes(made.mbox([inner, *MAILS[:2]], "mboxcl2"))
    first, *_ = got = read(tmp_path / "x")
    assert len(got) == 3
    assert first.endswith(b"Subject: inner\n\nTwo.\n")


def test_mails_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    long = [mail(f"{size}@example.org", "long", "x" * 70 * size + "\n") for size in (1, 40_000, 2, 15_000, 14_979, 3)]
    (tmp_path / "x").write_bytes(made.mbox(long))
    assert read(tmp_path / "x") == long


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstd])
def test_compressed_mboxes_and_mails(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    (tmp_path / "many").write_bytes(compress(made.mbox(MAILS[:3])))
    (tmp_path / "one").write_bytes(compress(MAILS[0]))
    assert read(tmp_path / "many") == MAILS[:3]
    assert read(tmp_path / "one") == MAILS[:1]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstd])
def test_one_that_is_cut_off_gives_what_is_whole(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    mails = [mail(f"{number}@example.org", "x", os.urandom(3000).hex() + "\n") for number in range(600)]
    whole = compress(made.mbox(mails))
    (tmp_path / "x").write_bytes(whole[: len(whole) // 2])
    got: list[bytes] = []
    (source,) = files.find([str(tmp_path / "x")])
    with pytest.raises(InputError, match=r"x: damaged: .*[a-z]"):
        got.extend(item.raw for item in source.read())
    assert len(got) > 100
    assert got == mails[: len(got)]


def test_a_pipe_is_read_as_standard_input_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "x").write_bytes(made.mbox(MAILS[:3]))
    with subprocess.Popen(["sh", "-c", f"cat {tmp_path}/x > {pipe}"]):
        assert read(pipe) == MAILS[:3]


def test_a_public_inbox_without_what_was_deleted_and_purged(tmp_path: Path) -> None:
    one, two, three, four, *rest = MAILS
    first = [("m", one), ("m", two), ("d", two), ("m", three), ("m", b""), ("m", four), ("d", four), ("m", four)]
    place = made.inbox(tmp_path / "x", [first, [("d", one), ("m", rest[0])], [("m", rest[1])]])
    assert read(place) == [three, four, rest[0], rest[1]]
    assert read(place / "git/0.git") == [one, three, four]
    assert left_out(place).count(LeftOut.DELETED) == 4  # one, two, the purged one, and four for its first time


def test_a_public_inbox_of_version_1(tmp_path: Path) -> None:
    place = made.inbox1(tmp_path / "x.git", [*(("m", one) for one in MAILS[:4]), ("d", MAILS[1])])
    assert read(place) == [MAILS[0], MAILS[2], MAILS[3]]
    assert left_out(place).count(LeftOut.DELETED) == 1


def test_what_public_inbox_itself_has_made(tmp_path: Path) -> None:
    if shutil.which("public-inbox-init") is None:
        pytest.skip("public-inbox is not installed")
    (tmp_path / ".public-inbox").mkdir()
    (tmp_path / ".public-inbox/config").write_text("[publicinboxmda]\n\tspamcheck = none\n")
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "ORIGINAL_RECIPIENT": "demo@example.org"}
    to = [("To", "demo@example.org")]
    mails = [mail(f"{number}@example.org", f"Number {number}", list_id=None, headers=to) for number in range(5)]

    def run(*command: str, input_: bytes = b"") -> None:
        subprocess.run(command, input=input_, env=environment, cwd=tmp_path, check=True, capture_output=True)

    for version in "12":
        place = tmp_path / f"v{version}"
        run("public-inbox-init", f"-V{version}", "x", str(place), "https://example.org/x", "demo@example.org")
        for raw in mails:
            run("public-inbox-mda", "--no-precheck", input_=raw)
        run("public-inbox-learn", "rm", input_=b"Received: by x; Mon, 2 Nov 2026 10:00:00 +0000\n" + mails[1])
        if version == "2":
            run("public-inbox-purge", str(place), input_=mails[2])
        left = [mails[0], *mails[2 if version == "1" else 3 :]]
        assert [raw.replace(b"List-Id: <demo.example.org>\n", b"") for raw in read(place)] == left
        (tmp_path / ".public-inbox/config").write_text("[publicinboxmda]\n\tspamcheck = none\n")


def test_mails_that_are_too_long_are_left_out(tmp_path: Path) -> None:
    long = mail("long@example.org", "long", "x" * 3_000_000 + "\n")
    mails = [MAILS[0], long, MAILS[1]]
    (tmp_path / "mbox").write_bytes(made.mbox(mails))
    places = [
        tmp_path / "mbox",
        made.files(tmp_path / "files", mails),
        made.maildir(tmp_path / "maildir", mails),
        made.inbox(tmp_path / "inbox", [[("m", one) for one in mails]]),
    ]
    for place in places:
        assert left_out(place, 2_000_000) == [None, LeftOut.TOO_BIG, None], place
    (tmp_path / "one.eml").write_bytes(long)
    with pytest.raises(InputError, match=r"one\.eml: too long for a mail"):
        files.find([str(tmp_path / "one.eml")], largest=2_000_000)


def _repository(place: Path) -> None:
    made.repository(place)
    stream = f"commit refs/heads/master\ncommitter {made.PERSON}\ndata 1\nxM 100644 inline README\ndata 1\nx\n"
    made.git(place, "fast-import", "--quiet", input_=stream.encode())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: None, "x: No such file or directory"),
        (lambda path: path.mkdir(), "x: no mail in it"),
        (lambda path: path.write_bytes(b""), "x: neither a mail nor an mbox"),
        (lambda path: path.write_bytes(b"no mail\n" * 9), "x: neither a mail nor an mbox"),
        (lambda path: path.write_bytes(b"\x00" * 99), "x: neither a mail nor an mbox"),
        (lambda path: path.write_bytes(b"From " + b"x" * 100_000), "x: neither a mail nor an mbox"),
        (lambda path: path.write_bytes(bz2.compress(MAILS[0])), "x: neither a mail nor an mbox"),
        (lambda path: path.write_bytes(gzip.compress(b"no mail")), "x: neither a mail nor an mbox"),
        (lambda path: path.write_bytes(gzip.compress(MAILS[0])[:15]), "x: damaged"),
        (_repository, "x: a git repository, but none of a public-inbox"),
        (lambda path: _repository(path / "git/0.git"), "0.git: no repository of a public-inbox"),
        (lambda path: (path / "git/0.git").mkdir(parents=True), "0.git: no repository of a public-inbox"),
    ],
)
def test_what_is_no_archive_is_said(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    make(tmp_path / "x")
    with pytest.raises(InputError, match=said):
        files.find([str(tmp_path / "x")])


def test_a_file_of_gigabytes_without_a_line_is_not_read(tmp_path: Path) -> None:
    for name, said in (("x", "neither a mail nor an mbox"), ("x.eml", "too long for a mail")):
        with (tmp_path / name).open("wb") as file:
            file.truncate(3 << 30)
        with pytest.raises(InputError, match=said):
            files.find([str(tmp_path / name)])


@pytest.mark.parametrize("kind", ["files", "maildir", "inbox", "mbox"])
def test_a_source_that_vanishes_is_said(tmp_path: Path, kind: str) -> None:
    mails = [mail(f"{number}@example.org", "x", os.urandom(2000).hex() + "\n") for number in range(1500)]
    path = tmp_path / "x"
    if kind == "mbox":
        path.write_bytes(gzip.compress(made.mbox(mails)))
    elif kind == "inbox":
        made.inbox(path, [[("m", one) for one in mails[:50]], [("m", one) for one in mails[50:]]])
    else:
        (made.files if kind == "files" else made.maildir)(path, mails)
    sources = files.find([str(path)])
    reading = (item for source in sources for item in source.read())
    got = [next(reading).raw for _ in range(10)]
    if kind == "mbox":  # an open file stays; but one that shrinks is cut off
        os.truncate(path, path.stat().st_size // 2)
    else:
        shutil.rmtree(path)
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        got.extend(item.raw for item in reading)
    assert got == mails[: len(got)]


def test_names_that_are_no_text_can_be_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.eml"))
    path.write_bytes(MAILS[0])
    (source,) = files.find([str(path)])
    (item,) = source.read()
    assert item.origin.endswith("\N{REPLACEMENT CHARACTER}.eml")

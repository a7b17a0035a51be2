"""The finer parts of a patch's text, links, bases and pull requests."""

import pytest
from mails import diff, mail

from ingestd.mail import body, links, pull
from ingestd.mail.parse import parse
from ingestd.mail.values import Link


def test_parts_of_a_commit_message() -> None:
    parts = body.read(
        "From: Bob <bob@x.org>\nSubject: [PATCH] a\n folded one\n\nWhy.\n\nSigned-off-by: Bob <bob@x.org>\n---\n"
        "v2: better\n\n f       | 2 +-\n {a => b}/g | Bin 0 -> 5 bytes\n 2 files changed, 1 insertion(+)\n"
        " create mode 100644 g\n rename a => b (90%)\n\n"
    )
    assert parts.in_body == (("From", "Bob <bob@x.org>"), ("Subject", "[PATCH] a folded one"))
    assert parts.message == "Why.\n\nSigned-off-by: Bob <bob@x.org>"
    assert parts.notes == "v2: better"
    assert parts.diffstat.split("\n")[0] == " f       | 2 +-"
    assert parts.diffstat.endswith(" rename a => b (90%)")


@pytest.mark.parametrize(
    ("text", "in_body", "message"),
    [
        ("Why.\n", (), "Why."),
        ("\n\nFrom: A <a@x>\n\nWhy.\n", (("From", "A <a@x>"),), "Why."),
        ("Date: today we do it\n\nWhy.\n", (), "Date: today we do it\n\nWhy."),
        ("From: A <a@x>\nWhy.\n", (("From", "A <a@x>"),), "Why."),
        ("From now on\nWhy.\n", (), "From now on\nWhy."),
        ("Signed-off-by: A <a@x>\n", (), "Signed-off-by: A <a@x>"),
        ("Why.\n\n--\nnot a separator\n", (), "Why.\n\n--\nnot a separator"),
        ("Why.\n--- \nnotes\n", (), "Why."),
        ("Why.\n---x\nstill\n", (), "Why.\n---x\nstill"),
    ],
)
def test_in_body_headers_are_those_of_git(text: str, in_body: tuple[tuple[str, str], ...], message: str) -> None:
    parts = body.read(text)
    assert (parts.in_body, parts.message) == (in_body, message)


def test_a_pasted_format_patch_file_below_remarks() -> None:
    text = (
        "Please see below.\n\nFrom 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n"
        "From: Bob <bob@x.org>\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nSubject: [PATCH v3 2/7] title\n\nWhy.\n---\n"
    )
    read = parse(mail("1@x", "", text + diff()))
    assert read.author.email == "bob@x.org"
    assert (read.subject.title, read.subject.version, read.subject.number) == ("title", 3, 2)
    assert read.parts.message == "Why."
    assert "empty Subject" not in read.defects


@pytest.mark.parametrize("scissors", ["-- >8 --", "---8<---", "- - 8< - - cut here - - >8 - -", "-->% --"])
def test_headers_below_a_scissors_line_count(scissors: str) -> None:
    text = f"Hi all,\nsee below.\n\n{scissors}\n\nFrom: Bob <bob@x.org>\nSubject: [PATCH] title\n\nWhy.\n---\n"
    read = parse(mail("1@x", "[PATCH] x", text + diff()))
    assert (str(read.author), read.parts.message) == ("Bob <bob@x.org>", "Why.")


def test_a_scissors_line_without_headers_stays_in_the_message_as_for_git() -> None:
    parts = body.read("Hi all.\n\n-- >8 --\nWhy.\n---\n")
    assert parts.message == "Hi all.\n\n-- >8 --\nWhy."


@pytest.mark.parametrize("line", ["8<", "a -- >8 --", "- 8 -", "--"])
def test_what_is_no_scissors_line(line: str) -> None:
    assert body.read(f"Hi.\n{line}\nFrom: Bob <bob@x.org>\n\nWhy.\n").in_body == ()


def test_notes_may_stand_below_a_second_separator() -> None:
    parts = body.read("Why.\n---\nSupersedes: <a@b>\n---\n f | 1 +\n 1 file changed, 1 insertion(+)\n")
    assert parts.message == "Why."
    assert parts.notes == "Supersedes: <a@b>"
    assert body.read("Why.\n---\n---\n---\n f | 1 +\n").notes == ""
    assert body.read("Why.\n---\n--- a\n").notes == "--- a"


def test_a_diffstat_whose_first_line_has_lost_its_blank() -> None:
    parts = body.read("Why.\n---\nv2: a | b\n\nlong/name.c | 12 +++---\n f | 1 +\n 2 files changed\n")
    assert parts.notes == "v2: a | b"
    assert parts.diffstat == "long/name.c | 12 +++---\n f | 1 +\n 2 files changed"
    parts = body.read("Why.\n---\nlong/name.c | 12 +++---\n1 file changed\n")  # without any blank it is not told
    assert (parts.notes, parts.diffstat) == ("long/name.c | 12 +++---\n1 file changed", "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Based-on: <a@b>", Link("based-on", "a@b")),
        ("Based-on: a@b", Link("based-on", "a@b")),
        ("based-on: <a@b> ('[PATCH v4 00/53] x')", Link("based-on", "a@b")),
        ("Based-on: <a@b>\r", Link("based-on", "a@b")),
        ("Supersedes: <a@b>", Link("supersedes", "a@b")),
        ("Obsoletes: <a@b>", Link("obsoletes", "a@b")),
        ("Depends-on: <a@b>", Link("depends-on", "a@b")),
        ("Depends-on: https://lore.kernel.org/qemu-devel/a@b/", Link("depends-on", "a@b")),
        ("Depends-on: https://example.org/patch/1/", Link("depends-on", "https://example.org/patch/1/")),
        ("prerequisite-message-id: <a@b>", Link("depends-on", "a@b")),
        ("prerequisite-change-id: 20260101-x-abc:v2", Link("depends-on", "change-id:20260101-x-abc")),
        (
            "prerequisite-patch-id: 0123456789abcdef0123456789ABCDEF01234567",
            Link("prerequisite", "0123456789abcdef0123456789abcdef01234567"),
        ),
    ],
)
def test_links(line: str, expected: Link) -> None:
    assert links.read(f"text\n{line}\n")[0] == (expected,)


@pytest.mark.parametrize(
    "line", ["> Based-on: <a@b>", "  Based-on: <a@b>", "Based-on: nothing", "We are based-on: <a@b>"]
)
def test_what_is_no_link(line: str) -> None:
    assert links.read(f"text\n{line}\n")[0] == ()


def test_so_many_lines_of_links_are_read() -> None:
    text = "".join(f"Based-on: <20261102-{number}-ann@example.org>\n" for number in range(links.MAX_LINKS + 1))
    assert len(links.read(text)[0]) == links.MAX_LINKS
    assert len(links.read("".join(f"Based-on: <{number}@x>\n" for number in range(400)))[0]) == 10 + 7_090 // 40


def test_bases_and_change_ids() -> None:
    text = (
        "---\nbase-commit: 0123456789ABCDEF0123456789abcdef01234567\nchange-id: 20260101-name-0123456789ab\n"
        "change-id: 20260202-other\n"
    )
    assert links.read(text)[1:] == ("0123456789abcdef0123456789abcdef01234567", "20260101-name-0123456789ab")
    assert links.read("Change-Id: I0123456789abcdef0123456789abcdef01234567\n")[2] is None
    assert links.read("base-commit: unknown\n")[1] is None


def test_links_below_the_diff_are_found() -> None:
    read = parse(mail("1@x", "[PATCH] x", "Why.\n---\n" + diff() + "\nbase-commit: 0123456789\n-- \n2.39.5\n"))
    assert read.base_commit == "0123456789"


PULL = (
    "The following changes since commit 0123456789:\n\n  Title (2026)\n\n{place}\n\n  {url}\n\n"
    "for you to fetch changes up to 1:\n\n"
)
PLACE = "are available in the Git repository at:"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://git.example.org/x.git tags/y-1", "https://git.example.org/x.git tags/y-1"),
        ("https://git.example.org/x.git  tags/y-1", "https://git.example.org/x.git tags/y-1"),
        ("git://git.example.org/x.git", "git://git.example.org/x.git"),
        ("git@git.example.org:x.git for-next", "git@git.example.org:x.git for-next"),
        ("https://git.example.org/x.git \\\n   tags/y-1", "https://git.example.org/x.git \\ tags/y-1"),
        ("https://git.example.org/~user/x.git y", "https://git.example.org/~user/x.git y"),
    ],
)
def test_pull_requests_in_gits_layouts(url: str, expected: str) -> None:
    assert pull.url("Hello,\n\n" + PULL.format(place=PLACE, url=url)) == expected
    assert pull.url(PULL.format(place=PLACE.lower(), url=url)) == expected


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("https://git.example.org/x.git\n\nfor you to fetch", "https://git.example.org/x.git"),
        ("https://git.example.org/x.git\n    tags/y-1\n\nfor you", "https://git.example.org/x.git tags/y-1"),
        ("https://git.example.org/x.git tags/y-1 \nfor you", "https://git.example.org/x.git tags/y-1"),
        ("https://git.example.org/x.git tags/y,z\n", None),
        ("https://git.example.org/x.git the tag\n", None),
    ],
)
def test_what_follows_the_url_of_a_pull_request(below: str, expected: str | None) -> None:
    assert pull.url(PULL.format(place=PLACE, url=below)) == expected


def test_a_quoted_or_broken_pull_request_is_none() -> None:
    text = PULL.format(place=PLACE, url="https://git.example.org/x.git y")
    assert pull.url("".join(f"> {line}\n" for line in text.split("\n"))) is None
    assert pull.url(PULL.format(place=PLACE, url="nowhere")) is None
    assert pull.url("The following changes since commit 1 are nice\n") is None

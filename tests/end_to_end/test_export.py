"""`ingestd export`: files that mail mangles, many ids at once, threads, and what is said of errors."""

import pytest
from git_mail import mails_of
from mails import mail, patch, reply, series

from end_to_end.conftest import MailingList
from end_to_end.peer import deliver
from end_to_end.repository import Repository
from ingestd.mail.export import mboxrd_entry
from ingestd.mail.parse import parse

STEM = "20261102100000.1"
COVER, ONE, TWO = (f"{STEM}-{number}-ann@example.org" for number in (0, 1, 2))


@pytest.fixture
def posted(mailing_list: MailingList) -> MailingList:
    """A list with a series of two, a review of it, and another thread."""
    mails = [
        *series(STEM, 2),
        reply("r@example.com", ONE, "x", "From here it is fine.\n\nReviewed-by: Rob Reviewer <rob@example.com>\n"),
        patch("alone@example.org", "[PATCH] alone"),
        mail("talk@example.org", "A question", "Who knows?\n"),
    ]
    deliver(mailing_list.daemon.lmtp, mails, [mailing_list.address])
    return mailing_list


def run(posted: MailingList, *arguments: str, stdin: str = "") -> tuple[int, bytes, list[str]]:
    done = posted.daemon.run("export", "--list", posted.id, *arguments, stdin=stdin.encode())
    return done.returncode, done.stdout, done.stderr.decode().splitlines()


def ids(box: bytes) -> list[str]:
    """Message-IDs of the mails in an mbox."""
    return [parse(raw).message_id for raw in mails_of(box)] if box else []


def test_files_that_mail_mangles_come_back_whole(
    tmp_path_factory: pytest.TempPathFactory, mailing_list: MailingList
) -> None:
    repository = Repository(tmp_path_factory.mktemp("mangled") / "repository")
    repository.commit_what_mail_mangles()
    tree = repository.tree
    files = repository.format_patch("--text")
    for encoding in ("auto", "base64", "quoted-printable"):
        options = [f"--transfer-encoding={encoding}", "--8bit-encoding=UTF-8"]
        (id_,) = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, files, *options)
        assert repository.apply_on_base(mailing_list.export(id_)) == tree


def test_many_ids_each_mail_once(posted: MailingList) -> None:
    code, out, errors = run(posted, "-", "alone@example.org", stdin=f"<{TWO}>\n\n  {ONE}  \n{TWO}\nalone@example.org")
    assert (code, errors) == (0, [])
    assert ids(out) == [TWO, ONE, "alone@example.org"]
    code, out, errors = run(posted, "--series", "-", stdin=f"{TWO}\n{ONE}\n{COVER}\nalone@example.org\n")
    assert (code, errors) == (0, [])
    assert ids(out) == [ONE, TWO, "alone@example.org"]
    assert run(posted, "-") == (0, b"", [])


def test_what_cannot_be_exported_is_a_line_each_and_the_rest_is_written(posted: MailingList) -> None:
    code, out, errors = run(
        posted, "-", stdin=f"none@example.org\n{ONE}\ntalk@example.org\n\x1b[2J\0\n{COVER}\n{TWO}\n"
    )
    assert code == 65
    assert ids(out) == [ONE, TWO]
    assert errors == [
        f"ingestd: none@example.org: no such mail on {posted.id}",
        "ingestd: talk@example.org: not a patch: there is no diff in it",
        f"ingestd: \\x1b[2J\ufffd: no such mail on {posted.id}",
        f"ingestd: {COVER}: not a patch: there is no diff in it",
    ]
    code, out, errors = run(posted, "--series", "talk@example.org")
    assert (code, out, errors) == (65, b"", ["ingestd: talk@example.org: the mail belongs to no series"])


def test_a_thread_as_mboxrd(posted: MailingList) -> None:
    code, out, errors = run(posted, "--thread", TWO)
    assert (code, errors) == (0, [])
    assert ids(out) == [COVER, ONE, TWO, "r@example.com"]
    assert b"\n>From here it is fine.\n" in out
    code, all_, errors = run(posted, "--thread", "-", stdin=f"{ONE}\nr@example.com\ntalk@example.org\n")
    assert (code, errors) == (0, [])
    assert ids(all_) == [COVER, ONE, TWO, "r@example.com", "talk@example.org"]
    assert all_.startswith(out)


def test_raw_is_as_received_alone_and_mboxrd_among_others(posted: MailingList) -> None:
    code, one, errors = run(posted, "--raw", "talk@example.org")
    assert (code, errors) == (0, [])
    assert one.endswith(b"\r\n\r\nWho knows?\r\n")
    assert parse(one).message_id == "talk@example.org"
    code, out, errors = run(posted, "--raw", "-", stdin="talk@example.org\n")
    assert (code, out, errors) == (0, mboxrd_entry(one), [])
    code, out, errors = run(posted, "--raw", "talk@example.org", COVER)
    assert (code, ids(out), errors) == (0, ["talk@example.org", COVER], [])


@pytest.mark.parametrize("options", [["--raw", "--series"], ["--thread", "--trailers"], ["--raw", "--thread"]])
def test_options_that_exclude_each_other(posted: MailingList, options: list[str]) -> None:
    code, out, errors = run(posted, *options, ONE)
    assert (code, out) == (64, b"")
    assert errors == ["ingestd: --raw, --thread, and --series or --trailers, go alone"]


def test_the_diff_of_a_reply_is_written_once(mailing_list: MailingList) -> None:
    """Its content is the whole text, diff and all, as Patchwork keeps comments."""
    body = patch("x@example.org", "x").partition(b"\n\n")[2].decode()
    deliver(
        mailing_list.daemon.lmtp,
        [
            patch("p@example.org", "[PATCH] p"),
            reply("fix@example.com", "p@example.org", "[PATCH] p", f"Rather so:\n\n{body}"),
        ],
        [mailing_list.address],
    )
    out = mailing_list.export("fix@example.com")
    assert out.count(b"diff --git") == 1
    assert out.startswith(b"From 0000")
    assert b"\n\nRather so:\n\nChange file.c.\n" in out

"""What git sends comes back as git sent it: format-patch, send-email, export, am."""

from pathlib import Path

import pytest

from end_to_end.conftest import MailingList
from end_to_end.repository import Repository

SERIES = "SELECT * FROM ingestd_v1.series WHERE list_id = $1 ORDER BY version, date"
PATCHES = "SELECT * FROM ingestd_v1.patch WHERE list_id = $1 ORDER BY version, number"
MEMBERS = """
    SELECT sp.number, sp.message_id, sp.role
    FROM ingestd_v1.series_patch sp
    JOIN ingestd_v1.series s ON s.id = sp.series_id
    WHERE s.list_id = $1
    ORDER BY s.version, sp.number
"""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def test_a_series_with_cover(repository: Repository, mailing_list: MailingList) -> None:
    repository.commit_three()
    tree = repository.tree
    files = repository.format_patch(cover=("Say it three times", "Because once is not enough."))
    ids = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, files)

    (series,) = mailing_list.select(SERIES)
    assert (series["name"], series["kind"], series["version"]) == ("Say it three times", "series", 1)
    assert (series["total"], series["received"], series["complete"]) == (3, 3, True)
    assert (series["cover_message_id"], series["author_email"]) == (ids[0], "ann@example.org")
    members = mailing_list.select(MEMBERS)
    assert [tuple(member.values()) for member in members] == [(number, ids[number], "posted") for number in (1, 2, 3)]
    assert [patch["name"] for patch in mailing_list.select(PATCHES)] == [
        f"[{number}/3] part {number}: say word" for number in (1, 2, 3)
    ]
    for entry in (ids[0], ids[3]):
        assert repository.apply_on_base(mailing_list.export(entry, "--series")) == tree


def test_the_commits_come_back_whole(repository: Repository, mailing_list: MailingList) -> None:
    """Author and message too. Not the date: send-email dates the mails by its own clock."""
    repository.commit_three()
    wanted = repository.git("log", "--format=%an%n%ae%n%B", "base..")
    files = repository.format_patch(cover=("Whole", "All of it."))
    ids = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, files)
    repository.git("checkout", "-q", "--detach", "base")
    repository.git("am", "-q", stdin=mailing_list.export(ids[0], "--series"))
    assert repository.git("log", "--format=%an%n%ae%n%B", "base..") == wanted


def test_a_series_without_cover(repository: Repository, mailing_list: MailingList) -> None:
    repository.commit_three()
    tree = repository.tree
    ids = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, repository.format_patch())
    (series,) = mailing_list.select(SERIES)
    assert (series["name"], series["cover_message_id"]) == ("part 1: say word", None)
    assert (series["total"], series["received"], series["complete"]) == (3, 3, True)
    assert repository.apply_on_base(mailing_list.export(ids[2], "--series")) == tree


def test_a_series_without_threading(repository: Repository, mailing_list: MailingList) -> None:
    repository.commit_three()
    tree = repository.tree
    files = repository.format_patch(cover=("No thread", "Each mail for itself."))
    ids = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, files, "--no-thread")
    (series,) = mailing_list.select(SERIES)
    assert (series["total"], series["received"], series["cover_message_id"]) == (3, 3, ids[0])
    assert repository.apply_on_base(mailing_list.export(ids[1], "--series")) == tree


@pytest.mark.parametrize("threaded", [True, False], ids=["in reply to v1", "in a thread of its own"])
def test_v2_supersedes_v1(repository: Repository, mailing_list: MailingList, threaded: bool) -> None:
    repository.commit_three()
    cover = ("Say it", "Again.")
    first = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, repository.format_patch(cover=cover))
    repository.change(15, "word 3, better")
    repository.commit("part 3: say word\n\nIt was not said.", "--amend")
    tree = repository.tree
    files = repository.format_patch("-v2", cover=cover)
    options = [f"--in-reply-to={first[0]}"] if threaded else []
    second = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, files, *options)

    v1, v2 = mailing_list.select(SERIES)
    assert (v1["version"], v1["received"], v2["version"], v2["received"]) == (1, 3, 2, 3)
    assert (v2["supersedes"], v1["superseded_by"], v2["cover_message_id"]) == (v1["id"], v2["id"], second[0])
    assert v1["supersedes"] is None
    assert v2["superseded_by"] is None
    assert repository.apply_on_base(mailing_list.export(second[0], "--series")) == tree


def test_a_single_patch(repository: Repository, mailing_list: MailingList) -> None:
    repository.change(3, "one change")
    repository.commit("file: change one line")
    files = repository.format_patch()
    (id_,) = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, files)
    (series,) = mailing_list.select(SERIES)
    assert (series["kind"], series["total"], series["received"], series["complete"]) == ("single", 1, 1, True)
    (patch,) = mailing_list.select(PATCHES)
    assert (patch["name"], patch["prefixes"], patch["files"]) == ("file: change one line", [], ["file.c"])
    assert patch["patch_id"] == repository.git("patch-id", "--stable", stdin=files[0].read_bytes()).split()[0].decode()
    assert repository.apply_on_base(mailing_list.export(id_)) == repository.tree


def test_text_of_the_world(tmp_path: Path, mailing_list: MailingList) -> None:
    repository = Repository(tmp_path / "repository", author="Żółć Gęślą Jaźń 👩‍💻", email="zolc@example.org")
    repository.write("naïve ſpace/日本語.txt", "こんにちは\nΓειά σου\n")
    repository.change(2, "größer, “quoted” — dashed")
    repository.commit(
        "Grüße: 日本語のサブジェクトはとても長いので折り返されるはずです、たぶん二回\n\n"
        "Привет.\n\nSigned-off-by: Ж <zh@example.org>"
    )
    log = repository.git("log", "-1", "--format=%an%n%B")
    tree = repository.tree
    (id_,) = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, repository.format_patch())
    (patch,) = mailing_list.select(PATCHES)
    assert patch["name"] == "Grüße: 日本語のサブジェクトはとても長いので折り返されるはずです、たぶん二回"
    assert patch["author_name"] == "Żółć Gęślą Jaźń 👩‍💻"
    assert "Привет." in patch["content"]
    assert patch["files"] == ["file.c", "naïve ſpace/日本語.txt"]
    repository.git("checkout", "-q", "--detach", "base")
    repository.git("am", "-q", stdin=mailing_list.export(id_))
    assert repository.tree == tree
    assert repository.git("log", "-1", "--format=%an%n%B") == log


@pytest.mark.parametrize("encoding", ["auto", "base64"])
def test_awkward_content(repository: Repository, mailing_list: MailingList, encoding: str) -> None:
    """Lines that mail and mbox like to change."""
    repository.write(
        "awkward.txt",
        "From here on\n>From there\n.\n..\n. dot\n-- \nsignature\ntrailing   \n\ttab\t\n \n\n"
        "--- a/x\n+++ b/x\nscissors -- >8 --\n"
        "form\ffeed\nno newline at the end",
    )
    repository.write("long.txt", "x" * 900 + "\n" + "y" * 3000 + "\n")
    repository.commit(
        "awkward: write it\n\n"
        "From me to you, with love.\nFrom: nobody at all\n\n>From him too.\n\n indented --- dashes\n.\nend"
    )
    tree = repository.tree
    message = repository.git("log", "-1", "--format=%B")
    files = repository.format_patch()
    (id_,) = repository.send_email(
        mailing_list.daemon.smtp, mailing_list.address, files, f"--transfer-encoding={encoding}"
    )
    repository.git("checkout", "-q", "--detach", "base")
    repository.git("am", "-q", stdin=mailing_list.export(id_))
    assert repository.tree == tree
    assert repository.git("log", "-1", "--format=%B") == message


def test_a_series_of_renames_modes_binaries(repository: Repository, mailing_list: MailingList) -> None:
    repository.write("old name.txt", "".join(f"{number}\n" for number in range(50)))
    repository.write("run.sh", "#!/bin/sh\n")
    repository.write("gone.txt", "soon gone\n")
    repository.commit("files")
    repository.git("tag", "-f", "base")
    (repository.directory / "old name.txt").rename(repository.directory / "new name.txt")
    repository.commit("rename")
    (repository.directory / "run.sh").chmod(0o755)
    repository.commit("mode")
    repository.write("empty", b"")
    (repository.directory / "gone.txt").unlink()
    repository.commit("empty and deleted")
    repository.write("picture.bin", bytes(range(256)) * 20)
    repository.commit("binary")
    (repository.directory / "link").symlink_to("file.c")
    repository.commit("symlink")
    tree = repository.tree
    files = repository.format_patch("--binary", "-M", cover=("Files", "Of all kinds."))
    ids = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, files)
    (series,) = mailing_list.select(SERIES)
    assert (series["total"], series["received"], series["complete"]) == (5, 5, True)
    changes = mailing_list.select(
        'SELECT message_id, path, old_path, change, "binary" FROM ingestd_v1.file WHERE list_id = $1'
    )
    assert sorted(
        (ids.index(row["message_id"]), row["path"], row["old_path"], row["change"], row["binary"]) for row in changes
    ) == [
        (1, "new name.txt", "old name.txt", "rename", False),
        (2, "run.sh", None, "mode", False),
        (3, "empty", None, "add", False),
        (3, "gone.txt", None, "delete", False),
        (4, "picture.bin", None, "add", True),
        (5, "link", None, "add", False),
    ]
    assert repository.apply_on_base(mailing_list.export(ids[0], "--series")) == tree


def test_deliver_takes_what_format_patch_prints(repository: Repository, mailing_list: MailingList) -> None:
    repository.commit_three("piped")
    tree = repository.tree
    for number in (3, 1, 2):
        commit = repository.git("rev-parse", f"main~{3 - number}").decode().strip()
        mail = repository.git(
            "format-patch", "-1", "--stdout", "--thread", "--start-number", str(number), "-n", commit
        ).replace(f"[PATCH {number}/{number}]".encode(), f"[PATCH {number}/3]".encode())
        result = mailing_list.daemon.run("deliver", "--list", mailing_list.id, stdin=mail)
        assert (result.returncode, result.stderr) == (0, b"")
    (series,) = mailing_list.select(SERIES)
    assert (series["total"], series["received"], series["complete"]) == (3, 3, True)
    assert repository.apply_on_base(mailing_list.export(series["key"], "--series")) == tree


def test_a_series_that_lacks_a_patch(repository: Repository, mailing_list: MailingList) -> None:
    repository.commit_three()
    files = repository.format_patch(cover=("Incomplete", "On purpose."))
    ids = repository.send_email(mailing_list.daemon.smtp, mailing_list.address, [files[0], files[1], files[3]])
    (series,) = mailing_list.select(SERIES)
    assert (series["total"], series["received"], series["complete"]) == (3, 2, False)
    result = mailing_list.daemon.run("export", "--series", ids[0])
    assert result.returncode == 65
    assert result.stderr.decode() == f"ingestd: {ids[0]}: the series lacks 2; what is there was written\n"
    assert result.stdout.count(b"\nSubject: [PATCH") == 2

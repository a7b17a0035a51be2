"""`ingestd import`: what it says, its exit codes, and that nothing is half-done."""

import gzip
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail, series
from sources import made
from terminal import open_terminal

from end_to_end import database

StartDaemon = Callable[..., DaemonProcess]
OTHERS = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
MAILS = [*series("20261102100000.1", 3), mail("plain@example.org", "plain")]


@pytest.fixture
def site(run_alone: StartDaemon, database_url: str) -> DaemonProcess:
    """A database, and commands on it; no daemon runs."""
    return run_alone(database_url=database_url)


def _stored(url: str) -> int:
    return len(database.select(url, "SELECT FROM ingestd_v1.message"))


def test_several_archives_at_once(site: DaemonProcess, tmp_path: Path) -> None:
    made.maildir(tmp_path / "maildir", MAILS[:2])
    made.inbox(tmp_path / "inbox", [[("m", MAILS[2])], [("m", MAILS[3]), ("d", MAILS[3]), ("m", MAILS[0])]])
    result = site.run("import", str(tmp_path / "maildir"), str(tmp_path / "inbox"))
    assert (result.returncode, result.stdout) == (0, b"")
    assert result.stderr.decode().splitlines()[-1] == (
        "imported: 5 read, 3 new, 1 repeats, 0 quarantined, 0 refused, 1 deleted in the archive, "
        "0 forgotten, 0 too big, "
        "0 variants, 1 series touched"
    )
    again = site.run("import", str(tmp_path / "maildir"), str(tmp_path / "inbox"))
    assert again.stderr.decode().splitlines()[-1].startswith("imported: 0 read")
    anew = site.run("import", "--no-resume", str(tmp_path / "maildir"), str(tmp_path / "inbox"))
    assert anew.stderr.decode().splitlines()[-1].startswith("imported: 5 read, 0 new, 4 repeats")
    audit = site.run("audit", "--against", str(tmp_path / "maildir"), "--against", str(tmp_path / "inbox"))
    assert (audit.returncode, audit.stderr) == (0, b"all 4 mails are here\n")


def test_nothing_is_written_when_one_is_no_archive(site: DaemonProcess, database_url: str, tmp_path: Path) -> None:
    made.files(tmp_path / "good", MAILS)
    (tmp_path / "bad").mkdir()
    result = site.run("import", str(tmp_path / "good"), str(tmp_path / "bad"))
    assert result.returncode == 65
    assert result.stderr.decode() == (
        f"ingestd: {tmp_path}/bad: no mail in it: no public-inbox, no Maildir, no .eml files\n"
    )
    assert _stored(database_url) == 0


def test_what_is_whole_stays_when_the_rest_is_damaged(site: DaemonProcess, database_url: str, tmp_path: Path) -> None:
    mails = [mail(f"{number}@example.org", "x", os.urandom(4000).hex() + "\n") for number in range(400)]
    whole = gzip.compress(made.mbox(mails))
    (tmp_path / "x").write_bytes(whole[: len(whole) * 2 // 3])
    result = site.run("import", str(tmp_path / "x"))
    assert result.returncode == 65
    said = result.stderr.decode().splitlines()
    assert said[-1].startswith(f"ingestd: {tmp_path}/x: damaged: ")
    stored = _stored(database_url)
    assert said[-2].startswith(f"imported: {stored} read, {stored} new,")
    (tmp_path / "x").write_bytes(whole)
    result = site.run("import", str(tmp_path / "x"))
    assert f"imported: {400 - stored} read, {400 - stored} new".encode() in result.stderr


def test_gigabytes_without_a_line_are_refused_at_once(site: DaemonProcess, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(3 << 30)
    result = site.run("import", str(tmp_path / "x"))
    assert (result.returncode, result.stderr.decode()) == (65, f"ingestd: {tmp_path}/x: neither a mail nor an mbox\n")
    command = [*site.command, "import", "-"]
    with (
        subprocess.Popen(["head", "-c", "3G", "/dev/zero"], stdout=subprocess.PIPE) as endless,
        subprocess.Popen(command, stdin=endless.stdout, stderr=subprocess.PIPE, env=site.environment) as process,
    ):
        said = process.communicate()[1].decode().splitlines()
        endless.kill()
        assert process.returncode == 65
    assert said[-1] == "ingestd: -: not an mbox: it does not start with a `From ` line"


def test_a_mail_that_is_too_long_is_said(run_alone: StartDaemon, database_url: str, tmp_path: Path) -> None:
    site = run_alone(database_url=database_url, config="limits.message_size = 100000")
    long = mail("long@example.org", "long", "x" * 2_000_000 + "\n")
    (tmp_path / "x").write_bytes(made.mbox([MAILS[0], long, MAILS[1]]))
    result = site.run("import", str(tmp_path / "x"))
    assert result.returncode == 65
    assert b"mail_too_big" in result.stderr
    assert result.stderr.endswith(b"ingestd: 1 mails are not stored: longer than limits.message_size\n")
    assert _stored(database_url) == 2


def test_only_a_public_inbox_can_be_followed(site: DaemonProcess, tmp_path: Path) -> None:
    result = site.run("import", "--follow", str(made.files(tmp_path / "x", MAILS)))
    assert (result.returncode, result.stderr) == (64, b"ingestd: --follow is for public-inboxes\n")


def test_follow_goes_on_until_sigterm(site: DaemonProcess, tmp_path: Path) -> None:
    path = made.inbox(tmp_path / "x", [[("m", MAILS[0])]])
    command = [*site.command, "import", "--follow", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=site.environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b'"following"' in line:
                break
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
        assert process.returncode == 0
    assert b"imported: 1 read, 1 new" in said


def test_it_is_killed_and_goes_on(site: DaemonProcess, database_url: str, tmp_path: Path) -> None:
    mails = [mail(f"{number}@example.org", f"Number {number}") for number in range(1500)]
    (tmp_path / "x").write_bytes(made.mbox(mails))
    command = [*site.command, "import", "--rate", "2000", str(tmp_path / "x")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=site.environment) as process:
        deadline = time.monotonic() + 60
        while not (before := _stored(database_url)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    while database.select(database_url, OTHERS):  # a commit may be under way
        time.sleep(0.01)
    before = _stored(database_url)
    result = site.run("import", str(tmp_path / "x"))
    assert result.returncode == 0
    assert f"imported: {1500 - before} read, {1500 - before} new, 0 repeats".encode() in result.stderr
    assert _stored(database_url) == 1500


def test_a_terminal_shows_how_it_goes(site: DaemonProcess, tmp_path: Path) -> None:
    mails = [mail(f"{number}@example.org", f"Number {number}") for number in range(120)]
    (tmp_path / "x").write_bytes(made.mbox(mails))
    ours, theirs = open_terminal()
    command = [*site.command, "import", "--rate", "80", str(tmp_path / "x")]
    with subprocess.Popen(command, stdin=theirs, stderr=theirs, env=site.environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # its end is closed
            pass
        os.close(ours)
        assert process.wait() == 0
    assert b"/s, " in shown
    assert b" left, 0 repeats, 0 odd" in shown
    assert b"\x1b[Kimported: 120 read, 120 new" in shown

"""`ingestd reparse` as people run it: killed on its way, beside live mail, and on a mail that somebody has relinked."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import patch, series

from end_to_end import database, made
from end_to_end.conftest import MailingList
from end_to_end.peer import deliver

OTHER = (sys.executable, str(Path(__file__).resolve().parent.parent / "other_ingestd.py"))
MAILS = made.deliveries(made.mailing_list())

Make = Callable[..., DaemonProcess]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The mails as files."""
    directory = tmp_path / "mails"
    directory.mkdir()
    for number, raw in enumerate(MAILS):
        (directory / f"{number:04}.eml").write_bytes(raw)
    return directory


@pytest.fixture
def wanted(run_alone: Make, archive: Path, server_url: str, template: str) -> bytes:
    """What an import by the other parser makes of them."""
    with database.fresh(server_url, template) as url:
        fresh = run_alone(database_url=url, command=OTHER)
        assert fresh.run("import", str(archive)).returncode == 0
        return fresh.run("dump").stdout


def test_killed_anywhere_it_goes_on(run_alone: Make, database_url: str, archive: Path, wanted: bytes) -> None:
    assert run_alone(database_url=database_url).run("import", str(archive)).returncode == 0
    other = run_alone(database_url=database_url, command=OTHER, environment={"REPARSE_PAUSE": "0.01"})
    dice = random.Random(7)
    positions: list[int] = []
    for _ in range(3):
        process = subprocess.Popen(
            [*OTHER, "reparse"], env=other.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = positions[-1] if positions else 0
        deadline = time.monotonic() + 60
        while (at := _position(database_url)) <= before + dice.randrange(20):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.wait()
        positions.append(at)
    assert other.run("dump").stdout != wanted
    last = other.run("reparse")
    assert last.returncode == 0
    assert b"went on after mail" in last.stderr
    assert other.run("dump").stdout == wanted
    assert database.select(database_url, "SELECT * FROM ingestd.reparse") == []
    again = other.run("reparse", "--dry-run")
    assert (again.returncode, again.stdout) == (0, b"")
    assert b"would be reparsed: " in again.stderr


def _position(url: str) -> int:
    return sum(row["after"] for row in database.select(url, "SELECT after FROM ingestd.reparse"))


def test_mail_comes_meanwhile(run_alone: Make, database_url: str, archive: Path, wanted: bytes) -> None:
    early = archive.parent / "early"
    early.mkdir()
    late = []
    for number, path in enumerate(sorted(archive.iterdir())):
        if number % 3:
            (early / path.name).write_bytes(path.read_bytes())
        else:
            late.append(path.read_bytes())
    random.Random(3).shuffle(late)
    assert run_alone(database_url=database_url).run("import", str(early)).returncode == 0
    daemon = run_alone(database_url=database_url, command=OTHER, environment={"REPARSE_PAUSE": "0.01"})
    daemon.start()
    process = subprocess.Popen(
        [*OTHER, "reparse"], env=daemon.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    for raw in late:
        deliver(daemon.lmtp, [raw])
    assert process.poll() is None, "it was over before the mail came"
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, b"our code fails" in errors) == (0, False), errors
    assert daemon.run("dump").stdout == wanted
    assert daemon.terminate() == 0


def test_it_says_what_is_wrong(mailing_list: MailingList) -> None:
    result = mailing_list.daemon.run("reparse", "--list", "nowhere.example.org")
    assert (result.returncode, result.stderr) == (65, b"ingestd: nowhere.example.org: no such list\n")


def test_a_mail_stays_where_a_person_has_put_it(mailing_list: MailingList) -> None:
    first = series("20261102100000.1", 3, title="First")[:3]
    stray = patch("stray@example.com", "[PATCH] the rest", author="Bob <bob@example.com>", file="part3.c")
    cover = "20261102100000.1-0-ann@example.org"
    deliver(mailing_list.daemon.lmtp, [*first, stray], [mailing_list.address])

    def explain(message_id: str) -> str:
        return mailing_list.daemon.run("explain", "--list", mailing_list.id, message_id).stdout.decode()

    assert f"series: {cover}: posted 1 of 3" in explain("20261102100000.1-1-ann@example.org")
    moved = mailing_list.daemon.run("relink", "--list", mailing_list.id, "stray@example.com", "--series", cover)
    assert moved.returncode == 0
    said, dumped = explain("stray@example.com"), mailing_list.dump()
    assert "(somebody said so (ingestd relink))" in said
    result = mailing_list.daemon.run("reparse", "--list", mailing_list.id)
    assert (result.returncode, result.stdout) == (0, b"")
    assert b"4 mails read, 0 changed" in result.stderr
    assert (explain("stray@example.com"), mailing_list.dump()) == (said, dumped)

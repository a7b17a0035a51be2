"""`ingestd audit` finds what an archive or a log has and we lack, and nothing else."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail, series

from end_to_end import database
from end_to_end.peer import Peer, deliver

MAILS = [*series("2026110210.1", 3), mail("plain@example.org", "plain"), mail(None, "no id", "Nobody's.\n")]
FAULTY = (sys.executable, str(Path(__file__).resolve().parent.parent / "faulty_ingestd.py"))

StartDaemon = Callable[..., DaemonProcess]


def _mbox(place: Path, mails: list[bytes]) -> str:
    path = place / "archive.mbox"
    path.write_bytes(b"".join(b"From x@y Mon Nov  2 10:00:00 2026\n" + raw + b"\n" for raw in mails))
    return str(path)


@pytest.fixture
def daemon(start_daemon: StartDaemon, database_url: str) -> DaemonProcess:
    """A daemon that has all of MAILS, as they came over a mail server that wrote its trace on top."""
    daemon = start_daemon(database_url=database_url)
    trace = b"Received: from a by mx (Postfix) with LMTP id 4AAAA10000%d; Mon, 2 Nov 2026 10:00:00 +0000\n"
    deliver(daemon.lmtp, [trace % number + raw for number, raw in enumerate(MAILS)])
    return daemon


def test_an_archive_that_has_what_we_have(daemon: DaemonProcess, tmp_path: Path) -> None:
    result = daemon.run("audit", "--against", _mbox(tmp_path, MAILS))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"all 6 mails are here\n")
    same = daemon.run("audit", "--against", _mbox(tmp_path, MAILS[:4]), "--list", "Demo.Example.ORG")
    assert (same.returncode, same.stdout) == (0, b"")
    other = daemon.run("audit", "--against", _mbox(tmp_path, MAILS), "--list", "other.example.org")
    assert (other.returncode, other.stdout.count(b"\n")) == (65, 6)


def test_an_archive_that_has_more(daemon: DaemonProcess, tmp_path: Path) -> None:
    changed = mail("plain@example.org", "plain", "Another text.\n")
    archive = _mbox(tmp_path, [mail("lost@example.org", "lost"), *MAILS, changed])
    directory = tmp_path / "eml"
    directory.mkdir()
    (directory / "1.eml").write_bytes(mail("lost-too@example.org", "lost"))
    result = daemon.run("audit", "--against", archive, "--against", str(directory))
    assert result.returncode == 65
    assert result.stdout.decode().splitlines() == [
        f"missing  lost@example.org  {archive}:1",
        f"other content under this id  plain@example.org  {archive}:8",
        f"missing  lost-too@example.org  {directory}/1.eml",
    ]
    assert result.stderr == b"ingestd: 3 of 9 mails are not here\n"


def _log_line(number: int, status: str, to: str = "demo@example.org") -> str:
    return (
        f"Nov  2 10:00:0{number} mx postfix/lmtp[1]: 4AAAA10000{number}: to=<{to}>, relay=x, dsn=2, status={status}\n"
    )


def test_a_queue_id_that_comes_again_hides_no_loss(daemon: DaemonProcess, database_url: str, tmp_path: Path) -> None:
    (row,) = database.select(database_url, "SELECT message FROM ingestd_v1.delivery WHERE queue_id = '4AAAA100001'")
    log = tmp_path / "mail.log"
    log.write_text(_log_line(1, f"sent (250 2.0.0 Stored as message {row['message']})"))
    assert daemon.run("audit", "--against", str(log)).returncode == 0
    log.write_text(
        "Nov  2 10:00:07 mx postfix/cleanup[1]: 4AAAA100001: message-id=<lost@example.org>\n"
        + _log_line(1, "sent (250 2.0.0 Stored as message 99999)")
    )
    result = daemon.run("audit", "--against", str(log))
    assert result.returncode == 65
    assert result.stdout == b"acknowledged but missing  lost@example.org  4AAAA100001\n"


def test_a_log(daemon: DaemonProcess, database_url: str, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("".join(_log_line(number, "sent (250 2.0.0 Stored)") for number in range(len(MAILS))))
    result = daemon.run("audit", "--against", str(log))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"all 6 mails are here\n")
    with log.open("a") as more:
        more.write("Nov  2 10:00:07 mx postfix/cleanup[1]: 4AAAA100007: message-id=<lost@example.org>\n")
        more.write(_log_line(7, "sent (250 2.0.0 Stored)"))
        more.write(_log_line(8, "bounced (expired)"))
        more.write(_log_line(9, "sent (250 Ok)", "somebody@else.example.org"))
    result = daemon.run("audit", "--against", str(log), "--recipient", "demo@*")
    assert result.returncode == 65
    assert result.stdout.decode().splitlines() == [
        "acknowledged but missing  lost@example.org  4AAAA100007",
        "bounced  no Message-ID  4AAAA100008",
    ]
    assert database.select(database_url, "SELECT count(*) AS count FROM ingestd_v1.delivery") == [{"count": 6}]


def test_a_mail_in_quarantine_is_here(run_alone: StartDaemon, database_url: str, tmp_path: Path) -> None:
    daemon = run_alone(database_url=database_url, command=FAULTY)
    daemon.start()
    trace = b"Received: from a by mx\n\t(Postfix) with LMTP\n\tid 4AAAA100001; Mon, 2 Nov 2026 10:00:00 +0000\n"
    poison = trace + mail("poison@example.org", "x", headers=[("X-Fault", "parser")])
    with Peer(daemon.lmtp) as peer:
        assert peer.send(poison)[0].startswith("250")
    log = tmp_path / "mail.log"
    log.write_text(_log_line(1, "sent (250 2.0.0 Stored)"))
    assert daemon.run("audit", "--against", str(log)).returncode == 0
    archive = tmp_path / "as-it-came.eml"
    archive.write_bytes(poison.replace(b"\n", b"\r\n"))
    assert daemon.run("audit", "--against", str(archive)).returncode == 0
    archive.write_bytes(poison)  # other bytes, and nobody can say what they are
    result = daemon.run("audit", "--against", str(archive))
    assert (result.returncode, result.stdout.startswith(b"cannot be read: ValueError: ")) == (65, True)


def test_what_cannot_be_looked_through(daemon: DaemonProcess, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no mail\n")
    for source, code in ((tmp_path / "nothing", 65), (tmp_path / "text", 65)):
        result = daemon.run("audit", "--against", str(source))
        assert (result.returncode, result.stderr.count(b"\n")) == (code, 1), result.stderr
    assert daemon.run("audit").returncode == 64

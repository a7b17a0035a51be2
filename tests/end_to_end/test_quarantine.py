"""A mail that our code fails on, among good ones: all acknowledged, none blocked, and it comes back after the fix."""

import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail, series

from end_to_end import database
from end_to_end.peer import Peer, crlf, deliver

FAULTY = (sys.executable, str(Path(__file__).resolve().parent.parent / "faulty_ingestd.py"))
MENDED = (sys.executable, "-m", "ingestd")
CONNECTIONS = 8

MakeDaemon = Callable[..., DaemonProcess]


def _poison(number: int) -> bytes:
    return mail(f"poison-{number}@example.org", "[PATCH] bad", headers=[("X-Fault", "parser")])


@pytest.fixture
def daemon(run_alone: MakeDaemon, database_url: str) -> DaemonProcess:
    """A daemon with a parser that fails on some mails."""
    daemon = run_alone(database_url=database_url, command=FAULTY)
    daemon.start()
    return daemon


def _deliver_at_once(daemon: DaemonProcess, mails: list[bytes]) -> list[str]:
    """Hand mails over on several connections at once; the replies."""
    replies: list[str] = []

    def work(own: list[bytes]) -> None:
        with Peer(daemon.lmtp) as peer:
            for written in own:
                replies.extend(peer.send(written))

    threads = [threading.Thread(target=work, args=(mails[number::CONNECTIONS],)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def test_one_among_a_hundred_in_flight(
    daemon: DaemonProcess, start_daemon: MakeDaemon, database_url: str, empty_database_url: str
) -> None:
    good = [written for topic in range(20) for written in series(f"2026110210.{topic}", 4, title=f"topic {topic}")]
    assert len(good) == 100
    mails = [*good[:50], _poison(1), *good[50:]]
    replies = _deliver_at_once(daemon, mails)
    assert [reply[:3] for reply in replies] == ["250"] * 101
    assert len(database.select(database_url, "SELECT FROM ingestd_v1.message")) == 100

    (listed,) = map(json.loads, daemon.run("quarantine", "list", "--json").stdout.splitlines())
    assert listed["error"] == "ValueError: the parser's own fault \\x00 \\ud800 \x1b[31m"
    assert (listed["envelope_from"], listed["recipients"]) == ("peer@example.org", ["demo@example.org"])
    entry = str(listed["id"])
    shown = daemon.run("quarantine", "show", entry)
    assert b"error: ValueError: the parser's own fault" in shown.stdout
    assert b"\x1b" not in shown.stdout
    assert b"\x1b" not in daemon.run("quarantine", "list").stdout
    assert daemon.run("quarantine", "show", "--raw", entry).stdout == crlf(_poison(1))

    again = daemon.run("quarantine", "replay")
    assert (again.returncode, again.stdout) == (65, f"{entry}: fails again\n".encode())
    assert again.stderr.splitlines()[-1] == b"ingestd: 1 in quarantine still"

    daemon.command = MENDED  # the fix, on a database in use
    replayed = daemon.run("quarantine", "replay", entry)
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (
        0,
        f"{entry}: new on demo.example.org\n".encode(),
        b"",
    )
    assert daemon.run("quarantine", "list").stdout == b""
    (ended,) = map(json.loads, daemon.run("quarantine", "list", "--json", "--ended").stdout.splitlines())
    assert (ended["id"], ended["outcome"]) == (int(entry), "replayed")
    assert daemon.run("quarantine", "replay").returncode == 0  # nothing to do

    (row,) = database.select(
        database_url,
        "SELECT received_at, envelope_from, recipients, peer, repeat FROM ingestd_v1.delivery"
        " WHERE message_id = 'poison-1@example.org'",
    )
    assert row == {
        "received_at": datetime.fromisoformat(listed["received_at"]).astimezone(UTC),
        "envelope_from": "peer@example.org",
        "recipients": ["demo@example.org"],
        "peer": listed["peer"],
        "repeat": False,
    }
    quiet = start_daemon(database_url=empty_database_url)
    deliver(quiet.lmtp, mails)
    assert daemon.run("dump").stdout == quiet.run("dump").stdout
    assert daemon.terminate() == 0


def test_a_poisonous_mail_does_not_come_again(daemon: DaemonProcess, database_url: str) -> None:
    """Each of its deliveries is acknowledged at once; none makes another mail wait."""
    with Peer(daemon.lmtp) as peer:
        for number in range(3):
            assert peer.send(_poison(0))[0].startswith("250")
            assert peer.send(mail(f"good-{number}@x", "x"))[0].startswith("250")
    assert len(database.select(database_url, "SELECT FROM ingestd_v1.quarantine")) == 3


def test_many_in_a_row_are_451_and_one_good_mail_ends_that(daemon: DaemonProcess, database_url: str) -> None:
    with Peer(daemon.lmtp) as peer:
        replies = [peer.send(_poison(number))[0] for number in range(22)]
        assert [reply[:3] for reply in replies] == ["250"] * 20 + ["451"] * 2
        assert replies[-1] == "451 4.3.0 Try again later"
        assert peer.send(mail("good@x", "x"))[0].startswith("250")
        assert peer.send(_poison(21))[0].startswith("250")
    assert len(database.select(database_url, "SELECT FROM ingestd_v1.quarantine")) == 21


def test_dropping_wants_a_reason_and_leaves_a_trace(daemon: DaemonProcess, database_url: str) -> None:
    deliver(daemon.lmtp, [_poison(1), _poison(2)])
    first, second = (json.loads(line)["id"] for line in daemon.run("quarantine", "list", "--json").stdout.splitlines())
    for arguments in ((str(first),), (str(first), "--reason", " "), ("--reason", "x")):
        assert daemon.run("quarantine", "drop", *arguments).returncode == 64
    missing = daemon.run("quarantine", "drop", str(first), "12345", "--reason", "x")
    assert (missing.returncode, missing.stderr) == (65, b"ingestd: not in quarantine: 12345\n")
    dropped = daemon.run("quarantine", "drop", str(first), "--reason", "made by a machine")
    assert (dropped.returncode, dropped.stdout, dropped.stderr) == (0, b"", b"")
    (left,) = map(json.loads, daemon.run("quarantine", "list", "--json").stdout.splitlines())
    assert left["id"] == second
    (ended,) = map(json.loads, daemon.run("quarantine", "list", "--json", "--ended").stdout.splitlines())
    assert (ended["id"], ended["outcome"], ended["reason"]) == (first, "dropped", "made by a machine")
    (event,) = database.select(
        database_url, "SELECT payload::text FROM ingestd_v1.event WHERE category = 'mail-dropped'"
    )
    assert json.loads(event["payload"]) == {"quarantine": first, "raw_sha256": ended["raw_sha256"]}
    assert daemon.run("quarantine", "show", str(first)).returncode == 65


def test_what_nobody_foresaw_is_451_and_the_cause_is_in_the_log(daemon: DaemonProcess, database_url: str) -> None:
    written = mail("odd@example.org", "x", headers=[("X-Fault", "unforeseen")])
    with Peer(daemon.lmtp) as peer, Peer(daemon.smtp, protocol="smtp") as smtp:
        for replies, count in ((peer.send(written, ["a@x", "b@x"]), 2), (smtp.send(written, ["a@x", "b@x"]), 1)):
            assert len(replies) == count
            (reply,) = set(replies)
            assert reply.startswith("451 4.3.0 ")
            assert "ZeroDivision" not in reply
            assert "secret" not in reply
            named = reply.removesuffix(")").rpartition("(")[2]
            assert [line for line in daemon.read_log().splitlines() if named in line and "a secret of ours" in line]
        assert peer.send(mail("good@x", "x"))[0].startswith("250")
    assert [
        row["message_id"] for row in database.select(database_url, "SELECT message_id FROM ingestd_v1.message")
    ] == ["good@x"]

"""What the mail server hears: a reply for each recipient, 451 while the database is away, 250 at the end."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail, patch

from end_to_end import database
from end_to_end.peer import Peer, on_the_wire
from ingestd.postgres import Postgres

RECIPIENTS = """
[[lists]]
id = "demo.example.org"
recipients = ["demo@example.org", "other@example.org"]
"""

COMEBACK = 60.0  # seconds in which mail is to be taken again

StartDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def server(data_directory: Path) -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, to be stopped under a daemon."""
    server = Postgres(data_directory)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


def _message_ids(url: str) -> list[str]:
    rows = database.select(url, "SELECT message_id FROM ingestd_v1.message ORDER BY message_id")
    return [row["message_id"] for row in rows]


def test_three_recipients_three_replies(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config=RECIPIENTS)
    with Peer(daemon.lmtp) as peer:
        replies = peer.begin(["demo@example.org", "unknown@example.org", "other@example.org"])
        assert [reply[:9] for reply in replies] == ["250 2.1.5", "550 5.1.1", "250 2.1.5"]
        peer.write(on_the_wire(patch("three@x", "[PATCH] x")))
        assert [peer.reply()[:4] for _ in range(2)] == ["250 ", "250 "]
        assert peer.ask("NOOP").startswith("250"), "a third reply came"
        replies = peer.begin(["demo@example.org", "demo@example.org", "other@example.org"])
        peer.write(on_the_wire(mail("again@x", "x")))
        assert [peer.reply()[:4] for _ in replies] == ["250 "] * 3
        assert peer.ask("QUIT").startswith("221")
    with Peer(daemon.smtp, protocol="smtp") as peer:
        assert [reply[:4] for reply in peer.send(mail("smtp@x", "x"), ["demo@example.org", "other@example.org"])] == [
            "250 "
        ]
        assert peer.ask("NOOP").startswith("250"), "a second reply came"
    assert _message_ids(database_url) == ["again@x", "smtp@x", "three@x"]


def test_one_id_leads_from_the_mail_servers_log_to_the_row(start_daemon: StartDaemon, database_url: str) -> None:
    """The mail server's queue id is in our log and row; our number is in the reply, which is in its log."""
    daemon = start_daemon(database_url=database_url, config=RECIPIENTS)
    received = "by mx.example.org (Postfix, from userid 0)\n\tid 4frYJG6rJ4; Mon, 2 Nov 2026 10:00:00 +0000"
    with Peer(daemon.lmtp) as peer:
        (reply,) = peer.send(mail("traced@x", "x", headers=[("Received", received)]))
    (row,) = database.select(
        database_url,
        "SELECT m.id, d.queue_id FROM ingestd_v1.message m JOIN ingestd_v1.delivery d ON d.message = m.id",
    )
    assert (reply, row["queue_id"]) == (f"250 2.0.0 Stored as message {row['id']}", "4frYJG6rJ4")
    (line,) = (json.loads(line[3:]) for line in daemon.read_log().splitlines() if '"mail_stored"' in line)
    assert (line["queue_id"], line["message"], line["message_id"]) == ("4frYJG6rJ4", row["id"], "traced@x")


def test_451_while_the_database_is_away(start_daemon: StartDaemon, server: Postgres) -> None:
    daemon = start_daemon(database_url=server.url, config=RECIPIENTS)
    everybody = ["demo@example.org", "unknown@example.org", "other@example.org", "demo@example.org"]
    written = patch("patient@x", "[PATCH] x")
    with Peer(daemon.lmtp) as peer, Peer(daemon.smtp, protocol="smtp") as smtp:
        assert [reply[:3] for reply in peer.send(mail("before@x", "x"), everybody)] == ["250"] * 3
        asyncio.run(server.stop())
        for _ in range(2):
            replies = peer.begin(everybody)
            assert [reply[:3] for reply in replies] == ["250", "550", "250", "250"]
            peer.write(on_the_wire(written))
            replies = [peer.reply() for _ in range(3)]
            assert [reply[:9] for reply in replies] == ["451 4.3.0"] * 3
            assert all("postgres" not in reply.lower() and str(server.directory) not in reply for reply in replies)
        assert [reply[:9] for reply in smtp.send(written)] == ["451 4.3.0"]
        result = daemon.run("health")
        assert (result.returncode, result.stderr.count(b"\n")) == (69, 1), result.stderr
        asyncio.run(server.start())
        assert [reply[:3] for reply in peer.send(written, everybody)] == ["250"] * 3
        assert [reply[:3] for reply in smtp.send(written)] == ["250"]
        assert daemon.run("health").returncode == 0
    assert _message_ids(server.url) == ["before@x", "patient@x"]
    assert daemon.terminate() == 0
    assert "Traceback" not in daemon.read_log()


def test_451_while_the_database_is_read_only(start_daemon: StartDaemon, database_url: str) -> None:
    name = database.name_of(database_url)
    daemon = start_daemon(database_url=database_url)
    reset = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'ingestd' AND datname = current_database()"
    )
    with Peer(daemon.lmtp) as peer:
        database.execute(database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on", reset)
        assert peer.send(mail("read-only@x", "x"))[0].startswith("451 4.3.0")
        database.execute(
            database_url,
            "SET default_transaction_read_only = off",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
            reset,
        )
        assert peer.send(mail("read-only@x", "x"))[0].startswith("250")
    assert _message_ids(database_url) == ["read-only@x"]


def test_a_database_that_hangs_is_451_in_time(start_daemon: StartDaemon, server: Postgres) -> None:
    daemon = start_daemon(database_url=server.url, config="database.timeout = 1.0")
    assert server.pid is not None
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("first@x", "x"))[0].startswith("250")
        stopped = _backends(server.pid)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert peer.send(mail("hanging@x", "x"))[0].startswith("451 4.3.0")
            assert time.monotonic() - began < 15
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        _send_until_taken(peer, mail("hanging@x", "x"))
    assert _message_ids(server.url) == ["first@x", "hanging@x"]


def test_a_killed_embedded_postgresql_comes_back(start_daemon: StartDaemon, data_directory: Path) -> None:
    daemon = start_daemon(data_directory=data_directory)
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("before@x", "x"))[0].startswith("250")
        postmaster = int((data_directory / "postgres/postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        assert _send_until_taken(peer, mail("after@x", "x")) <= {"250", "451"}
        assert int((data_directory / "postgres/postmaster.pid").read_text().split()[0]) != postmaster
    dumped = daemon.run("dump")
    assert dumped.returncode == 0, dumped.stderr
    assert dumped.stdout.count(b'"type":"message"') == 2
    assert daemon.terminate() == 0


def _backends(postmaster: int) -> list[int]:
    """The server and all its processes."""
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii")
    return [postmaster, *map(int, children.split())]


def _send_until_taken(peer: Peer, written: bytes) -> set[str]:
    """Send again while the reply is 451; the codes that came."""
    codes: set[str] = set()
    deadline = time.monotonic() + COMEBACK
    while "250" not in codes:
        assert time.monotonic() < deadline, codes
        codes.add(peer.send(written)[0][:3])
        time.sleep(0.1)
    return codes


def test_sigterm_lets_a_delivery_finish(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    data = on_the_wire(patch("finishing@x", "[PATCH] x"))
    idle = Peer(daemon.lmtp)
    with idle, Peer(daemon.lmtp) as peer, Peer(daemon.smtp, protocol="smtp") as smtp:
        peer.begin(["demo@example.org", "other@example.org"])
        peer.write(data[:100])
        smtp.begin(["demo@example.org"])
        os.kill(daemon.pid, signal.SIGTERM)
        assert idle.reply().startswith("421 4.3.2")  # so it is draining by now
        with pytest.raises(OSError, match=r"refused|reset|closed"):
            Peer(daemon.lmtp)
        peer.write(data[100:])
        assert [peer.reply()[:3] for _ in range(2)] == ["250", "250"]
        smtp.write(on_the_wire(mail("by-smtp@x", "x")))
        assert smtp.reply().startswith("250")
        assert daemon.wait() == 0
    assert _message_ids(database_url) == ["by-smtp@x", "finishing@x"]


def test_sigterm_does_not_wait_for_ever(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config="limits.drain = 0.5")
    with Peer(daemon.lmtp) as peer:
        peer.begin(["demo@example.org"])
        peer.write(b"Subject: never")
        began = time.monotonic()
        assert daemon.terminate() == 0
        assert time.monotonic() - began < 10
    assert _message_ids(database_url) == []


def test_a_peer_that_leaves_after_the_dot(start_daemon: StartDaemon, database_url: str) -> None:
    """The commit stands, and the next delivery is a repeat."""
    daemon = start_daemon(database_url=database_url)
    with Peer(daemon.lmtp) as peer:
        peer.begin(["demo@example.org"])
        peer.write(on_the_wire(mail("left@x", "x")))
    deadline = time.monotonic() + COMEBACK
    while _message_ids(database_url) != ["left@x"]:
        assert time.monotonic() < deadline, daemon.read_log()
        time.sleep(0.05)
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("left@x", "x"))[0].startswith("250")
    deliveries = database.select(database_url, "SELECT repeat FROM ingestd_v1.delivery ORDER BY id")
    assert [row["repeat"] for row in deliveries] == [False, True]

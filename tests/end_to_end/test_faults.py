"""A full disk and a full queue: the mail server hears 451 and keeps the mail until there is room again."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail, patch
from small_disk import SmallDisk

from end_to_end import database
from end_to_end.peer import Peer, on_the_wire

DISK = 512  # MiB: the programs of PostgreSQL may be copied there, and a cluster is 40
PATIENCE = 60.0  # seconds

StartDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def disk(data_directory: Path) -> Iterator[SmallDisk]:
    """A disk that can be filled."""
    disk = SmallDisk(data_directory, DISK)
    if why := disk.mount():
        pytest.skip(why)
    yield disk
    disk.free()
    disk.unmount()


def test_451_while_the_disk_of_the_database_is_full(disk: SmallDisk, start_daemon: StartDaemon) -> None:
    daemon = start_daemon(data_directory=disk.place / "data", monitored=True)
    acknowledged = 0
    try:
        with Peer(daemon.lmtp) as peer:
            deadline = time.monotonic() + PATIENCE
            while True:
                disk.fill()
                (reply,) = peer.send(mail(f"mail-{acknowledged}@x", "x", "long line\n" * 10_000))
                if not reply.startswith("250"):  # what PostgreSQL had room for is stored
                    break
                acknowledged += 1
                assert time.monotonic() < deadline
            for _ in range(3):
                disk.fill()
                assert peer.send(mail("full@x", "x", "long line\n" * 10_000))[0] == "451 4.3.0 Try again later"
            assert peer.ask("NOOP").startswith("250")
            health = daemon.run("health")
            assert (health.returncode, b"could not be stored" in health.stderr) == (69, True), health.stderr
            disk.free()
            deadline = time.monotonic() + PATIENCE
            while not peer.send(mail("full@x", "x", "long line\n" * 10_000))[0].startswith("250"):
                assert time.monotonic() < deadline, daemon.read_log()[-3000:]
                time.sleep(0.2)
        assert daemon.run("health").returncode == 0
        messages = daemon.run("dump").stdout.count(b'"type":"message"')
        assert acknowledged + 1 <= messages <= acknowledged + 2  # the first to hear 451 may have been stored
        assert daemon.terminate() == 0
        assert "Traceback" not in daemon.read_log()
    finally:
        daemon.kill()


def test_data_waits_for_room_and_hears_451_when_there_is_none_in_time(
    start_daemon: StartDaemon, database_url: str
) -> None:
    daemon = start_daemon(database_url=database_url, config="[limits]\nqueue_mails = 1\nqueue_wait = 1.0\n")
    written = on_the_wire(patch("first@x", "[PATCH] x"))
    with Peer(daemon.lmtp) as first, Peer(daemon.lmtp) as second:
        first.begin(["demo@example.org"])
        first.write(written[:50])  # the only place is taken
        second.ask("MAIL FROM:<>")
        second.ask("RCPT TO:<demo@example.org>")
        began = time.monotonic()
        assert second.ask("DATA").startswith("451 4.3.1")
        assert time.monotonic() - began >= 1
        # Now the place comes free while the peer waits.
        second.ask("MAIL FROM:<>")
        second.ask("RCPT TO:<demo@example.org>")
        later = threading.Timer(0.3, first.write, [written[50:]])
        later.start()
        assert second.ask("DATA").startswith("354")
        later.join()
        assert first.reply().startswith("250")
        second.write(on_the_wire(mail("second@x", "x")))
        assert second.reply().startswith("250")
    rows = database.select(database_url, "SELECT message_id FROM ingestd_v1.message ORDER BY id")
    assert [row["message_id"] for row in rows] == ["first@x", "second@x"]

"""Every acknowledged mail survives kill -9 of the daemon and of its PostgreSQL, and none is there twice."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail, series

from end_to_end import database
from end_to_end.peer import Peer

CONNECTIONS = 4
PATIENCE = 120.0  # seconds in which mail is to be taken again

StartDaemon = Callable[..., DaemonProcess]


class MailServer:
    """A queue that is delivered over several connections; what is not acknowledged is sent again, as Postfix would."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon = daemon
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 0
        self.sent = 0  # attempts
        self.acknowledged: list[str] = []
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._deliver) for _ in range(CONNECTIONS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Wait until `count` more mails are acknowledged."""
        wanted = len(self.acknowledged) + count
        deadline = time.monotonic() + PATIENCE
        while len(self.acknowledged) < wanted:
            assert not self.errors, self.errors
            assert time.monotonic() < deadline, self._daemon.read_log()[-5000:]
            time.sleep(0.001)

    def stop(self) -> None:
        """End once what is under way is acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert not self.errors, self.errors

    def _deliver(self) -> None:
        peer: Peer | None = None
        while not self._stop.is_set():
            with self._lock:
                number, self._next = self._next, self._next + 1
            message_id, written = _mail(number)
            while True:
                try:
                    with self._lock:
                        self.sent += 1
                    peer = peer or Peer(self._daemon.lmtp)
                    (reply,) = peer.send(written)
                except OSError:
                    if peer is not None:
                        peer.close()
                    peer = None
                    time.sleep(0.02)
                    continue
                if reply.startswith("250"):
                    self.acknowledged.append(message_id)
                    break
                if not reply.startswith("451 4.3"):
                    self.errors.append(reply)
                    return
                time.sleep(0.02)
        if peer is not None:
            peer.close()


def _mail(number: int) -> tuple[str, bytes]:
    """The mails are series of a cover and three patches, and between them a plain one."""
    topic, part = divmod(number, 5)
    if part == 4:
        return f"plain-{topic}@example.org", mail(f"plain-{topic}@example.org", f"plain {topic}")
    stem = f"2026110210{topic % 60:02}00.{topic}"
    return f"{stem}-{part}-ann@example.org", series(stem, 3, title=f"topic {topic}")[part]


def _check(url: str, server: MailServer, quarantined: int = 0) -> None:
    rows = database.select(
        url,
        "SELECT m.message_id, count(DISTINCT m.id) AS rows, count(d.id) AS deliveries,"
        " count(*) FILTER (WHERE NOT d.repeat) AS first"
        " FROM ingestd_v1.message m LEFT JOIN ingestd_v1.delivery d ON d.message = m.id GROUP BY 1",
    )
    there = {row["message_id"] for row in rows}
    assert set(server.acknowledged) <= there, set(server.acknowledged) - there
    assert {row["rows"] for row in rows} == {1}
    assert {row["first"] for row in rows} == {1}
    assert len(server.acknowledged) <= sum(row["deliveries"] for row in rows) <= server.sent
    assert len(database.select(url, "SELECT FROM ingestd_v1.quarantine")) == quarantined
    # What derives from the mails is whole, too.
    broken = database.select(
        url,
        "SELECT s.key, s.received, count(sp.message) FROM ingestd_v1.series s"
        " LEFT JOIN ingestd_v1.series_patch sp ON sp.series_id = s.id AND sp.role = 'posted'"
        " GROUP BY 1, 2 HAVING s.received <> count(sp.message)",
    )
    assert broken == []
    # Of four patches and a cover under one stem only the last topics may be incomplete.
    (series_,) = database.select(
        url, "SELECT count(*) AS all, count(*) FILTER (WHERE complete) AS complete FROM ingestd_v1.series"
    )
    assert series_["all"] - series_["complete"] <= CONNECTIONS


def _kill_the_daemon(start_daemon: StartDaemon, url: str, kills: int) -> None:
    daemon = start_daemon(database_url=url)
    server = MailServer(daemon)
    rng = random.Random(kills)
    server.start()
    try:
        for _ in range(kills):
            server.wait_for(rng.randint(1, 40))
            time.sleep(rng.random() / 100)
            daemon.kill()
            daemon.start()
        server.wait_for(10)
    finally:
        server.stop()
    _check(url, server)


def _kill_both(start_daemon: StartDaemon, directory: Path, kills: int) -> None:
    daemon = start_daemon(data_directory=directory)
    server = MailServer(daemon)
    rng = random.Random(kills)
    server.start()
    try:
        for number in range(kills):
            server.wait_for(rng.randint(1, 40))
            time.sleep(rng.random() / 100)
            postmaster = int((directory / "postgres/postmaster.pid").read_text(encoding="ascii").split()[0])
            order: list[Callable[[], None]] = [partial(os.kill, postmaster, signal.SIGKILL), daemon.kill]
            for kill in order if number % 2 else order[::-1]:
                _unless_gone(kill)
            daemon.start()
        server.wait_for(10)
    finally:
        server.stop()
    socket_directory = (directory / "run").resolve()
    _check(f"postgresql://ingestd@/ingestd?host={socket_directory}&port=5432", server)
    assert daemon.terminate() == 0


def _unless_gone(kill: Callable[[], None]) -> None:
    """An embedded PostgreSQL ends by itself when its daemon is gone, perhaps before we get to it."""
    try:
        kill()
    except ProcessLookupError:
        return


def test_kill_the_daemon(start_daemon: StartDaemon, database_url: str) -> None:
    _kill_the_daemon(start_daemon, database_url, 4)


def test_kill_the_daemon_and_postgresql(start_daemon: StartDaemon, data_directory: Path) -> None:
    _kill_both(start_daemon, data_directory, 4)


@pytest.mark.long
def test_kill_the_daemon_twenty_times(start_daemon: StartDaemon, database_url: str) -> None:
    _kill_the_daemon(start_daemon, database_url, 20)


@pytest.mark.long
def test_kill_the_daemon_and_postgresql_twenty_times(start_daemon: StartDaemon, data_directory: Path) -> None:
    _kill_both(start_daemon, data_directory, 20)

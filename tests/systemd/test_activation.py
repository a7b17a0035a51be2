"""Sockets that systemd holds: a restart refuses nobody, stores nothing twice and loses nothing."""

import itertools
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from end_to_end import database
from end_to_end.peer import Address, Peer, on_the_wire
from mails import patch

from systemd.listener import hold

CLIENTS = 8
MAILS = 40  # before each restart


class Load:
    """Mail servers that open a connection for every few mails, and note whatever does not go as on a quiet day."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self.acknowledged: list[str] = []
        self.trouble: list[str] = []
        self.postponed = 0  # mails that waited for the next connection, since a 421 came between two
        self._addresses = itertools.cycle(addresses)
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def wait_for(self, count: int) -> None:
        wanted, deadline = len(self.acknowledged) + count, time.monotonic() + 60
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, self.trouble
            time.sleep(0.002)

    def _run(self) -> None:
        waiting: list[int] = []
        while not self._stop.is_set():
            try:
                with Peer(next(self._addresses)) as peer:
                    for first in (True, False, False):
                        number = waiting.pop() if waiting else next(self._numbers)
                        if not self._send(peer, number, first=first):
                            waiting.append(number)
                            break
            except (OSError, AssertionError) as error:
                self.trouble.append(repr(error))
        for number in waiting:
            with Peer(next(self._addresses)) as peer:
                self._send(peer, number, first=True)

    def _send(self, peer: Peer, number: int, *, first: bool) -> bool:
        """Send a mail; False when the daemon said good-bye between two."""
        message_id = f"load-{number}@example.org"
        try:
            reply = peer.ask("MAIL FROM:<peer@example.org>")
        except OSError:  # it has closed after its 421
            reply = "421"
        if reply.startswith("421") and not first:
            self.postponed += 1
            return False
        assert reply.startswith("250"), reply
        for command, code in (("RCPT TO:<demo@example.org>", "250"), ("DATA", "354")):
            reply = peer.ask(command)
            assert reply.startswith(code), reply
        peer.write(on_the_wire(patch(message_id, f"[PATCH] {number}", file=f"file{number}.c")))
        reply = peer.reply()
        assert reply.startswith("250"), reply
        self.acknowledged.append(message_id)
        return True


def _check(url: str, load: Load) -> None:
    assert load.trouble == []
    rows = database.select(
        url, "SELECT m.message_id, repeat FROM ingestd_v1.message m JOIN ingestd_v1.delivery d ON d.message = m.id"
    )
    assert sorted(row["message_id"] for row in rows) == sorted(load.acknowledged)
    assert not any(row["repeat"] for row in rows)


def test_restarts_under_load(tmp_path: Path, database_url: str) -> None:
    _restart_under_load(tmp_path, database_url, 2)


@pytest.mark.long
def test_twenty_restarts_under_load(tmp_path: Path, database_url: str) -> None:
    _restart_under_load(tmp_path, database_url, 20)


def _restart_under_load(tmp_path: Path, database_url: str, restarts: int) -> None:
    unix = tmp_path / "held.sock"
    held = [("lmtp", hold(("127.0.0.1", 0))), ("lmtp", hold(str(unix)))]
    address = held[0][1].getsockname()
    daemon = DaemonProcess(tmp_path, database_url=database_url, handed=held)
    daemon.lmtp = address
    load = Load([address, str(unix)])
    try:
        daemon.start()
        assert not daemon.lmtp_socket.exists(), "systemd's sockets take the place of our own"
        load.start()
        for _ in range(restarts):
            load.wait_for(MAILS)
            daemon.restart()
        load.wait_for(MAILS)
        load.stop()
        assert daemon.terminate() == 0
    finally:
        load.stop()
        daemon.kill()
        for _, listening in held:
            listening.close()
    assert unix.exists()
    assert "Traceback" not in daemon.read_log()
    _check(database_url, load)
    assert len(load.acknowledged) >= MAILS * (restarts + 1)


def test_mail_that_comes_before_the_start_waits_for_it(tmp_path: Path, database_url: str) -> None:
    held = [("lmtp", hold(("127.0.0.1", 0))), ("smtp", hold(("127.0.0.1", 0)))]
    daemon = DaemonProcess(tmp_path, database_url=database_url, handed=held)
    daemon.lmtp, daemon.smtp = (listening.getsockname() for _, listening in held)
    with socket.create_connection(daemon.smtp) as early:
        early.settimeout(60)
        daemon.start(wait=False)
        assert early.recv(4) == b"220 "
    daemon.wait_ready()
    with Peer(daemon.smtp, protocol="smtp") as peer:
        assert peer.greeting.startswith("220 localhost ESMTP")
    assert daemon.terminate() == 0
    for _, listening in held:
        listening.close()


def test_instances_share_an_address(tmp_path: Path, database_url: str) -> None:
    """Two daemons on one database, each with a socket of its own on the same port; one at a time restarts."""
    first = hold(("127.0.0.1", 0), reuse_port=True)
    address = first.getsockname()
    held = [first, hold(address, reuse_port=True)]
    daemons = []
    for number, listening in enumerate(held):
        directory = tmp_path / str(number)
        directory.mkdir()
        daemons.append(DaemonProcess(directory, database_url=database_url, handed=[("lmtp", listening)]))
        daemons[-1].lmtp = address
    load = Load([address])
    try:
        for daemon in daemons:
            daemon.start()
        load.start()
        for daemon in daemons:
            load.wait_for(MAILS)
            daemon.restart()
        load.wait_for(MAILS)
        load.stop()
        for daemon in daemons:
            assert daemon.terminate() == 0
    finally:
        load.stop()
        for daemon in daemons:
            daemon.kill()
        for listening in held:
            listening.close()
    assert all("mail_stored" in daemon.read_log() for daemon in daemons), "the kernel deals out connections"
    _check(database_url, load)

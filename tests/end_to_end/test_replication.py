"""A primary with a synchronous standby: what was acknowledged survives the loss of the primary."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail

from end_to_end import database
from end_to_end.peer import Peer, on_the_wire
from end_to_end.replication import Pair
from end_to_end.test_crash import MailServer, _check

StartDaemon = Callable[..., DaemonProcess]

CONFIG = "database.timeout = 5.0"
PATIENCE = 60.0  # seconds
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'ingestd'"


@pytest.fixture
def pair(data_directory: Path) -> Iterator[Pair]:
    pair = Pair(data_directory)
    yield pair
    pair.stop()


def _lose_the_primary(start_daemon: StartDaemon, pair: Pair, times: int) -> list[float]:
    """Seconds from each promotion to the next acknowledgement."""
    daemon = start_daemon(database_url=pair.url, config=CONFIG)
    server = MailServer(daemon)
    pid = daemon.pid
    pauses = []
    server.start()
    try:
        for number in range(times):
            server.wait_for(40)
            pair.kill(pair.primary)
            pair.promote()
            promoted = time.monotonic()
            server.wait_for(1)
            pauses.append(time.monotonic() - promoted)
            if number < times - 1:
                pair.pair()
        server.wait_for(40)
    finally:
        server.stop()
    assert daemon.pid == pid
    assert daemon.terminate() == 0
    _check(pair.primary_url, server)
    return pauses


def test_lose_the_primary(start_daemon: StartDaemon, pair: Pair) -> None:
    _lose_the_primary(start_daemon, pair, 1)


@pytest.mark.long
def test_lose_the_primary_ten_times(start_daemon: StartDaemon, pair: Pair) -> None:
    pauses = _lose_the_primary(start_daemon, pair, 10)
    print("seconds to the first acknowledgement:", [round(pause, 2) for pause in pauses])  # noqa: T201


def test_a_commit_that_gave_up_on_the_standby_is_none(start_daemon: StartDaemon, pair: Pair) -> None:
    """The server reports it as done, with a warning; the mail is on the primary alone."""
    daemon = start_daemon(database_url=pair.url, config="database.timeout = 60.0")
    pair.kill(pair.standby)
    with Peer(daemon.lmtp) as peer:
        peer.begin(["demo@example.org"])
        peer.write(on_the_wire(mail("alone@x", "x")))
        deadline = time.monotonic() + PATIENCE
        while not (rows := database.select(pair.primary_url, WAITING)):
            assert time.monotonic() < deadline, daemon.read_log()
            time.sleep(0.05)
        database.execute(pair.primary_url, f"SELECT pg_cancel_backend({rows[0]['pid']})")
        assert peer.reply().startswith("451 4.3.0")
        # It is there, and still not acknowledged before a standby has it: a repeat writes, and waits.
        (row,) = database.select(pair.primary_url, "SELECT message_id FROM ingestd_v1.message")
        assert row["message_id"] == "alone@x"
        pair.pair()
        assert peer.send(mail("alone@x", "x"))[0].startswith("250")
    assert "canceling wait for synchronous replication" in daemon.read_log()


def test_a_standby_that_is_away_is_451_in_time(start_daemon: StartDaemon, pair: Pair) -> None:
    daemon = start_daemon(database_url=pair.url, config="database.timeout = 1.0")
    pair.kill(pair.standby)
    with Peer(daemon.lmtp) as peer:
        for _ in range(2):
            assert peer.send(mail("waits@x", "x"))[0].startswith("451 4.3.0")
        pair.pair()
        deadline = time.monotonic() + PATIENCE
        while not peer.send(mail("waits@x", "x"))[0].startswith("250"):
            assert time.monotonic() < deadline, daemon.read_log()
            time.sleep(0.1)
    rows = database.select(pair.primary_url, "SELECT message_id FROM ingestd_v1.message")
    assert [row["message_id"] for row in rows] == ["waits@x"]

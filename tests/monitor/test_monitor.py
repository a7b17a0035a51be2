"""/metrics, /healthz and /readyz of the real daemon, and that `health` and `status` agree."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from end_to_end import database
from end_to_end.peer import Peer, on_the_wire
from mails import mail, patch, series

from ingestd import metrics
from ingestd.postgres import Postgres

PATIENCE = 60.0  # seconds

StartDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def server(data_directory: Path) -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, to be stopped under a daemon."""
    server = Postgres(data_directory)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


def _start(start_daemon: StartDaemon, url: str, config: str = "") -> DaemonProcess:
    """A daemon that answers at an address of its own, told by the environment."""
    return start_daemon(database_url=url, config=config, monitored=True)


def _get(daemon: DaemonProcess, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(*daemon.metrics, timeout=PATIENCE)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read().decode()


def _value(daemon: DaemonProcess, name: str) -> float:
    """Of one sample, such as `ingestd_ready` or `ingestd_smtp_replies_total{code="250"}`."""
    _, text = _get(daemon, "/metrics")
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, f"{name} is not in\n{text}"
    return float(found[1])


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_mail_is_counted(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = _start(start_daemon, database_url, 'mail.unknown_list = "refuse"\n[[lists]]\nid = "demo.example.org"')
    before = time.time()
    with Peer(daemon.lmtp) as peer, Peer(daemon.smtp, protocol="smtp") as smtp:
        for written in series("20261102100000.1", 3)[:-1]:
            peer.send(written)
        peer.send(patch("one@x", "[PATCH] one"))
        peer.send(patch("one@x", "[PATCH] one"))
        smtp.send(mail(None, "No Message-ID"))
        assert smtp.send(mail("other@x", "x", list_id="other.example.org"))[0].startswith("550")
        samples = {
            'ingestd_messages_total{origin="lmtp",outcome="new"}': 4,
            'ingestd_messages_total{origin="lmtp",outcome="repeat"}': 1,
            'ingestd_messages_total{origin="smtp",outcome="new"}': 1,
            'ingestd_messages_total{origin="smtp",outcome="refused"}': 1,
            'ingestd_parse_defects_total{kind="no Message-ID"}': 1,
            'ingestd_ingest_seconds_count{stage="parse"}': 7,
            'ingestd_ingest_seconds_count{stage="total"}': 6,
            'ingestd_smtp_sessions{protocol="lmtp"}': 1,
            'ingestd_smtp_sessions{protocol="smtp"}': 1,
            'ingestd_smtp_replies_total{code="354"}': 7,
            'ingestd_smtp_replies_total{code="550"}': 1,
            "ingestd_message_bytes_count": 7,
            "ingestd_batch_mails_sum": 6,
            "ingestd_queue_mails": 0,
            "ingestd_queue_mails_limit": 1000,
            "ingestd_oldest_waiting_seconds": 0,
            "ingestd_db_up": 1,
            "ingestd_ready": 1,
        }
        _, text = _get(daemon, "/metrics")
        found = dict(re.findall(r"^(\S+(?: \S+\})?) (\S+)$", text, re.MULTILINE))
        found = {name: float(found[name]) for name in samples if name in found}
        assert found == samples
        assert before <= _value(daemon, "ingestd_last_commit_timestamp_seconds") <= time.time()
        peer.begin(["demo@example.org"])
        assert _value(daemon, "ingestd_queue_mails") == 1
    assert _value(daemon, "process_resident_memory_bytes") > 0
    assert daemon.terminate() == 0


def test_what_is_in_the_database_is_counted(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = _start(start_daemon, database_url)
    with Peer(daemon.lmtp) as peer:
        for written in series("20261102100000.1", 3)[:-1]:
            peer.send(written)
    daemon.restart()  # it counts at once, then every minute
    _wait_for(lambda: _value(daemon, "ingestd_series_open") == 1)
    (row,) = database.select(database_url, "SELECT max(cursor) AS last FROM ingestd_v1.event")
    assert _value(daemon, "ingestd_events_last_id") == row["last"]
    assert _value(daemon, "ingestd_quarantined_mails") == 0


def test_ready_follows_the_database_and_healthy_does_not(start_daemon: StartDaemon, server: Postgres) -> None:
    daemon = _start(start_daemon, server.url)
    assert _get(daemon, "/readyz") == (200, "ready\n")
    assert daemon.run("health").returncode == 0
    assert json.loads(daemon.run("status", "--json").stdout)["ready"] == "ready"
    asyncio.run(server.stop())
    _wait_for(lambda: _get(daemon, "/readyz") == (503, "the database takes no mail\n"))
    assert _get(daemon, "/healthz") == (200, "ok\n")
    assert (_value(daemon, "ingestd_ready"), _value(daemon, "ingestd_db_up")) == (0, 0)
    assert daemon.run("health").returncode == 69
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("waits@x", "x"))[0].startswith("451")
    assert _value(daemon, 'ingestd_messages_total{origin="lmtp",outcome="deferred"}') == 1
    asyncio.run(server.start())
    _wait_for(lambda: _get(daemon, "/readyz") == (200, "ready\n"))
    assert daemon.run("health").returncode == 0


def test_another_schema_is_not_ready(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = _start(start_daemon, database_url)
    database.execute(database_url, "UPDATE ingestd.alembic_version SET version_num = '9999'")
    assert daemon.run("health").returncode == 0  # one that older daemons can work on: they are replaced one by one
    database.execute(database_url, "UPDATE ingestd.schema_floor SET revision = '9999'")
    _wait_for(lambda: _get(daemon, "/readyz") == (503, "the schema of the database is another\n"))
    result = daemon.run("health")
    assert (result.returncode, result.stderr.decode()) == (
        69,
        "ingestd: the daemon says: the schema of the database is another\n",
    )


def test_it_is_not_ready_while_it_drains(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = _start(start_daemon, database_url)
    with Peer(daemon.lmtp) as peer:
        peer.begin(["demo@example.org"])
        os.kill(daemon.pid, signal.SIGTERM)
        _wait_for(lambda: _get(daemon, "/readyz") == (503, "shutting down\n"))
        peer.write(on_the_wire(mail("last@x", "x")))
        assert peer.reply().startswith("250")
    assert daemon.wait() == 0


def test_reloads_are_counted(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = _start(start_daemon, database_url, "limits.connections = 7")
    daemon.reload()
    _wait_for(lambda: 'ingestd_reloads_total{outcome="done"} 1.0' in _get(daemon, "/metrics")[1])
    (daemon.directory / "config.toml").write_text("limits.connections = 0")
    daemon.reload()
    _wait_for(lambda: 'ingestd_reloads_total{outcome="failed"} 1.0' in _get(daemon, "/metrics")[1])
    assert _value(daemon, "ingestd_smtp_sessions_limit") == 7


def test_odd_requests(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = _start(start_daemon, database_url)
    assert _get(daemon, "/metrics?x=1")[0] == 200
    assert _get(daemon, "/healthz", "HEAD") == (200, "")
    assert _get(daemon, "/")[0] == 404
    assert _get(daemon, "/metrics", "POST")[0] == 405
    for request in (b"\r\n\r\n", b"GET\r\n\r\n", b"\0\xff\r\n\r\n", b"x" * 100_000, b""):
        with socket.create_connection(daemon.metrics, PATIENCE) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(100)[:12] in (b"HTTP/1.1 400", b"")
            except ConnectionError:
                pass  # it had enough
    slow = [socket.create_connection(daemon.metrics, PATIENCE) for _ in range(10)]
    assert _get(daemon, "/healthz") == (200, "ok\n")
    for connection in slow:
        connection.close()
    assert daemon.terminate() == 0
    assert "Traceback" not in daemon.read_log()


def test_it_is_off_unless_configured(daemon: DaemonProcess) -> None:
    with pytest.raises(ConnectionRefusedError):
        _get(daemon, "/metrics")


def test_a_taken_address_is_one_line(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    daemon.terminate()
    daemon.environment["INGESTD__METRICS__ADDRESS"] = f"127.0.0.1:{daemon.lmtp[1]}"
    result = daemon.run("serve")
    line = result.stderr.decode().splitlines()[-1]
    assert (result.returncode, line.startswith("ingestd: cannot listen on 127.0.0.1:")) == (69, True), line
    assert line.endswith("(metrics): Address already in use")


def test_what_it_answers_is_what_is_declared(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = _start(start_daemon, database_url)
    _, text = _get(daemon, "/metrics")
    told = set(re.findall("^# TYPE (ingestd_[a-z_]+) ", text, re.MULTILINE))
    assert {name.removesuffix("_total").removesuffix("_created") for name in told} == {
        family.name for family in metrics.REGISTRY.collect() if family.name.startswith("ingestd_")
    }

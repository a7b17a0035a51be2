"""What the daemon tells systemd, and when."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from end_to_end.peer import Peer
from mails import mail

from ingestd import systemd
from systemd.listener import Ear, hold

MakeDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def ear(data_directory: Path) -> Iterator[Ear]:
    ear = Ear(data_directory)
    yield ear
    ear.close()


def test_ready_comes_when_mail_is_taken_and_stopping_when_it_ends(
    run_alone: MakeDaemon, database_url: str, ear: Ear
) -> None:
    daemon = run_alone(database_url=database_url, environment={"NOTIFY_SOCKET": str(ear.path)})
    daemon.start(wait=False)
    ear.wait_for("READY=1")
    for address, protocol in ((daemon.lmtp, "lmtp"), (daemon.smtp, "smtp"), (str(daemon.lmtp_socket), "lmtp")):
        with Peer(address, protocol=protocol) as peer:
            assert peer.send(mail("at-once@x", "x"))[0].startswith("250")
    before = [line for _, line in ear.heard]
    assert f"EXTEND_TIMEOUT_USEC={30_000_000}" in before[: before.index("READY=1")]
    with Peer(daemon.lmtp) as peer:
        peer.begin(["demo@example.org"])
        os.kill(daemon.pid, signal.SIGTERM)
        ear.wait_for("STOPPING=1")
        ear.wait_for(f"EXTEND_TIMEOUT_USEC={60_000_000}")
        peer.write(b"Subject: last\r\n\r\n.\r\n")
        assert peer.reply().startswith("250")
    assert daemon.wait() == 0
    assert "WATCHDOG=1" not in [line for _, line in ear.heard]


def test_it_is_not_ready_with_a_schema_that_does_not_fit(
    run_alone: MakeDaemon, empty_database_url: str, ear: Ear
) -> None:
    daemon = run_alone(
        database_url=empty_database_url,
        config='database.migrate = "check"',
        environment={"NOTIFY_SOCKET": str(ear.path)},
    )
    daemon.start(wait=False)
    assert daemon.wait() == 78
    assert "READY=1" not in ear.listen(0.1)


def test_an_abstract_notification_socket_and_one_that_is_gone(
    run_alone: MakeDaemon, database_url: str, tmp_path: Path
) -> None:
    name = f"ingestd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract:
        abstract.bind("\0" + name)
        abstract.settimeout(60)
        daemon = run_alone(database_url=database_url, environment={"NOTIFY_SOCKET": "@" + name})
        daemon.start(wait=False)
        while b"READY=1" not in abstract.recv(4096):
            pass
    assert daemon.terminate() == 0
    daemon.environment["NOTIFY_SOCKET"] = str(tmp_path / "gone")
    daemon.start()
    assert daemon.terminate() == 0
    assert "systemd_not_told" in daemon.read_log()
    assert "Traceback" not in daemon.read_log()


def test_the_watchdog_is_fed_while_we_work_and_while_the_database_is_away(
    run_alone: MakeDaemon, data_directory: Path, ear: Ear
) -> None:
    daemon = run_alone(
        data_directory=data_directory,
        config="database.timeout = 1.0",
        environment={"NOTIFY_SOCKET": str(ear.path), "WATCHDOG_USEC": "600000"},
    )
    daemon.start()
    ear.wait_for("READY=1")
    assert ear.listen(1.5).count("WATCHDOG=1") >= 3
    server = int((data_directory / "postgres/postmaster.pid").read_text(encoding="ascii").split()[0])
    children = Path(f"/proc/{server}/task/{server}/children").read_text(encoding="ascii").split()
    for pid in (server, *map(int, children)):
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with Peer(daemon.lmtp) as peer:
            assert peer.send(mail("hanging@x", "x"))[0].startswith("451 4.3.0")
            assert peer.send(mail("hanging@x", "x"))[0].startswith("451 4.3.0")
        fed = ear.listen(0.5).count("WATCHDOG=1")  # all that came meanwhile
    finally:
        for pid in (server, *map(int, children)):
            os.kill(pid, signal.SIGCONT)
    assert fed > (time.monotonic() - began) / 0.6
    os.kill(daemon.pid, signal.SIGSTOP)  # a hang, as far as systemd can see
    ear.listen(0.3)
    assert ear.listen(0.7) == []
    os.kill(daemon.pid, signal.SIGCONT)
    ear.wait_for("WATCHDOG=1")


def test_a_watchdog_for_another_process_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert systemd.watchdog() is None
    monkeypatch.setenv("WATCHDOG_USEC", "2500000")
    assert systemd.watchdog() == 2.5
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert systemd.watchdog() == 2.5
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.watchdog() is None


def test_sockets_for_another_process_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert systemd.sockets() == []
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert systemd.sockets() == []
    assert "LISTEN_FDS" not in os.environ


@pytest.mark.parametrize(
    ("name", "listens", "expected"),
    [
        (
            "ingestd.socket",
            True,
            "socket 'ingestd.socket' of systemd: expected FileDescriptorName=lmtp or smtp or metrics",
        ),
        ("api", True, "socket 'api' of systemd: expected FileDescriptorName=lmtp or smtp or metrics"),
        ("smtp", False, "socket 'smtp' of systemd: expected ListenStream= and Accept=no"),
    ],
)
def test_a_socket_that_cannot_be_used_is_one_line_and_78(
    tmp_path: Path, database_url: str, name: str, listens: bool, expected: str
) -> None:
    handed = hold(("127.0.0.1", 0))
    if not listens:
        handed.close()
        handed = hold_datagram()
    daemon = DaemonProcess(tmp_path, database_url=database_url, handed=[(name, handed)])
    daemon.start(wait=False)
    assert daemon.wait() == 78
    assert re.search(f"^ingestd: {re.escape(expected)}$", daemon.read_log(), re.MULTILINE), daemon.read_log()
    handed.close()


def hold_datagram() -> socket.socket:
    """A socket that cannot be listened on, with a number out of the way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        import fcntl

        return socket.socket(fileno=fcntl.fcntl(datagrams.fileno(), fcntl.F_DUPFD_CLOEXEC, 100))

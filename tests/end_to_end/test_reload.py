"""SIGHUP: what a running daemon takes over, what it says it cannot, and a configuration that is broken."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DaemonProcess
from mails import mail
from systemd.listener import Ear
from terminal import open_terminal

from end_to_end import database
from end_to_end.peer import Peer, on_the_wire

OLD = """
[[lists]]
id = "demo.example.org"
recipients = ["demo@example.org"]
"""
NEW = """
[limits]
message_size = 100000
connections = 3
[log]
level = "warning"
[database]
pool_size = 3
[[lists]]
id = "demo.example.org"
name = "Renamed"
recipients = ["new@example.org"]
[[lists]]
id = "second.example.org"
recipients = ["second@example.org"]
"""
PATIENCE = 60.0  # seconds

StartDaemon = Callable[..., DaemonProcess]


def _lines(daemon: DaemonProcess, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line[3:]) for line in daemon.read_log().splitlines() if line[:1] == "<" and line[3:4] == "{"]
    return [line for line in lines if line["event"] == event]


def _reload(daemon: DaemonProcess, config: str, event: str) -> dict[str, Any]:
    """Change the file, send SIGHUP, wait for what the log says of it."""
    before = len(_lines(daemon, event))
    (daemon.directory / "config.toml").write_text(config, encoding="utf-8")
    daemon.reload()
    deadline = time.monotonic() + PATIENCE
    while len(_lines(daemon, event)) == before:
        assert time.monotonic() < deadline, daemon.read_log()
        time.sleep(0.02)
    return _lines(daemon, event)[-1]


def test_what_can_be_is_taken_over_at_once(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config=OLD)
    with Peer(daemon.lmtp) as before:
        before.begin(["demo@example.org"])
        assert _reload(daemon, NEW, "restart_needed")["changed"] == ["database.pool_size"]
        before.write(on_the_wire(mail("under-way@x", "x")))
        assert before.reply().startswith("250"), "a mail under way is not disturbed"
        assert before.ask("MAIL FROM:<a@b>").startswith("250")
        assert before.ask("RCPT TO:<demo@example.org>").startswith("550 5.1.1")
        assert before.ask("RCPT TO:<new@example.org>").startswith("250")
        with Peer(daemon.lmtp) as after:
            assert "250-SIZE 100000" in after.extensions
            assert after.send(mail("second@x", "x", list_id=None), ["second@example.org"])[0].startswith("250")
            with Peer(daemon.lmtp), pytest.raises(OSError, match=r"closed|reset"):
                Peer(daemon.lmtp)
    rows = database.select(database_url, "SELECT list_id, name FROM ingestd_v1.list ORDER BY 1")
    assert [(row["list_id"], row["name"]) for row in rows] == [
        ("demo.example.org", "Renamed"),
        ("second.example.org", None),
    ]
    assert _lines(daemon, "mail_stored") == [], "the level is warning"
    # What is left for a restart is said again; what was taken over is not.
    _reload(daemon, NEW.replace('"warning"', '"info"'), "reloaded")
    assert _lines(daemon, "reloaded")[-1]["changed"] == ["log.level"]
    assert [line["changed"] for line in _lines(daemon, "restart_needed")] == [["database.pool_size"]] * 2


@pytest.mark.parametrize("broken", ["limits.connections = 0", "[[lists]\nid = 1", '[lmtp]\naddres = "x"'])
def test_a_broken_configuration_changes_nothing(start_daemon: StartDaemon, database_url: str, broken: str) -> None:
    daemon = start_daemon(database_url=database_url, config=OLD)
    said = _reload(daemon, broken, "reload_failed")
    assert str(daemon.directory / "config.toml") in said["error"]
    assert "Traceback" not in daemon.read_log()
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("still@x", "x"), ["demo@example.org"])[0].startswith("250")
        assert peer.ask("MAIL FROM:<a@b>").startswith("250")
        assert peer.ask("RCPT TO:<new@example.org>").startswith("550")
    _reload(daemon, OLD.replace("demo@", "new@"), "reloaded")
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("new@x", "x"), ["new@example.org"])[0].startswith("250")
    assert daemon.terminate() == 0


def test_what_rcpt_was_told_holds_for_the_mail(start_daemon: StartDaemon, database_url: str) -> None:
    both = OLD + '[[lists]]\nid = "second.example.org"\nrecipients = ["second@example.org"]\n'
    daemon = start_daemon(database_url=database_url, config=both)
    with Peer(daemon.lmtp) as peer:
        assert peer.ask("MAIL FROM:<a@b>").startswith("250")
        for recipient in ("demo@example.org", "second@example.org"):
            assert peer.ask(f"RCPT TO:<{recipient}>").startswith("250")
        _reload(daemon, '[mail]\nunknown_list = "refuse"\n' + OLD, "reloaded")
        assert peer.ask("DATA").startswith("354")
        peer.write(on_the_wire(mail("both@x", "x", list_id=None)))
        assert all(reply.startswith("250") for reply in (peer.reply(), peer.reply()))
    rows = database.select(database_url, "SELECT list_id, recipients FROM ingestd_v1.delivery ORDER BY 1")
    assert [(row["list_id"], row["recipients"]) for row in rows] == [
        ("demo.example.org", ["demo@example.org"]),
        ("second.example.org", ["second@example.org"]),
    ]


def test_systemd_hears_of_it(start_daemon: StartDaemon, database_url: str, data_directory: Path) -> None:
    ear = Ear(data_directory)
    daemon = start_daemon(database_url=database_url, config=OLD, environment={"NOTIFY_SOCKET": str(ear.path)})
    ear.wait_for("READY=1")
    _reload(daemon, NEW, "restart_needed")
    ear.wait_for("RELOADING=1")
    assert int(ear.wait_for("MONOTONIC_USEC=").partition("=")[2]) > 0
    ear.wait_for("READY=1")
    ear.close()


def test_many_at_once(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config=OLD)
    for _ in range(50):
        os.kill(daemon.pid, signal.SIGHUP)
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("good@x", "x"), ["demo@example.org"])[0].startswith("250")
    assert daemon.terminate() == 0
    assert "Traceback" not in daemon.read_log()


def test_a_terminal_that_is_closed_ends_it(daemon: DaemonProcess) -> None:
    assert daemon.terminate() == 0
    leader, terminal = open_terminal()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.dup2(terminal, 0)
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        log = os.open(daemon.log, os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.execvpe(daemon.command[0], [*daemon.command, "serve"], daemon.environment)  # noqa: S606
    os.close(terminal)
    before = daemon.read_log().count('"serving"')
    deadline = time.monotonic() + PATIENCE
    while daemon.read_log().count('"serving"') == before:
        assert time.monotonic() < deadline, daemon.read_log()
        time.sleep(0.05)
    os.kill(pid, signal.SIGHUP)  # by hand: a reload
    while "reloaded" not in daemon.read_log():
        assert time.monotonic() < deadline, daemon.read_log()
        time.sleep(0.05)
    os.close(leader)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

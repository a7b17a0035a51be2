"""`ingestd deliver` never loses a mail: 0 is stored, 65 is refused for good, all else is 75."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail, patch

from end_to_end import database

RECIPIENTS = '[[lists]]\nid = "demo.example.org"\nrecipients = ["demo@example.org"]\n'
ROWS = "SELECT list_id, message_id, envelope_from, recipients, peer FROM ingestd_v1.delivery ORDER BY message_id"

MakeDaemon = Callable[..., DaemonProcess]
StartDaemon = Callable[..., DaemonProcess]


def test_stored(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    for arguments, written in (
        ((), mail("a-by-list-id@x", "x")),
        (("--list", "chosen.example.org"), mail("b-chosen@x", "x")),
        (("-f", "env@example.org", "demo@example.org"), mail("c-sender@x", "x")),
        ((), b"From mbox@example.org Mon Nov  2 10:00:00 2026\n" + mail("d-mbox@x", "x")),
        (("--sender", "", "demo@example.org"), mail("e-null@x", "x").replace(b"\n", b"\r\n")),
    ):
        result = daemon.run("deliver", *arguments, stdin=written)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    rows = database.select(database_url, ROWS)
    assert [(row["list_id"], row["message_id"], row["envelope_from"]) for row in rows] == [
        ("demo.example.org", "a-by-list-id@x", ""),
        ("chosen.example.org", "b-chosen@x", ""),
        ("demo.example.org", "c-sender@x", "env@example.org"),
        ("demo.example.org", "d-mbox@x", "mbox@example.org"),
        ("demo.example.org", "e-null@x", ""),
    ]


def test_refused_is_65(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config=RECIPIENTS)
    for arguments in (("nobody@example.org",), ("nobody@example.org", "none@example.org")):
        result = daemon.run("deliver", *arguments, stdin=mail("x@x", "x"))
        assert (result.returncode, result.stdout) == (65, b"")
        assert result.stderr == b"ingestd: refused: 550 5.1.1 Unknown recipient\n"
    assert daemon.run("deliver", "demo@example.org", stdin=mail("y@x", "y")).returncode == 0
    assert [row["message_id"] for row in database.select(database_url, ROWS)] == ["y@x"]


def test_too_big_is_65(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url, config="limits.message_size = 65536")
    result = daemon.run("deliver", stdin=mail("big@x", "x", "long line\n" * 10_000))
    assert (result.returncode, result.stderr) == (65, b"ingestd: refused: 552 5.3.4 Mail too big\n")


def test_daemon_down_is_75(run_alone: MakeDaemon, database_url: str) -> None:
    daemon = run_alone(database_url=database_url)
    result = daemon.run("deliver", stdin=patch("x@x", "x"))
    assert (result.returncode, result.stdout, result.stderr.count(b"\n")) == (75, b"", 1)
    assert b"lmtp.sock" in result.stderr
    daemon.environment["INGESTD__LMTP__SOCKET"] = ""
    result = daemon.run("deliver", stdin=patch("x@x", "x"))
    assert (result.returncode, result.stdout, result.stderr.count(b"\n")) == (75, b"", 1)
    assert f"{daemon.lmtp[0]}:{daemon.lmtp[1]}".encode() in result.stderr


def test_database_down_is_75(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    name = database.name_of(database_url)
    other = database.named(database_url, "postgres")
    database.execute(
        other,
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    result = daemon.run("deliver", stdin=patch("x@x", "x"))
    assert (result.returncode, result.stderr) == (75, b"ingestd: not taken: 451 4.3.0 Try again later\n")
    database.execute(other, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert daemon.run("deliver", stdin=patch("x@x", "x")).returncode == 0


@pytest.mark.parametrize("config", ["not toml", "unknown = 1", "[lmtp]\naddress = 5", '[lmtp]\naddress = "nowhere"'])
def test_a_broken_configuration_is_75(run_alone: MakeDaemon, config: str) -> None:
    daemon = run_alone(config=config)
    result = daemon.run("deliver", stdin=patch("x@x", "x"))
    assert (result.returncode, result.stdout, result.stderr.count(b"\n")) == (75, b"", 1)
    assert b"config.toml" in result.stderr


def test_wrong_arguments_are_75(start_daemon: StartDaemon, database_url: str) -> None:
    daemon = start_daemon(database_url=database_url)
    for arguments in (
        ("deliver", "--no-such-option"),
        ("deliver", "--list"),
        ("--no-such-option", "deliver"),
        ("--config", "missing.toml", "deliver"),
        ("--config", ".", "deliver"),
        ("deliver", "line\nbreak@example.org"),
        ("deliver", "--list", ""),
    ):
        result = daemon.run(*arguments, stdin=patch("x@x", "x"))
        assert (result.returncode, result.stdout, result.stderr.count(b"\n")) == (75, b"", 1), result.stderr
    assert database.select(database_url, ROWS) == []


def test_closed_standard_input_is_75(run_alone: MakeDaemon, tmp_path: Path) -> None:
    """What starts us without a mail is broken; it must not think that it was stored."""
    daemon = run_alone()
    result = subprocess.run(
        ["sh", "-c", 'exec "$0" -m ingestd deliver <&-', sys.executable],
        capture_output=True,
        env=daemon.environment,
        cwd=tmp_path,
        check=False,
    )
    assert (result.returncode, result.stderr.count(b"\n")) == (75, 1), result.stderr


def test_other_commands_say_64(run_alone: MakeDaemon) -> None:
    """75 is for mail servers; a person who types wrongly hears so."""
    daemon = run_alone()
    for arguments in (("serve", "--no-such-option"), ("no-such-command",), ("export",), ("import",)):
        result = daemon.run(*arguments)
        assert (result.returncode, result.stderr.count(b"\n")) == (64, 1), result.stderr

"""Who may connect, and STARTTLS: real sockets, real certificates."""

import grp
import os
import shutil
import smtplib
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail

from end_to_end import database
from end_to_end.peer import Peer, on_the_wire

PATIENCE = 60.0  # seconds

StartDaemon = Callable[..., DaemonProcess]

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def _certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    made = [
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    subprocess.run(
        ["openssl", "req", "-x509", *made, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    return certificate, key


def _config(certificate: Path, key: Path) -> str:
    return f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'


def _common_name(address: tuple[str, int], trusted: Path) -> str:
    """Of the certificate that SMTP shows."""
    context = ssl.create_default_context(cafile=str(trusted))
    with smtplib.SMTP(*address, local_hostname="peer", timeout=PATIENCE) as client:
        client._host = "localhost"  # type: ignore[attr-defined] # the name in the certificate
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        found = client.sock.getpeercert()
        assert found is not None
        return dict(pair for part in found["subject"] for pair in part)["commonName"]  # type: ignore[misc]


def _wait_for(daemon: DaemonProcess, text: str, count: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE
    while daemon.read_log().count(text) < count:
        assert time.monotonic() < deadline, daemon.read_log()
        time.sleep(0.02)


@needs_openssl
def test_mail_by_starttls(start_daemon: StartDaemon, database_url: str, tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path, "first")
    daemon = start_daemon(database_url=database_url, config=_config(certificate, key))
    context = ssl.create_default_context(cafile=str(certificate))
    with smtplib.SMTP(*daemon.smtp, local_hostname="peer", timeout=PATIENCE) as client:
        client._host = "localhost"  # type: ignore[attr-defined]
        client.ehlo()
        assert client.has_extn("starttls")
        client.starttls(context=context)
        client.ehlo()
        assert not client.has_extn("starttls")
        assert client.docmd("STARTTLS")[0] == 503
        large = mail("large@x", "A large one", "x" * 70 + "\n" + ("y" * 70 + "\n") * 30_000)
        client.sendmail("a@example.org", ["demo@example.org"], large)
        client.sendmail("a@example.org", ["demo@example.org"], mail("small@x", "x"))
    with socket.create_connection(daemon.lmtp, PATIENCE) as plain:
        replies = plain.makefile("rb")
        plain.sendall(b"LHLO peer\r\n")
        lines = [replies.readline() for _ in range(9)]
        assert b"250-STARTTLS\r\n" in lines
        plain.sendall(b"MAIL FROM:<a@b>\r\n")
        assert replies.readline().startswith(b"250")
        plain.sendall(b"STARTTLS\r\n")
        assert replies.readline().startswith(b"220 ")
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            said = secure.makefile("rb")
            secure.sendall(b"RCPT TO:<a@b>\r\n")
            assert said.readline().startswith(b"503"), "what was said before is forgotten"
            secure.sendall(b"LHLO peer\r\nMAIL FROM:<a@b>\r\nRCPT TO:<demo@example.org>\r\nDATA\r\n")
            while not said.readline().startswith(b"354 "):
                pass
            secure.sendall(on_the_wire(mail("lmtp@x", "x")))
            assert said.readline().startswith(b"250")
            os.kill(daemon.pid, 15)
            assert said.readline().startswith(b"421 4.3.2")
    assert daemon.wait() == 0
    assert "Traceback" not in daemon.read_log()
    rows = database.select(database_url, "SELECT message_id FROM ingestd_v1.message ORDER BY 1")
    assert [row["message_id"] for row in rows] == ["large@x", "lmtp@x", "small@x"]


@needs_openssl
def test_commands_smuggled_in_before_tls(start_daemon: StartDaemon, database_url: str, tmp_path: Path) -> None:
    daemon = start_daemon(database_url=database_url, config=_config(*_certificate(tmp_path, "first")))
    with socket.create_connection(daemon.smtp, PATIENCE) as plain:
        replies = plain.makefile("rb")
        plain.sendall(b"EHLO peer\r\n")
        while not replies.readline().startswith(b"250 "):
            pass
        plain.sendall(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
        assert replies.readline().startswith(b"421 4.7.0")
    # No handshake at all, a broken one, and one that never comes to its end.
    for junk in (b"", b"x" * 1000, b"\x16\x03\x01"):
        with socket.create_connection(daemon.smtp, PATIENCE) as plain:
            replies = plain.makefile("rb")
            plain.sendall(b"EHLO peer\r\n")
            while not replies.readline().startswith(b"250 "):
                pass
            plain.sendall(b"STARTTLS\r\n")
            assert replies.readline().startswith(b"220")
            plain.sendall(junk)
    waiting = socket.create_connection(daemon.smtp, PATIENCE)
    waiting.sendall(b"EHLO peer\r\n")
    while b"250 " not in waiting.recv(1000):
        pass
    waiting.sendall(b"STARTTLS\r\n")
    assert waiting.recv(100).startswith(b"220")
    with Peer(daemon.lmtp) as peer:
        assert peer.send(mail("good@x", "x"))[0].startswith("250")
    assert daemon.terminate() == 0
    waiting.close()
    assert "Traceback" not in daemon.read_log()
    assert "connection_cut" not in daemon.read_log(), "a handshake ends with a drain, and with its peer"


@needs_openssl
def test_a_new_certificate_at_sighup(start_daemon: StartDaemon, database_url: str, tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path, "first")
    daemon = start_daemon(database_url=database_url, config=_config(certificate, key))
    assert _common_name(daemon.smtp, certificate) == "first"
    _certificate(tmp_path, "second")
    daemon.reload()
    _wait_for(daemon, '"reloaded"')
    assert _common_name(daemon.smtp, certificate) == "second"
    good = certificate.read_bytes()
    certificate.write_text("half of a certificate")
    daemon.reload()
    _wait_for(daemon, '"reload_failed"')
    certificate.write_bytes(good)
    assert _common_name(daemon.smtp, certificate) == "second", "the one in force stays"
    (daemon.directory / "config.toml").write_text("")
    daemon.reload()
    _wait_for(daemon, '"reloaded"', 2)
    with Peer(daemon.smtp, protocol="smtp") as peer:
        assert "STARTTLS" not in peer.extensions
        assert peer.ask("STARTTLS").startswith("500")


def test_a_certificate_that_is_not_there_is_one_line_and_78(
    run_alone: StartDaemon, database_url: str, tmp_path: Path
) -> None:
    daemon = run_alone(database_url=database_url, config=_config(tmp_path / "none.pem", tmp_path / "key.pem"))
    result = daemon.run("serve")
    line = result.stderr.decode().splitlines()[-1]
    assert (result.returncode, line) == (
        78,
        f"ingestd: tls: {tmp_path}/none.pem, {tmp_path}/key.pem: No such file or directory",
    )


def _greeting(address: tuple[str, int], source: str) -> bytes:
    with socket.create_connection(address, PATIENCE, source_address=(source, 0)) as connection:
        return connection.recv(100)


def test_networks(start_daemon: StartDaemon, database_url: str) -> None:
    config = 'lmtp.networks = ["127.0.0.1/32", "::1/128"]\n'
    daemon = start_daemon(database_url=database_url, config=config)
    assert _greeting(daemon.lmtp, "127.0.0.1").startswith(b"220 ")
    assert _greeting(daemon.lmtp, "127.0.0.2").startswith(b"554 5.7.1 ")
    assert _greeting(daemon.smtp, "127.0.0.2").startswith(b"220 ")
    with Peer(str(daemon.lmtp_socket)) as peer:
        assert peer.send(mail("by-socket@x", "x"))[0].startswith("250")
    (daemon.directory / "config.toml").write_text(config.replace("127.0.0.1/32", "127.0.0.0/30"))
    daemon.reload()
    _wait_for(daemon, '"reloaded"')
    assert _greeting(daemon.lmtp, "127.0.0.2").startswith(b"220 ")
    assert _greeting(daemon.lmtp, "127.0.0.4").startswith(b"554 5.7.1 ")


def test_the_group_of_a_socket(run_alone: StartDaemon, database_url: str) -> None:
    ours = [gid for gid in os.getgroups() if os.geteuid() != 0] or [grp.getgrnam("daemon").gr_gid]
    name = grp.getgrgid(ours[-1]).gr_name
    daemon = run_alone(database_url=database_url, config=f'[lmtp]\nsocket_group = "{name}"\nsocket_mode = "620"\n')
    daemon.start()
    facts = daemon.lmtp_socket.stat()
    assert (facts.st_gid, stat.S_IMODE(facts.st_mode)) == (ours[-1], 0o620)
    assert daemon.terminate() == 0
    (daemon.directory / "config.toml").write_text('lmtp.socket_group = "no-such-group"')
    result = daemon.run("serve")
    line = result.stderr.decode().splitlines()[-1]
    assert (result.returncode, line) == (
        69,
        f"ingestd: cannot listen on {daemon.lmtp_socket} (LMTP): no such group: 'no-such-group'",
    )

"""`ingestd deliver`'s client, against the real listener and against servers that misbehave."""

import asyncio
import io
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from receive.conftest import Service, Start
from receive.memory import MemorySink, Taken

from ingestd import errors
from ingestd.receive import pipe
from ingestd.receive.limits import Connections, Limits
from ingestd.receive.listener import Listener

MAIL = b"From: ann@example.org\nSubject: hello\n\n.dot\n..dots\ntext\n"
SENT = MAIL.replace(b"\n", b"\r\n")


async def _deliver(service: Service, raw: bytes | io.BytesIO, **options: Any) -> None:  # noqa: ANN401
    await asyncio.to_thread(pipe.deliver, raw, service.address, timeout=10, **options)


async def test_mail_without_recipients_goes_where_its_list_id_says(start: Start) -> None:
    service = await start()
    await _deliver(service, MAIL)
    assert service.sink.mails == [Taken(SENT, "", ("ingestd@localhost",), "127.0.0.1", None)]
    assert service.sink.sizes == [len(SENT)]


async def test_list_and_sender_and_recipients(start: Start) -> None:
    service = await start()
    await _deliver(
        service, io.BytesIO(MAIL), sender="bob@example.org", recipients=["a@elsewhere.test"], list_id="größe+x=y.test"
    )
    assert service.sink.mails == [Taken(SENT, "bob@example.org", ("a@elsewhere.test",), "127.0.0.1", "größe+x=y.test")]


async def test_recipients_alone_are_checked(start: Start) -> None:
    service = await start()
    await _deliver(service, MAIL, recipients=["a@lists.test", "größe@lists.test"])
    with pytest.raises(errors.Permanent, match=r"refused: 550 5\.1\.1 Unknown recipient"):
        await _deliver(service, MAIL, recipients=["a@elsewhere.test"])
    with pytest.raises(errors.Permanent):
        await _deliver(service, MAIL, recipients=["a@lists.test", "a@elsewhere.test"])
    assert [mail.recipients for mail in service.sink.mails] == [
        ("a@lists.test", "größe@lists.test"),
        ("a@lists.test",),
    ]


async def test_unix_socket() -> None:
    sink = MemorySink()
    listener = Listener(sink, protocol="lmtp", hostname="mx.test", limits=Limits(), connections=Connections(1))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "lmtp.sock")
        await listener.start_unix(path)
        await asyncio.to_thread(pipe.deliver, MAIL, path)
        await listener.drain(5)
        with pytest.raises(errors.Temporary, match=f"cannot deliver to {path}: "):
            await asyncio.to_thread(pipe.deliver, MAIL, path)
    assert [mail.raw for mail in sink.mails] == [SENT]


@pytest.mark.parametrize(
    ("raw", "arrives", "sender"),
    [
        (b"From ann@example.org Mon Nov 23 10:00:00 2026\nSubject: x\n", b"Subject: x\r\n", "ann@example.org"),
        (b"From MAILER-DAEMON Mon Nov 23 10:00:00 2026\nSubject: x\n", b"Subject: x\r\n", ""),
        (b"From 0123456789012345678901234567890123456789 Mon Sep 17\nSubject: x\n", b"Subject: x\r\n", ""),
        (b"From a<b@c Mon Nov 23\nSubject: x\n", b"Subject: x\r\n", ""),
        (b"From j\xfcrgen@example.org Mon Nov 23\nSubject: x\n", b"Subject: x\r\n", ""),
        (b"Subject: x\r\n\r\ny\r\n", b"Subject: x\r\n\r\ny\r\n", ""),
        (b"Subject: x\r\n\r\ny\nz\r\n", b"Subject: x\r\n\r\ny\r\nz\r\n", ""),
        (b"Subject: x\n\n+dos\r\n+unix\n", b"Subject: x\r\n\r\n+dos\r\r\n+unix\r\n", ""),
        (b"Subject: x\n\n\xff\xfe\0", b"Subject: x\r\n\r\n\xff\xfe\0\r\n", ""),
        (b"", b"", ""),
        (b".\n.\n", b".\r\n.\r\n", ""),
    ],
)
async def test_forms_of_mail(start: Start, raw: bytes, arrives: bytes, sender: str) -> None:
    service = await start()
    await _deliver(service, raw)
    assert [(mail.raw, mail.envelope_from) for mail in service.sink.mails] == [(arrives, sender)]


@given(st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b".", b"x", b"From "])).map(b"".join))
def test_text_with_lf_ends_loses_nothing(text: bytes) -> None:
    raw = b"Subject: x\n" + text
    mail, _ = pipe._prepare(raw)
    assert mail.replace(b"\r\n", b"\n") == raw


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        ("fault", errors.Temporary),
        ("temporary", errors.Temporary),
        ("permanent", errors.Permanent),
        ("room", errors.Temporary),
        ("accepts", errors.Temporary),
    ],
)
async def test_failures_of_the_daemon(start: Start, failing: str, expected: type[errors.MailError]) -> None:
    service = await start(failing=failing)
    with pytest.raises(expected) as raised:
        await _deliver(service, MAIL, recipients=["a@lists.test", "b@lists.test"])
    assert type(raised.value) is expected


async def test_too_big_is_permanent(start: Start) -> None:
    service = await start(max_size=10)
    with pytest.raises(errors.Permanent, match=r"refused: 552 5\.3\.4"):
        await _deliver(service, MAIL)


async def test_list_needs_a_daemon_that_knows_of_it(start: Start) -> None:
    """SMTP does not, and does not know LHLO either: this is no reason to lose the mail."""
    service = await start("smtp")
    with pytest.raises(errors.Temporary):
        await _deliver(service, MAIL, list_id="demo.lists.test")


@contextmanager
def _server(*says: bytes) -> Iterator[tuple[str, int]]:
    """A server that says these things, one for each line it hears, whatever it is."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with suppress(ConnectionError), connection, connection.makefile("rb") as lines:
                for line in says:
                    connection.sendall(line)
                    lines.readline()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()
        thread.join()


@pytest.mark.parametrize(
    "says",
    [
        (),
        (b"SSH-2.0-OpenSSH_9.2\r\n",),
        (b"220 x" * 2000,),
        (b"421 4.3.2 Too many connections\r\n",),
        (b"554 5.7.1 Go away\r\n",),
        (b"220 x\r\n", b"500 5.5.1 Unknown command\r\n"),
        (b"220 x\r\n", b"250 x\r\n", b"501 5.1.7 Syntax\r\n"),
        (b"220 x\r\n", b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 no go-ahead\r\n"),
        (b"220 x\r\n", b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"),
        (b"220 x\r\n", b"250 \xff\xfe\r\n", b"250 ok\r\n", b"450 4.2.1 later\r\n"),
    ],
)
def test_every_surprise_is_temporary(says: tuple[bytes, ...]) -> None:
    with _server(*says) as address, pytest.raises(errors.Temporary):
        pipe.deliver(MAIL, address, timeout=5)


def test_silent_server_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(errors.Temporary, match="timed out"):
        pipe.deliver(MAIL, listening.getsockname(), timeout=0.1)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    with pytest.raises(errors.Temporary, match=f"cannot deliver to 127.0.0.1:{address[1]}: .*refused"):
        pipe.deliver(MAIL, address)


@pytest.mark.parametrize("options", [{"recipients": ["a\r\nDATA@b"]}, {"sender": "a\nb"}, {"list_id": "\ud800"}])
async def test_nonsense_from_the_caller_is_temporary(start: Start, options: dict[str, Any]) -> None:
    service = await start()
    with pytest.raises(errors.Temporary):
        await _deliver(service, MAIL, **options)


def test_unreadable_input_is_temporary(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("wb") as write_only, pytest.raises(errors.Temporary):
        pipe.deliver(write_only, ("127.0.0.1", 1))


def test_it_starts_without_the_rest() -> None:
    """One process for each mail: neither the listener nor the database's libraries may be imported."""
    code = "import sys, ingestd.receive.pipe; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"asyncio", "aiosmtpd", "structlog", "sqlalchemy", "asyncpg", "msgspec", "smtplib"} & set(loaded)

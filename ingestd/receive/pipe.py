"""The client behind `ingestd deliver`: one mail from a pipe to the running daemon over LMTP.

Only the standard library, no asyncio: it starts once per mail.
"""

import os
import re
import socket
from collections.abc import Container, Sequence
from typing import BinaryIO

from ingestd import errors
from ingestd.receive.address import encode_xtext, parse_path
from ingestd.receive.dots import stuff

# Who a mail is for when nobody says so; the daemon does not look at it (XLIST), only LMTP wants somebody.
DEFAULT_RECIPIENT = "ingestd@localhost"

_FROM_LINE = re.compile(rb"From (?P<sender>\S*)[^\n]*\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_REPLY = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\r\n]*))?\r?\n\Z")
_POLICY = range(550, 560)  # refusals of this mail; 500 to 504 mean that we don't understand each other


def deliver(
    raw: bytes | BinaryIO,
    where: tuple[str, int] | str | os.PathLike[str],
    *,
    sender: str | None = None,
    recipients: Sequence[str] = (),
    list_id: str | None = None,
    timeout: float = 300,
) -> None:
    """Return once the daemon has committed the mail.

    `raw` may have LF or CRLF line ends and an mbox `From ` line, which is dropped; its sender is the envelope's
    unless `sender` is given. `where` is (host, port) or the path of a unix socket. Without `recipients` the mail goes
    where its List-Id says, and with `list_id` to that list: both need a daemon on this machine. `timeout` is in
    seconds for each answer of the daemon.

    Raises `errors.Permanent` when the daemon refuses this mail for good (55x), and `errors.Temporary` for
    everything else, so that the mail server keeps the mail and tries again.
    """
    try:
        mail, from_line = _prepare(raw if isinstance(raw, bytes) else raw.read())
        sender = from_line if sender is None else sender
        with _connect(where, timeout) as connection:
            _talk(connection, mail, sender, recipients, list_id)
    except errors.MailError:
        raise
    except Exception as error:
        raise errors.Temporary(f"cannot deliver to {_name(where)}: {error}") from error


def _prepare(raw: bytes) -> tuple[bytes, str]:
    """Return the mail with CRLF line ends and without its `From ` line, and the sender of that line or ""."""
    sender = ""
    if match := _FROM_LINE.match(raw):
        raw = raw[match.end() :]
        written = match["sender"].decode("latin-1")
        # Others have MAILER-DAEMON, - or a commit there.
        if "@" in written and written.isascii() and parse_path(f"<{written}>") is not None:
            sender = written
    # The first line tells the mail's form. In one with LF ends, a CR before LF is text: a patch to a DOS file has it.
    crlf = raw[: raw.find(b"\n")].endswith(b"\r")
    return (_BARE_LF.sub(b"\r\n", raw) if crlf else raw.replace(b"\n", b"\r\n")), sender


def _connect(where: tuple[str, int] | str | os.PathLike[str], timeout: float) -> socket.socket:
    if isinstance(where, tuple):
        return socket.create_connection(where, timeout)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(os.fspath(where))
    except OSError:
        connection.close()
        raise
    return connection


def _name(where: tuple[str, int] | str | os.PathLike[str]) -> str:
    return f"{where[0]}:{where[1]}" if isinstance(where, tuple) else os.fspath(where)


def _talk(connection: socket.socket, mail: bytes, sender: str, recipients: Sequence[str], list_id: str | None) -> None:
    with connection.makefile("rb") as replies:

        def ask(command: str) -> tuple[int, list[str]]:
            if "\r" in command or "\n" in command:
                raise ValueError("line break in an address")
            connection.sendall(command.encode("utf-8") + b"\r\n")
            return _read_reply(replies)

        # A refusal before the mail is known is about something else: the wrong server, or no server at all.
        _expect(2, _read_reply(replies), final=())
        code, lines = ask("LHLO localhost")
        _expect(2, (code, lines), final=())
        parameters = _parameters({line.upper().partition(" ")[0] for line in lines[1:]}, mail)
        parameters += _routing(lines, recipients, list_id)
        if not all(address.isascii() for address in (sender, *recipients)):
            parameters += " SMTPUTF8"
        _expect(2, ask(f"MAIL FROM:<{sender}>{parameters}"))
        outcomes = [ask(f"RCPT TO:<{recipient}>") for recipient in recipients or (DEFAULT_RECIPIENT,)]
        accepted = sum(code < 300 for code, _ in outcomes)
        if accepted:
            _expect(3, ask("DATA"))
            connection.sendall(stuff(mail))
            outcomes += [_read_reply(replies) for _ in range(accepted)]
        connection.sendall(b"QUIT\r\n")  # its answer would tell nothing
    # One recipient that may succeed later is worth the repeats of the others.
    for outcome in sorted(outcomes, key=lambda outcome: outcome[0] in _POLICY):
        _expect(2, outcome)


def _parameters(extensions: set[str], mail: bytes) -> str:
    size = f" SIZE={len(mail)}" if "SIZE" in extensions else ""
    return size if mail.isascii() or "8BITMIME" not in extensions else size + " BODY=8BITMIME"


def _routing(lines: list[str], recipients: Sequence[str], list_id: str | None) -> str:
    """Return the XLIST parameter: `=ID` for a list, alone for a mail that goes where its List-Id says."""
    if list_id is None and recipients:
        return ""
    if "XLIST" not in (line.upper() for line in lines[1:]):
        if list_id is None:
            return ""
        raise errors.Temporary("the daemon takes no --list from here: it is not on this machine, or not LMTP")
    return " XLIST" if list_id is None else f" XLIST={encode_xtext(list_id)}"


def _read_reply(replies: BinaryIO) -> tuple[int, list[str]]:
    """Read a reply with all its lines."""
    lines: list[str] = []
    while True:
        line = replies.readline(4096)
        if not line:
            raise ConnectionError("it closed the connection")
        match = _REPLY.match(line)
        if not match:
            raise ConnectionError(f"it does not speak LMTP: {line[:60]!r}")
        lines.append((match[3] or b"").decode("utf-8", "replace"))
        if match[2] != b"-":
            return int(match[1]), lines


def _expect(kind: int, reply: tuple[int, list[str]], *, final: Container[int] = _POLICY) -> None:
    """Raise unless `reply` is 2xx, or 3xx, as `kind` says; `errors.Permanent` for the codes in `final`."""
    code, lines = reply
    if code // 100 == kind:
        return
    text = f"{code} {lines[-1]}"
    if code in final:
        raise errors.Permanent(f"refused: {text}", reply=text)
    raise errors.Temporary(f"not taken: {text}")


def answers(where: tuple[str, int] | str | os.PathLike[str], greeting: str = "LHLO", timeout: float = 10) -> bool:
    """Whether a daemon listens at `where` and takes a greeting (LHLO for LMTP, EHLO for SMTP)."""
    try:
        with _connect(where, timeout) as connection, connection.makefile("rb") as replies:
            _expect(2, _read_reply(replies))
            connection.sendall(f"{greeting} localhost\r\n".encode())
            _expect(2, _read_reply(replies))
            connection.sendall(b"QUIT\r\n")
    except (OSError, errors.MailError):
        return False
    return True

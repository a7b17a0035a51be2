"""Plays SMTP and LMTP dialogs, written in the protocols' own words, against any listener.

A dialog file begins with `key: value` lines and goes on with what client and server say:

    protocol: lmtp | smtp
    limits: max_size=100 max_errors=3   what the listener is to be started with; default limits otherwise
    sink: fault                         how its sink fails (memory.py); it does not otherwise
    stored: 1                           how many mails are stored in the end

    C: MAIL FROM:<a@b>    the client sends this line; lines that follow each other go out in one piece
    R: \\x00.\\n          ... these bytes, without CRLF
    S: 250 2.1.0 *        the server answers with this line; * is anything, ? one character
    H:                    the client closes its sending side
    E:                    the server has closed the connection
    # a comment

What is sent to `*@lists.test` is known, other recipients are not. A dialog without limits and sink can be played
against a real daemon that is configured so.
"""

import fnmatch
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

DIALOGS = sorted((Path(__file__).parent / "dialogs").glob("*.dialog"))
PATIENCE = 10.0  # seconds for each line of the server

Address = tuple[str, int] | str


@dataclass(frozen=True, slots=True)
class Dialog:
    """One scenario."""

    name: str
    protocol: Literal["lmtp", "smtp"]
    limits: dict[str, int]
    sink: str
    stored: int
    steps: tuple[tuple[str, str], ...] = field(repr=False)


def read(path: Path) -> Dialog:
    """Read a dialog file."""
    head: dict[str, str] = {}
    steps: list[tuple[str, str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        assert colon, f"{path.name}:{number}: no colon"
        if key in ("C", "R", "S", "H", "E"):
            steps.append((key, value))
        else:
            assert key in ("protocol", "limits", "sink", "stored"), f"{path.name}:{number}: what is {key}?"
            head[key] = value.strip()
    protocol = head["protocol"]
    assert protocol in ("lmtp", "smtp")
    return Dialog(
        name=path.stem,
        protocol="lmtp" if protocol == "lmtp" else "smtp",
        limits={name: int(value) for name, value in (pair.split("=") for pair in head.get("limits", "").split())},
        sink=head.get("sink", ""),
        stored=int(head.get("stored", "0")),
        steps=tuple(steps),
    )


def connect(address: Address) -> socket.socket:
    """Connect to (host, port) or to a path."""
    if isinstance(address, tuple):
        return socket.create_connection(address, PATIENCE)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE)
    connection.connect(address)
    return connection


def play(dialog: Dialog, address: Address) -> None:
    """Play it; AssertionError when the server says something else, or more."""
    with connect(address) as connection, connection.makefile("rb") as replies:
        waiting = b""
        for kind, text in dialog.steps:
            if kind == "C":
                waiting += text.encode("utf-8") + b"\r\n"
                continue
            if kind == "R":
                waiting += _unescape(text)
                continue
            if waiting:
                connection.sendall(waiting)
                waiting = b""
            if kind == "S":
                line = replies.readline().decode("utf-8")
                assert line.endswith("\r\n"), f"{dialog.name}: expected {text!r}, got {line!r}"
                pattern = text.replace("[", "[[]")
                assert fnmatch.fnmatchcase(line[:-2], pattern), f"{dialog.name}: expected {text!r}, got {line!r}"
            elif kind == "H":
                connection.shutdown(socket.SHUT_WR)
            else:
                assert replies.read() == b"", f"{dialog.name}: the server should have closed the connection"
                return
        connection.sendall(waiting)
        if ("H", "") not in dialog.steps:
            connection.shutdown(socket.SHUT_WR)
        assert replies.read() == b"", f"{dialog.name}: the server said more than the dialog has"


def _unescape(text: str) -> bytes:
    return re.sub(
        rb"\\(?:x([0-9a-f]{2})|([rnt\\]))",
        lambda match: (
            bytes([int(match[1], 16)]) if match[1] else {b"r": b"\r", b"n": b"\n", b"t": b"\t"}.get(match[2], b"\\")
        ),
        text.encode("utf-8"),
    )

"""A mail server as the daemon's peer: a plain LMTP and SMTP client that resends what was not acknowledged."""

import re
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

TIMEOUT = 60.0  # seconds for one reply

Address = tuple[str, int] | str


class Peer:
    """One connection. A reply is its lines joined by newlines; ConnectionError when the daemon is gone."""

    def __init__(self, address: Address, *, protocol: str = "lmtp") -> None:
        """Connect and greet. `address` is (host, port) or the path of a unix socket."""
        self._protocol = protocol
        if isinstance(address, tuple):
            self._socket = socket.create_connection(address, TIMEOUT)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(TIMEOUT)
            self._socket.connect(address)
        self._replies = self._socket.makefile("rb")
        try:
            self.greeting = self.reply()
            self.extensions = self.ask("LHLO peer" if protocol == "lmtp" else "EHLO peer")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave without QUIT."""
        self._replies.close()
        self._socket.close()

    def write(self, octets: bytes) -> None:
        """Send as it is."""
        self._socket.sendall(octets)

    def reply(self) -> str:
        """Read one reply."""
        lines = []
        while True:
            line = self._replies.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("the daemon closed the connection")
            lines.append(line.decode().rstrip("\r\n"))
            if line[3:4] == b" ":
                return "\n".join(lines)

    def ask(self, command: str) -> str:
        """Send a command, read its reply."""
        self.write(command.encode() + b"\r\n")
        return self.reply()

    def begin(self, recipients: Sequence[str], sender: str = "peer@example.org", parameters: str = "") -> list[str]:
        """MAIL, RCPT for each recipient, and DATA where one was taken; the replies to RCPT."""
        assert self.ask(f"MAIL FROM:<{sender}>{parameters}").startswith("250")
        replies = [self.ask(f"RCPT TO:<{recipient}>") for recipient in recipients]
        if any(reply.startswith("250") for reply in replies):
            assert self.ask("DATA").startswith("354")
        return replies

    def send(
        self,
        mail: bytes,
        recipients: Sequence[str] = ("demo@example.org",),
        sender: str = "peer@example.org",
        parameters: str = "",
    ) -> list[str]:
        """Send a mail; the replies after its data: one for each recipient taken, a single one by SMTP."""
        taken = sum(reply.startswith("250") for reply in self.begin(recipients, sender, parameters))
        self.write(on_the_wire(mail))
        return [self.reply() for _ in range(taken if self._protocol == "lmtp" else 1)]


def crlf(mail: bytes) -> bytes:
    """The mail with CRLF line ends, as it arrives."""
    return re.sub(rb"\r?\n", b"\r\n", mail)


def on_the_wire(mail: bytes) -> bytes:
    """The mail as DATA: CRLF, dots doubled at line starts (RFC 5321 section 4.5.2), the final dot."""
    data = re.sub(rb"(?m)^\.", b"..", crlf(mail))
    return data + (b"" if data.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def deliver(address: Address, mails: Sequence[bytes], recipients: Sequence[str] = ("demo@example.org",)) -> None:
    """Send mails over one LMTP connection; each has to be taken."""
    with Peer(address) as peer:
        for mail in mails:
            replies = peer.send(mail, recipients)
            assert all(reply.startswith("250") for reply in replies), replies

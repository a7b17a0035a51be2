"""How much a peer may ask of the listener, and how long it may take."""

import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from ingestd.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection. Sizes are in bytes, times in seconds."""

    max_size: int = 50 * 2**20  # of a mail, dot-stuffing undone; announced with SIZE
    max_recipients: int = 1000  # of a mail (RFC 5321 4.5.3.1.8 wants 100 at least)
    max_line: int = 4096  # of a command with its CRLF (RFC 5321 4.5.3.1.4 wants 512 at least)
    max_errors: int = 20  # commands that cannot be obeyed, since the last mail
    max_junk: int = 100  # commands that bring no mail nearer, since the last mail
    idle_timeout: float = 300  # for a whole command (RFC 5321 4.5.3.2.7)
    data_timeout: float = 180  # for the next piece of a mail (RFC 5321 4.5.3.2.5)
    min_rate: int = 100  # bytes a second that keep DATA going once data_timeout has passed
    memory: int = 2**18  # a mail past this is received into an unlinked file
    spool: str | None = None  # the directory of that file; None is Python's choice ($TMPDIR, /tmp)


class Connections:
    """How many connections the daemon has, all its listeners together."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` at a time."""
        self.limit = limit
        self.count = 0

    def enter(self) -> bool:
        """Count one more connection, or return False when there are enough."""
        if self.count >= self.limit:
            return False
        self.count += 1
        return True

    def leave(self) -> None:
        """Count one connection less."""
        self.count -= 1


class Access:
    """Who may connect by TCP, and the certificate that STARTTLS shows."""

    def __init__(self, networks: Iterable[str] = (), tls: ssl.SSLContext | None = None) -> None:
        """Without `networks` anybody may connect; without `tls` STARTTLS is not offered."""
        self.tls = tls
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def allows(self, peer: str) -> bool:
        """Whether a peer may connect: an IP address; a unix socket has permissions of its own."""
        if not self._networks or peer.startswith("unix:"):
            return True
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:  # it left before we could ask who it is
            return False
        return any(address in network for network in self._networks)


def load_certificate(certificate: str, key: str) -> ssl.SSLContext:
    """What STARTTLS needs. ConfigError naming the files when they cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # With a password to give, a key that wants one is an error and not a question on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"tls: {certificate}, {key}: {cause}") from error
    return context

"""How much a peer may ask of the listener, and how long it may take."""

from dataclasses import dataclass


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

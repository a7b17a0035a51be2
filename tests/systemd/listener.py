"""What systemd does for a service: it hears its notifications, and holds its sockets."""

import fcntl
import socket
import time
from pathlib import Path

PATIENCE = 60.0  # seconds


class Ear:
    """A notification socket. `heard` are all lines so far, each with the time it came, by time.monotonic()."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self.heard: list[tuple[float, str]] = []
        self._waited = 0  # so many lines have been waited for

    def close(self) -> None:
        self._socket.close()

    def listen(self, seconds: float) -> list[str]:
        """The lines that come within that time."""
        deadline, before = time.monotonic() + seconds, len(self.heard)
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                lines = self._socket.recv(65536).decode().split("\n")
            except TimeoutError:
                break
            self.heard += [(time.monotonic(), line) for line in lines]
        return [line for _, line in self.heard[before:]]

    def wait_for(self, beginning: str) -> str:
        """The next line that begins so, after the one that was waited for last."""
        deadline = time.monotonic() + PATIENCE
        while True:
            while self._waited < len(self.heard):
                self._waited += 1
                if self.heard[self._waited - 1][1].startswith(beginning):
                    return self.heard[self._waited - 1][1]
            assert time.monotonic() < deadline, (beginning, self.heard)
            self.listen(0.1)


def hold(address: tuple[str, int] | str, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket, as a socket unit makes it. Port 0 takes a free one."""
    listening = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
    if reuse_port:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if isinstance(address, tuple):
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(address)
    listening.listen(1024)
    high = fcntl.fcntl(listening.fileno(), fcntl.F_DUPFD_CLOEXEC, 100)  # out of the way of those it is moved to
    listening.close()
    return socket.socket(fileno=high)

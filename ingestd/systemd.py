"""What a service tells systemd and is handed by it: sd_notify(3), sd_listen_fds(3). Elsewhere it does nothing."""

import os
import socket

import structlog

log = structlog.get_logger()

FIRST_FD = 3  # SD_LISTEN_FDS_START
PATIENCE = 1.0  # seconds; systemd reads at once, unless it is in trouble itself


def notify(*lines: str) -> None:
    """Tell systemd something, such as `READY=1`; nothing happens where no systemd listens."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name.startswith(("/", "@")):
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(address)
            connection.sendall("\n".join(lines).encode())
    except OSError as error:  # it is told again; mail is no worse for it
        log.warning("systemd_not_told", error=str(error), what=lines[0].partition("=")[0])


def extension(seconds: float) -> str:
    """What asks for `seconds` more, from now, to start or to stop."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"


def watchdog() -> float | None:
    """Seconds without `WATCHDOG=1` after which systemd kills us; None when it does not watch."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000 or None


def sockets() -> list[tuple[str, socket.socket]]:
    """The sockets that systemd hands over, each with its FileDescriptorName. They are handed over once."""
    count, names = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_FDNAMES", "").split(":")
    meant = os.environ.get("LISTEN_PID") == str(os.getpid())
    for variable in ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"):
        os.environ.pop(variable, None)
    if not meant or not count.isdecimal():
        return []
    found: list[tuple[str, socket.socket]] = []
    for number in range(int(count)):
        os.set_inheritable(FIRST_FD + number, False)  # not for PostgreSQL, our child
        found.append((names[number] if number < len(names) else "", socket.socket(fileno=FIRST_FD + number)))
    return found

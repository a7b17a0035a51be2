"""What many peers at once can take from the daemon: memory, connections, time."""

import asyncio
import contextlib
import resource
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from mails import mail

from end_to_end import database
from end_to_end.peer import Peer, on_the_wire
from ingestd.config import Limits as Configured
from ingestd.receive import wire
from ingestd.receive.limits import Limits
from ingestd.reception import COST

MIB = 2**20
# The interpreter, its libraries, the pool; and what the allocator keeps of what was freed.
BASE = 200 * MIB
# What a connection holds while a mail comes in: its part in memory, one read, what the stream reads ahead.
EACH = Limits().memory + wire.READ + 2 * wire.Wire.line_length_limit

StartDaemon = Callable[..., DaemonProcess]


def bound(connections: int, largest: int) -> int:
    """Octets that the daemon has resident at most, with mails no larger than `largest`."""
    return BASE + connections * EACH + max(Configured().queue_bytes, COST * largest)


def _peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


async def _converse(address: tuple[str, int], number: int, text: bytes, steps: int) -> tuple[int, str]:
    """Send a mail in so many steps, slowly; the reply to it."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        dialog = b"LHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<demo@example.org>\r\nDATA\r\n"
        writer.write(dialog)
        while not (await reader.readline()).startswith(b"354 "):
            pass
        head = on_the_wire(mail(f"large-{number}@example.org", f"large {number}", ""))[: -len(b".\r\n")]
        data = head + text + b".\r\n"
        size = len(data) // steps + 1
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            await asyncio.sleep(0.05)
        return number, (await reader.readline()).decode()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _all(address: tuple[str, int], connections: int, size: int, steps: int) -> list[tuple[int, str]]:
    text = (b"x" * 70 + b"\r\n") * (size // 72)
    return await asyncio.gather(*(_converse(address, number, text, steps) for number in range(connections)))


def _many_large(start_daemon: StartDaemon, url: str, connections: int, size: int, steps: int) -> None:
    daemon = start_daemon(database_url=url)
    replies = asyncio.run(_all(daemon.lmtp, connections, size, steps))
    peak, allowed = _peak(daemon.pid), bound(connections, size)
    kinds = Counter(reply[:9] for _, reply in replies)
    print(f"{connections} mails of {size} octets: {kinds}, {peak / MIB:.0f} of {allowed / MIB:.0f} MiB")  # noqa: T201
    assert peak <= allowed
    assert set(kinds) <= {"250 2.0.0", "451 4.3.1"}, kinds
    assert kinds["250 2.0.0"] > 0
    rows = database.select(url, "SELECT message_id FROM ingestd_v1.message")
    stored = {f"large-{number}@example.org" for number, reply in replies if reply.startswith("250")}
    assert {row["message_id"] for row in rows} == stored
    assert daemon.terminate() == 0


def test_many_large_mails(start_daemon: StartDaemon, database_url: str) -> None:
    _many_large(start_daemon, database_url, 40, MIB, 10)


@pytest.mark.long
def test_two_hundred_mails_of_25_mb(start_daemon: StartDaemon, database_url: str) -> None:
    _many_large(start_daemon, database_url, 200, 25_000_000, 300)


def test_a_thousand_idle_connections_keep_an_honest_one_out_no_longer_than_the_idle_timeout(
    start_daemon: StartDaemon, database_url: str
) -> None:
    idle, timeout = 1000, 3.0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * idle + 200:
        pytest.skip(f"needs {2 * idle + 200} descriptors, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * idle + 200), hard))
    try:
        daemon = start_daemon(
            database_url=database_url, config=f"[limits]\nconnections = {idle}\nidle_timeout = {timeout}\n"
        )

        held = [socket.create_connection(daemon.lmtp) for _ in range(idle)]
        began = time.monotonic()
        while (waited := _deliver(daemon.lmtp)) is None:
            time.sleep(0.05)
        waited -= began
        for connection in held:
            connection.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Too many connections" in daemon.read_log()
    assert "few_descriptors" not in daemon.read_log()
    assert waited < timeout + 10, "the timeout, and what a loaded machine takes"
    assert _peak(daemon.pid) <= bound(idle, MIB)


def _deliver(address: tuple[str, int]) -> float | None:
    """When an honest mail was stored; None when the daemon has no connection for it."""
    try:
        with Peer(address) as peer:
            assert peer.send(mail("honest@x", "x"))[0].startswith("250")
            return time.monotonic()
    except OSError:
        return None


def test_a_byte_a_second_does_not_keep_a_connection_and_honest_slowness_does(
    start_daemon: StartDaemon, database_url: str
) -> None:
    """A mail may stand still for data_timeout; 100 octets buy another second."""
    daemon = start_daemon(database_url=database_url, config="limits.data_timeout = 2.0")

    async def work() -> list[str]:
        return await asyncio.gather(*(send(size, pause) for size, pause in ((1, 0.2), (200, 1.0))))

    async def send(size: int, pause: float) -> str:
        reader, writer = await asyncio.open_connection(*daemon.lmtp)
        writer.write(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<demo@example.org>\r\nDATA\r\n")
        while not (await reader.readline()).startswith(b"354 "):
            pass
        writer.write(f"Subject: {size}\r\n\r\n".encode())
        reply = asyncio.create_task(reader.readline())
        for _ in range(round(8 / pause)):
            if reply.done():
                break
            writer.write(b"x" * size)
            await asyncio.sleep(pause)
        else:
            writer.write(b"\r\n.\r\n")
        line = (await reply).decode()
        writer.close()
        return line

    dribble, slow = asyncio.run(work())
    assert dribble.startswith("421 4.4.2")
    assert slow.startswith("250")
